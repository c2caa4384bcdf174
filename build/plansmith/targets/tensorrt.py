"""TensorRT: ONNX → engine and its passport, engine → something to run, and how Triton serves it.

TensorRT-RTX has the same API: tensorrt_rtx.py calls these functions with its own `Library`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from plansmith.config.compose import compose
from plansmith.config.message import Path as FieldPath
from plansmith.config.message import ServingConfig
from plansmith.config.served import Instances, ServedModel, WarmUpRow
from plansmith.engines import layers, releases
from plansmith.engines.passport import BuildOptions as BuildOptions
from plansmith.engines.passport import EnginePassport
from plansmith.engines.plan_file import read_header
from plansmith.engines.profiles import Profile
from plansmith.errors import LacksSomething, UnusableInput
from plansmith.gpu import Gpu, describe_gpu
from plansmith.recipe import Recipe
from plansmith.targets.tensorrt_builder import Library as Library
from plansmith.targets.tensorrt_builder import build, cuda_release, is_installed, load
from plansmith.targets.tensorrt_runner import TensorRtEngine

TENSORRT = Library(
    name="tensorrt",
    title="TensorRT",
    module="tensorrt",
    ahead_of_time=False,
    keeps_timing_cache=True,
    install=None,
)
# Set by `docker_command`, so that a passport can name the release whose TensorRT built it.
CONTAINER_VARIABLE = "PLANSMITH_CONTAINER"
# TensorRT's inputs and outputs have no others: triton-inference-server/server
# docs/user_guide/model_configuration.md, "Datatypes".
DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "float32")


def docker_command(model: str, container: str | None, library: Library = TENSORRT) -> str:
    """The command that builds `model` in the image whose TensorRT is that of the serving image.

    Raises UnusableInput for what is no release's name; None takes the newest one in the table.
    """
    release = releases.find(container) if container else releases.RELEASES[-1]
    inside = (
        "pip install --quiet uv && uv pip install --quiet --system --break-system-packages "
        "--overrides build/overrides.txt './build[torch,openvino,modelopt]' polygraphy && "
        f"plansmith build {shlex.quote(model)} --target {library.name}"
    )
    return (
        f'docker run --rm --gpus all --volume "$PWD":/work --workdir /work '
        f"--env {CONTAINER_VARIABLE}={release.name} {release.build_image} "
        f"sh -c {shlex.quote(inside)}"
    )


def require(model: str, *, container: str | None = None, library: Library = TENSORRT) -> None:
    """Raises LacksSomething, with the command that builds elsewhere, unless this machine can."""
    if library.ahead_of_time:
        if not is_installed(library):
            raise LacksSomething(f"{library.title} is not installed: {library.install}")
        return
    lacks = None if is_installed(library) else f"{library.title} is not installed"
    if lacks is None and describe_gpu() is None:
        lacks = f"{library.title} builds on a GPU, and nvidia-smi shows none"
    if lacks is not None:
        raise LacksSomething(
            f"{lacks}; with one, the image that fits the server does it:\n"
            f"{docker_command(model, container, library)}"
        )


def build_engine(
    onnx_file: Path,
    to: Path,
    profile: Profile,
    options: BuildOptions,
    *,
    library: Library = TENSORRT,
    precision: str,
    timing_cache: Path | None = None,
    calibration_sha256: str | None = None,
) -> EnginePassport:
    """Writes the engine of `onnx_file` to `to`, and its layers beside it as .layers.json.

    `precision` and `calibration_sha256` only go into the passport: the types are the graph's.
    `timing_cache` is a folder; its file for this graph, library and GPU is used and renewed, so
    that the next build chooses the same kernels. Raises UnusableInput where the graph or an option
    cannot be taken, LacksSomething where library or GPU are missing, PlansmithError otherwise.
    """
    gpu = describe_gpu()
    if gpu is None and not library.ahead_of_time:
        raise LacksSomething(f"{library.title} builds on a GPU, and nvidia-smi shows none")
    onnx_sha256 = _digest(onnx_file)
    kept = None
    if timing_cache is not None and library.keeps_timing_cache:
        kept = timing_cache / f"{_cache_key(onnx_sha256, library, gpu)}.timing"
    earlier = None if kept is None else kept.read_bytes() if kept.is_file() else b""
    built = build(onnx_file, profile, options, library, earlier)
    to.write_bytes(built.plan)
    found = layers.from_log(built.messages)
    if found:
        listed = msgspec.json.format(msgspec.json.encode(found), indent=2)
        to.with_suffix(".layers.json").write_bytes(listed + b"\n")
    if kept is not None and built.timing_cache is not None:
        _replace(kept, built.timing_cache)
    header = read_header(to, library.name)
    here = (gpu.compute_capability,) if gpu is not None else ()
    return EnginePassport(
        file=to.name,
        sha256=hashlib.sha256(built.plan).hexdigest(),
        size_bytes=len(built.plan),
        library=library.name,
        library_version=header.version,
        compute_capabilities=header.compute_capabilities or here,
        gpu_name=gpu.name if gpu is not None else None,
        driver=gpu.driver if gpu is not None else None,
        cuda=cuda_release(library),
        container=os.environ.get(CONTAINER_VARIABLE),
        system=platform.system(),
        machine=platform.machine(),
        precision=precision,
        onnx_sha256=onnx_sha256,
        calibration_sha256=calibration_sha256,
        timing_cache_sha256=(
            None if built.timing_cache is None else hashlib.sha256(built.timing_cache).hexdigest()
        ),
        profile=profile,
        options=options,
    )


def open_engine(plan: Path, batch_size: int, *, library: Library = TENSORRT) -> TensorRtEngine:
    """The engine at `plan` on this machine's GPU, for batches of `batch_size`; see `measure`.

    Raises UnusableInput where `plan` is no whole engine of the library, LacksSomething without a
    GPU or the library.
    """
    read_header(plan, library.name)
    if describe_gpu() is None:
        raise LacksSomething(f"{plan}: an engine runs on an NVIDIA GPU, and nvidia-smi shows none")
    return TensorRtEngine(plan, batch_size, library)


def plan_name(capability: str, library: Library = TENSORRT) -> str:
    """The file of the engine for that compute capability: 8.6 → model-cc86.plan.

    TensorRT-RTX's is called model-rtx-cc86.plan: one version may hold engines of both.
    """
    name = "model" if library == TENSORRT else f"model-{library.name.rpartition('-')[2]}"
    return f"{name}-cc{capability.replace('.', '')}.plan"


def check_tensors(recipe: Recipe, library: Library = TENSORRT) -> None:
    """Raises UnusableInput for inputs and outputs of a type that the library does not have."""
    for tensor in (*recipe.inputs, *recipe.outputs):
        if tensor.spec.dtype not in DTYPES:
            raise UnusableInput(
                f"{tensor.spec.name}: {library.title} has no {tensor.spec.dtype}; "
                f"its tensors are {', '.join(DTYPES)}"
            )


def serving_config(
    passports: Sequence[EnginePassport],
    name: str,
    recipe: Recipe,
    versions: tuple[int, ...],
    *,
    library: Library = TENSORRT,
    warm_up_rows: tuple[WarmUpRow, ...] = (),
    reasons: Mapping[FieldPath, str] | None = None,
) -> ServingConfig:
    """How Triton is to serve these engines, each on the GPUs that it was built for.

    On a GPU that no engine was built for, the server tries the first one and says why it does not
    load. `reasons` are told as comments.
    """
    check_tensors(recipe, library)
    if not passports:
        raise ValueError("no engine to serve")
    files = [(cc, passport.file) for passport in passports for cc in passport.compute_capabilities]
    default = passports[0].file
    limit = min(recipe.max_batch_size, *(passport.profile.max_batch_size for passport in passports))
    sizes = batch_sizes(limit)
    return compose(
        ServedModel(
            name=name,
            backend=library.module,
            max_batch_size=limit,
            inputs=tuple(tensor.spec for tensor in recipe.inputs),
            outputs=tuple(tensor.spec for tensor in recipe.outputs),
            versions=versions,
            serving=recipe.serving,
            # No preferred sizes: the one profile takes any batch.
            instances=(Instances(count=recipe.serving.gpu_instances, kind="KIND_GPU"),),
            labels=tuple((one.spec.name, one.labels) for one in recipe.outputs if one.labels),
            default_model_filename=None if default == "model.plan" else default,
            cc_model_filenames=tuple(files),
            warm_up_rows=warm_up_rows,
            warm_up_batch_sizes=sizes if recipe.serving.cuda_graphs else (1, limit),
            graph_batch_sizes=sizes,
        ),
        reasons,
    )


def batch_sizes(limit: int) -> tuple[int, ...]:
    """Those that CUDA graphs are made for: powers of two, and the largest."""
    return tuple(sorted({*(1 << power for power in range(limit.bit_length())), limit}))


def _cache_key(onnx_sha256: str, library: Library, gpu: Gpu | None) -> str:
    # Keyed by all three, because a cache of another model or version has given wrong answers:
    # triton-inference-server/onnxruntime_backend issue 124.
    what = (onnx_sha256, library.name, str(load(library).__version__), repr(gpu))
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from error
