"""Will these engines load there? Passports and a described place → every mismatch. Pure.

Sources of the rules: docs.nvidia.com/deeplearning/tensorrt/11.1.0/inference-library/
engine-compatibility.html and .../tensorrt/11.4.1/getting-started/support-matrix.html ("Engine
Portability"); docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/
engine-compatibility.html for TensorRT-RTX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plansmith.engines import releases
from plansmith.engines.passport import EnginePassport

UNKNOWN = "unknown"
# HardwareCompatibilityLevel.AMPERE_PLUS begins here.
AMPERE = (8, 0)
# Version-compatible engines of the first load in the second: the support matrix of 11.4.1.
CROSS_MAJOR = (((8,), (10,)), ((10,), (11,)))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where engines are to be served, described or detected; None is unknown, never "any".

    `compute_capability` is the GPU's ("8.6"), `driver` its full version, `tensorrt` and
    `tensorrt_rtx` are the libraries' versions, `container` NVIDIA's release ("26.06"), `system` and
    `machine` are as platform.system() and platform.machine() give them.
    """

    compute_capability: str | None = None
    driver: str | None = None
    tensorrt: str | None = None
    tensorrt_rtx: str | None = None
    container: str | None = None
    system: str = "Linux"
    machine: str = "x86_64"

    def version_of(self, library: str) -> str | None:
        """The version of "tensorrt" or "tensorrt-rtx" there, as far as anything tells it."""
        if library == "tensorrt-rtx":
            return self.tensorrt_rtx
        if self.tensorrt is None and self.container is not None:
            return releases.find(self.container).tensorrt
        return self.tensorrt


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One reason why the engine in `file` will not load, or why nobody can tell.

    `proven` False means the place is not described well enough. `remedy` is the command that
    rebuilds, or what to find out.
    """

    file: str
    field: str
    engine_has: str
    place_has: str
    remedy: str
    proven: bool = True

    def __str__(self) -> str:
        verdict = "" if self.proven else " (not proven to load)"
        return (
            f"{self.file}: {self.field}: engine {self.engine_has}, there {self.place_has}"
            f"{verdict} → {self.remedy}"
        )


def mismatches(
    passports: Sequence[EnginePassport], place: Place, model: str
) -> tuple[Mismatch, ...]:
    """Why the engines of `model` will not load in `place`; empty where one loads.

    Of several engines the one for the place's GPU is looked at, as the server does; where the GPU
    is unknown, all. Engines of OpenVINO are compiled where they are served and always load.
    """
    engines = [passport for passport in passports if passport.library != "openvino"]
    if not engines:
        return ()
    fitting = [engine for engine in engines if _runs_on(engine, place.compute_capability)]
    if place.compute_capability is not None and not fitting:
        return (_no_engine_for_the_gpu(engines, place, model),)
    return tuple(
        mismatch
        for engine in fitting
        for mismatch in (
            *_gpu(engine, place),
            *_server(engine, place),
            *_version(engine, place, model),
            *_driver(engine, place),
            *_system(engine, place, model),
        )
    )


def _runs_on(engine: EnginePassport, capability: str | None) -> bool:
    if capability is None or capability in engine.compute_capabilities:
        return True
    return engine.options.hardware_compatible and _numbers(capability) >= AMPERE


def _no_engine_for_the_gpu(engines: Sequence[EnginePassport], place: Place, model: str) -> Mismatch:
    built_for = sorted({cc for engine in engines for cc in engine.compute_capabilities}, key=float)
    capability = place.compute_capability or UNKNOWN
    if engines[0].library == "tensorrt-rtx":
        wanted = [*built_for, capability]
        remedy = (
            f"put {capability} into targets.compute_capabilities ({', '.join(wanted)}), then "
            f"{_rebuild(engines[0], place, model)}"
        )
    else:
        remedy = f"on a machine with that GPU: {_rebuild(engines[0], place, model)}"
    return Mismatch(
        file=", ".join(engine.file for engine in engines),
        field="compute capability",
        engine_has=", ".join(built_for),
        place_has=capability,
        remedy=remedy,
    )


def _gpu(engine: EnginePassport, place: Place) -> tuple[Mismatch, ...]:
    if place.compute_capability is not None:
        return ()
    return (
        Mismatch(
            file=engine.file,
            field="compute capability",
            engine_has=", ".join(engine.compute_capabilities),
            place_has=UNKNOWN,
            remedy="name the GPU's: nvidia-smi --query-gpu=compute_cap --format=csv",
            proven=False,
        ),
    )


def _server(engine: EnginePassport, place: Place) -> tuple[Mismatch, ...]:
    """The container's own lower limit: newer servers leave old GPUs behind."""
    release = releases.find(place.container) if place.container is not None else None
    least = release.minimum_compute_capability if release is not None else None
    capability = place.compute_capability
    if least is None or capability is None or _numbers(capability) >= _numbers(least):
        return ()
    return (
        Mismatch(
            file=engine.file,
            field="compute capability",
            engine_has=f"is served by container {place.container} from {least} on",
            place_has=capability,
            remedy="serve with an older container, or on a newer GPU",
        ),
    )


def _version(engine: EnginePassport, place: Place, model: str) -> tuple[Mismatch, ...]:
    rtx = engine.library == "tensorrt-rtx"
    there = place.version_of(engine.library)
    if there is None and not rtx and engine.container and engine.container == place.container:
        return ()
    if there is not None and _version_loads(engine, there):
        return ()
    remedy = _rebuild(engine, place, model)
    if there is None:
        module = "tensorrt_rtx" if rtx else "tensorrt"
        remedy = f'name it: python3 -c "import {module}; print({module}.__version__)"'
    return (
        Mismatch(
            file=engine.file,
            field=f"{engine.library} version",
            engine_has=engine.library_version,
            place_has=there or UNKNOWN,
            remedy=remedy,
            proven=there is not None,
        ),
    )


def _version_loads(engine: EnginePassport, there: str) -> bool:
    has, want = _numbers(there), _numbers(engine.library_version)
    # A place may be described by fewer numbers than a library has.
    if len(has) >= 2 and has == want[: len(has)]:
        return True
    if engine.library == "tensorrt-rtx" or not engine.options.version_compatible:
        return False
    majors = want[:1], has[:1]
    return majors in CROSS_MAJOR or (majors[0] == majors[1] and has >= want)


def _driver(engine: EnginePassport, place: Place) -> tuple[Mismatch, ...]:
    in_image = releases.find(place.container).cuda if place.container is not None else None
    drivers = [releases.minimum_driver(cuda) for cuda in (engine.cuda, in_image)]
    needed = max((driver for driver in drivers if driver is not None), default=0)
    if needed and place.driver is not None and _numbers(place.driver) >= (needed,):
        return ()
    if not needed:
        has, remedy = f"CUDA {UNKNOWN}", "build again where the CUDA release is known"
    elif place.driver is None:
        has = f"needs {needed} or newer"
        remedy = "name the driver: nvidia-smi --query-gpu=driver_version --format=csv"
    else:
        has, remedy = f"needs {needed} or newer", f"install NVIDIA driver {needed} or newer"
    return (
        Mismatch(
            file=engine.file,
            field="driver",
            engine_has=has,
            place_has=place.driver or UNKNOWN,
            remedy=remedy,
            proven=bool(needed) and place.driver is not None,
        ),
    )


def _system(engine: EnginePassport, place: Place, model: str) -> tuple[Mismatch, ...]:
    has, wants = f"{engine.system} {engine.machine}", f"{place.system} {place.machine}"
    # TensorRT-RTX engines go from Linux to Windows and back (docs "CPU-Only AOT and TensorRT-RTX
    # Engines"); of other processors nothing is said.
    if engine.library == "tensorrt-rtx":
        has, wants = engine.machine, place.machine
    if has == wants:
        return ()
    return (
        Mismatch(
            file=engine.file,
            field="system",
            engine_has=has,
            place_has=wants,
            remedy=f"on such a machine: {_rebuild(engine, place, model)}",
        ),
    )


def _rebuild(engine: EnginePassport, place: Place, model: str) -> str:
    command = f"plansmith build {model} --target {engine.library}"
    if engine.library == "tensorrt-rtx":
        version = place.tensorrt_rtx
        if version is None or _version_loads(engine, version):
            return command
        return f"pip install tensorrt-rtx-cu13=={version} && {command}"
    return f"{command} --container {place.container}" if place.container else command


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
