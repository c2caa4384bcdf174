"""An engine's passport: all that decides where it loads and what it answers. Frozen, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plansmith.engines.profiles import Profile

LibraryName = Literal["tensorrt", "tensorrt-rtx", "openvino"]


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a builder was told, besides the graph and the profile.

    `workspace_bytes` None leaves the library's own limit. `version_compatible` engines load in
    later releases (Triton wants --backend-config=tensorrt,version-compatible=true for them),
    `hardware_compatible` ones on other GPUs from compute capability 8.0 on; both may be slower.
    `sparse` lets the builder use 2:4 sparsity where weights have it. `compute_capabilities` ("8.6")
    are named only where engines are built ahead of time.
    """

    optimisation_level: int = 3
    workspace_bytes: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    sparse: bool = False
    compute_capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.optimisation_level <= 5:
            raise ValueError("optimisation_level is not between 0 and 5")
        if self.workspace_bytes is not None and self.workspace_bytes < 1:
            raise ValueError("workspace_bytes is below 1")


@dataclass(frozen=True, kw_only=True)
class EnginePassport:
    """One engine file: `file` is its name in the version's folder.

    `compute_capabilities` are the GPUs it was compiled for, empty where that is the CPU's matter.
    `gpu_name`, `driver` and `container` are of the machine that built it, None where there was no
    GPU or no NVIDIA container; `cuda` is the CUDA release of the library, as far as it is known.
    `calibration_sha256` is None for a graph without calibrated scales, `timing_cache_sha256` where
    no timing cache was used: two builds without one may choose different kernels.
    """

    file: str
    sha256: str
    size_bytes: int
    library: LibraryName
    library_version: str
    compute_capabilities: tuple[str, ...]
    gpu_name: str | None
    driver: str | None
    cuda: str | None
    container: str | None
    system: str
    machine: str
    precision: str
    onnx_sha256: str
    calibration_sha256: str | None
    timing_cache_sha256: str | None
    profile: Profile
    options: BuildOptions
