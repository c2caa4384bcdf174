"""NVIDIA's container releases and what is in them, as far as a public source says so. Pure.

An unknown version stays None: NVIDIA's own pages that could be read give CUDA and driver, but only
few give the TensorRT version that is in the server's image (they refer to the frameworks support
matrix, https://docs.nvidia.com/deeplearning/frameworks/support-matrix/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from plansmith.errors import UnusableInput

_NOTES = "https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/rel-{}.html"
_MODEL_CONNECT = "https://github.com/NVIDIA/TensorRT-Model-Connect/blob/main/Dockerfile"

# CUDA's major release → the oldest driver branch that runs it. Source:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, table 1.
# Older drivers do with a "forward compatibility" package, on data centre GPUs only.
MINIMUM_DRIVERS = {11: 450, 12: 525, 13: 580}

# TensorRT-RTX release → compute capabilities it builds for. Sources:
# https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/getting-started/support-matrix-1/1.4.html
# and 1.5.html; 1.7 and the 8.0 of all: tensorrt_rtx.ComputeCapability of the wheel 1.7.1.116.
# One release does not load another's engines: .../inference-library/engine-compatibility.html.
RTX_COMPUTE_CAPABILITIES = {
    "1.4": ("7.5", "8.6", "8.9", "12.0"),
    "1.5": ("7.5", "8.6", "8.9", "12.0", "12.1"),
    "1.7": ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
}


@dataclass(frozen=True, kw_only=True)
class Release:
    """One monthly release of nvcr.io/nvidia/tritonserver and of nvcr.io/nvidia/tensorrt.

    `server` is Triton's own version, `tensorrt` and `cuda` those in the image; None where no
    source was found. `minimum_compute_capability` is that of the server. `sources` are addresses.
    """

    name: str
    server: str | None
    tensorrt: str | None
    cuda: str | None
    minimum_compute_capability: str | None
    sources: tuple[str, ...]

    @property
    def minimum_driver(self) -> int | None:
        """The oldest driver branch that runs the release's CUDA, for instance 580."""
        return minimum_driver(self.cuda)

    @property
    def build_image(self) -> str:
        """The image with TensorRT's Python package; Triton's own has only the libraries.

        Which one goes with which server: triton-inference-server/tensorrt_backend
        examples/TensorRT/README.md builds in tensorrt:<xx.yy> for tritonserver:<xx.yy>.
        """
        return f"nvcr.io/nvidia/tensorrt:{self.name}-py3"


def _release(
    name: str,
    cuda: str,
    *,
    server: str | None = None,
    tensorrt: str | None = None,
    capability: str = "7.5",
    sources: tuple[str, ...] = (),
) -> Release:
    return Release(
        name=name,
        server=server,
        tensorrt=tensorrt,
        cuda=cuda,
        minimum_compute_capability=capability,
        sources=(_NOTES.format(name.replace(".", "-")), *sources),
    )


RELEASES = (
    _release("24.10", "12.6.2", capability="6.0"),
    _release("25.03", "12.8.1.012"),
    _release("25.06", "12.9.1.010"),
    _release("26.02", "13.1.1"),
    _release("26.04", "13.2.1"),
    _release("26.05", "13.2.1"),
    _release("26.06", "13.3.0"),
    _release("26.07", "13.3.1", tensorrt="11.1.0.106", sources=(_MODEL_CONNECT,)),
    _release("26.10", "13.4.3.001"),
)


def minimum_driver(cuda: str | None) -> int | None:
    """The oldest driver branch for CUDA "13" or "13.3.0"; None where either is not known."""
    major = cuda.split(".")[0] if cuda is not None else ""
    return MINIMUM_DRIVERS.get(int(major)) if major.isdecimal() else None


_NAME = re.compile(r"\d\d\.(0[1-9]|1[0-2])")


def find(name: str) -> Release:
    """The release called "26.06"; one of which nothing is known where the table lacks it.

    Raises UnusableInput for what is no release's name.
    """
    if not _NAME.fullmatch(name):
        known = ", ".join(release.name for release in RELEASES)
        raise UnusableInput(
            f"container release {name!r}: not a year and month like 26.06; the table has {known}"
        )
    bare = Release(
        name=name,
        server=None,
        tensorrt=None,
        cuda=None,
        minimum_compute_capability=None,
        sources=(),
    )
    return next((release for release in RELEASES if release.name == name), bare)
