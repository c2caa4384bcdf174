"""The edge to TensorRT's builder, and to TensorRT-RTX's, which has the same API: ONNX → bytes.

All that the library says goes to a logger of ours: nothing is printed, and its errors become the
message of the exception.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from plansmith.engines.passport import BuildOptions
from plansmith.engines.profiles import Profile
from plansmith.errors import LacksSomething, PlansmithError, UnusableInput

# ILogger.Severity: INTERNAL_ERROR 0, ERROR 1, WARNING 2, INFO 3, VERBOSE 4.
_ERROR = 1


@dataclass(frozen=True, kw_only=True)
class Library:
    """Which of the two libraries, and in what they differ for us.

    `ahead_of_time`: it builds without a GPU, for named compute capabilities. `install` is the line
    that installs it, None where it comes with NVIDIA's images.
    """

    name: Literal["tensorrt", "tensorrt-rtx"]
    title: str
    module: str
    ahead_of_time: bool
    keeps_timing_cache: bool
    install: str | None


@dataclass(frozen=True, kw_only=True)
class Built:
    """A serialized engine, the timing cache after building it, and all that the builder said."""

    plan: bytes
    timing_cache: bytes | None
    messages: tuple[str, ...]


def is_installed(library: Library) -> bool:
    return importlib.util.find_spec(library.module) is not None


def load(library: Library) -> Any:
    """The library's module; raises LacksSomething where it is not installed or does not load."""
    try:
        return importlib.import_module(library.module)
    except (ImportError, OSError) as error:
        how = library.install or "use NVIDIA's TensorRT image"
        raise LacksSomething(f"{library.title} does not load: {error}; {how}") from error


def cuda_release(library: Library) -> str | None:
    """The CUDA release that the installed library is for: "13", or "13.3.0" in NVIDIA's images."""
    pattern = re.compile(rf"{library.module.replace('_', '[-_]')}[-_]cu(\d+)")
    for distribution in metadata.distributions():
        found = pattern.fullmatch(distribution.name)
        if found is not None:
            return found[1]
    return os.environ.get("CUDA_VERSION")


def check_options(options: BuildOptions, library: Library) -> None:
    """Raises UnusableInput for options that the library has not, or would quietly pass over."""
    if library.ahead_of_time:
        if not options.compute_capabilities:
            raise UnusableInput(f"{library.title}: name the compute capabilities to build for")
        # 1.7.1 refuses the first for want of a library that it does not ship, and only warns of
        # the second: "setHardwareCompatibilityLevel() is unsupported in TensorRT-RTX".
        for name in ("version_compatible", "hardware_compatible"):
            if getattr(options, name):
                raise UnusableInput(f"{library.title} has no {name.replace('_', '-')} engines")
    elif options.compute_capabilities:
        raise UnusableInput(f"{library.title} builds for the GPU of this machine only")


def logger_of(trt: Any, messages: list[tuple[int, str]]) -> Any:
    """A logger of the library that appends (severity, message) to `messages`."""

    class Collector(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            messages.append((int(severity), message))

    return Collector()


def errors_of(messages: list[tuple[int, str]]) -> str:
    """The library's errors in one line, or that there were none."""
    errors = [" ".join(text.split()) for severity, text in messages if severity <= _ERROR]
    return "; ".join(errors) or "it gave no reason"


def build(
    onnx_file: Path,
    profile: Profile,
    options: BuildOptions,
    library: Library,
    timing_cache: bytes | None = None,
) -> Built:
    """The engine of `onnx_file`, each tensor in the type that the graph gives it.

    `timing_cache` is one of an earlier build, b"" for a new one, None for none. Raises
    UnusableInput where the graph cannot be taken, PlansmithError where building fails.
    """
    check_options(options, library)
    trt = load(library)
    messages: list[tuple[int, str]] = []
    # Of names that the other of the two libraries still needs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        logger = logger_of(trt, messages)
        builder = trt.Builder(logger)
        network = _parse(trt, builder, logger, onnx_file, library)
        config = builder.create_builder_config()
        _apply(trt, config, options)
        _add_profile(builder, config, network, profile, onnx_file)
        cache = None
        if timing_cache is not None and library.keeps_timing_cache:
            cache = config.create_timing_cache(timing_cache)
            config.set_timing_cache(cache, ignore_mismatch=False)
        serialized = builder.build_serialized_network(network, config)
        if serialized is None:
            raise PlansmithError(f"{onnx_file}: {library.title} failed: {errors_of(messages)}")
        kept = None if cache is None else bytes(config.get_timing_cache().serialize())
        plan = bytes(serialized)
    return Built(plan=plan, timing_cache=kept, messages=tuple(text for _, text in messages))


def _parse(trt: Any, builder: Any, logger: Any, onnx_file: Path, library: Library) -> Any:
    # TensorRT 11 knows no other networks, 10 needs the flag for them.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        faults = [parser.get_error(index) for index in range(parser.num_errors)]
        told = "; ".join(
            f"node {fault.node_name() or fault.node()} ({fault.node_operator() or 'no operator'}): "
            f"{fault.desc()}"
            for fault in faults
        )
        raise UnusableInput(f"{onnx_file}: {library.title} cannot take this graph: {told}")
    return network


def _apply(trt: Any, config: Any, options: BuildOptions) -> None:
    config.builder_optimization_level = options.optimisation_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.sparse:
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
        for index, capability in enumerate(options.compute_capabilities):
            config.set_compute_capability(_capability(trt, capability), index)


def _capability(trt: Any, capability: str) -> Any:
    known: dict[str, Any] = dict(trt.ComputeCapability.__members__)
    name = f"SM{capability.replace('.', '')}"
    if name not in known:
        have = sorted(int(n[2:]) for n in known if n.startswith("SM"))
        listed = ", ".join(f"{number // 10}.{number % 10}" for number in have)
        raise UnusableInput(
            f"compute capability {capability} is not one that TensorRT-RTX {trt.__version__} "
            f"builds for: {listed}"
        )
    return known[name]


def _add_profile(
    builder: Any, config: Any, network: Any, profile: Profile, onnx_file: Path
) -> None:
    shapes = {entry.name: entry for entry in profile.inputs}
    names = [network.get_input(index).name for index in range(network.num_inputs)]
    if sorted(names) != sorted(shapes):
        raise UnusableInput(
            f"{onnx_file}: its inputs are {', '.join(names)}, the profile is for "
            f"{', '.join(shapes)}; correct the recipe"
        )
    added = builder.create_optimization_profile()
    for index, name in enumerate(names):
        entry, rank = shapes[name], len(network.get_input(index).shape)
        if rank != len(entry.max):
            raise UnusableInput(
                f"{onnx_file}: {name} has {rank} dimensions, the profile {len(entry.max)} "
                "with the batch axis; correct the recipe"
            )
        added.set_shape(name, entry.min, entry.opt, entry.max)
    config.add_optimization_profile(added)
