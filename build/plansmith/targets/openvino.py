"""OpenVINO on the CPU: which variants to try, ONNX → IR files, IR → an engine for one variant."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.config.compose import compose
from plansmith.config.message import Path as FieldPath
from plansmith.config.message import ServingConfig
from plansmith.config.served import Instances, ServedModel, WarmUpRow
from plansmith.errors import UnusableInput
from plansmith.forms import Form, name_of
from plansmith.measure import Feed, batches
from plansmith.openvino_runtime import load_openvino, save_ir
from plansmith.recipe import Recipe

MODEL_FILE = "model.xml"
# OpenVINO's names: INFERENCE_PRECISION_HINT, docs "Precision Control".
PRECISION_HINTS = {"bf16": "bf16"}
DEFAULT_HINT = "f32"
# As /proc/cpuinfo calls the units that make BF16 arithmetic worth trying.
BF16_FEATURES = ("avx512_bf16", "amx_bf16")
# Of an instance that gets its turn only while the first one is busy.
LAST_PRIORITY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a form: `streams` batches of `batch_size` side by side on `threads` threads.

    `form` names the graph (forms.py); `precision` is its own, or "bf16" where an FP32 graph is run
    in BF16. `static` compiles for exactly that batch size; otherwise the batch axis stays dynamic.
    """

    form: str
    precision: str
    streams: int
    threads: int
    batch_size: int
    static: bool

    @property
    def name(self) -> str:
        """For instance bf16-s2t2-b4, or pruned-int8-s1t2-b1-dynamic."""
        shape = "" if self.static else "-dynamic"
        what = name_of(self.form, "bf16") if self.precision == "bf16" else self.form
        return f"{what}-s{self.streams}t{self.threads}-b{self.batch_size}{shape}"

    @property
    def single(self) -> str:
        """How one row is answered, in one stream on all threads: the same for many variants."""
        return f"{self.form}-{self.precision}-{'static' if self.static else 'dynamic'}"

    @property
    def static_batch_sizes(self) -> tuple[int, ...]:
        """The fixed shapes that serve any batch: powers of two from `batch_size` down to 1."""
        if not self.static:
            return ()
        return tuple(sorted({self.batch_size, *_powers_of_two(self.batch_size)}, reverse=True))


def _powers_of_two(limit: int) -> list[int]:
    return [1 << power for power in range(limit.bit_length())]


def list_variants(
    forms: Sequence[Form], *, cores: int, has_bf16: bool, max_batch_size: int, static: bool
) -> tuple[Variant, ...]:
    """All variants worth timing: none asks for more streams or threads than `cores`.

    `static` False where the model has free dimensions besides the batch, so that no shape can be
    fixed. Of the dynamic shapes only the smallest and the largest batch are timed, and of a form
    that was made from another only the fixed shapes of these, the largest in all streams: what the
    form gains shows there.
    """
    ends = sorted({1, max_batch_size})
    dynamic = [(size, False) for size in ends]
    fixed = [(size, True) for size in sorted({*ends, *(n for n in (4,) if n < max_batch_size)})]
    variants: list[Variant] = []
    for form in forms:
        if form.parent is None:
            shapes = [*fixed, *dynamic] if static else dynamic
        else:
            shapes = [(size, static) for size in ends]
        precisions = [form.precision]
        if has_bf16 and form.precision == "fp32":
            precisions.append("bf16")
        variants += [
            Variant(
                form=form.name,
                precision=precision,
                streams=streams,
                threads=cores,
                batch_size=size,
                static=is_static,
            )
            for precision, streams, (size, is_static) in itertools.product(
                precisions, sorted({1, cores}), shapes
            )
            if form.parent is None or size == 1 or streams == cores
        ]
    return tuple(variants)


def compile_model(onnx_file: Path, folder: Path) -> None:
    """Writes model.xml and model.bin into `folder`; weights stay FP32, the batch axis dynamic.

    `onnx_file` may be IR, too. Raises UnusableInput where OpenVINO cannot read it, OSError where
    the files cannot be written whole.
    """
    openvino, to = load_openvino(), folder / MODEL_FILE
    try:
        read = openvino.Core().read_model(onnx_file)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise UnusableInput(f"OpenVINO cannot read the model: {told}") from error
    save_ir(read, to)


def serving_config(
    variant: Variant,
    name: str,
    recipe: Recipe,
    versions: tuple[int, ...],
    *,
    warm_up_rows: tuple[WarmUpRow, ...] = (),
    reasons: Mapping[FieldPath, str] | None = None,
) -> ServingConfig:
    """How Triton is to serve `variant`: as many instances as it has streams, one stream each.

    One instance gets nearly all turns while requests come one at a time: its caches stay warm and
    it runs them on all threads (see deploy/backends/openvino). `reasons` are told as comments.
    """
    sizes = variant.static_batch_sizes
    parameters = {
        "NUM_STREAMS": str(variant.streams),
        "INFERENCE_NUM_THREADS": str(variant.threads),
    }
    if variant.precision == "bf16":
        parameters["HINT_BF16"] = "YES"  # the one value that the C++ backend knows
    if sizes:
        parameters["STATIC_BATCH_SIZES"] = ",".join(str(size) for size in sizes)
    instances = [Instances()]
    if variant.streams > 1:
        instances.append(Instances(count=variant.streams - 1, priority=LAST_PRIORITY))
    # Where several shapes are compiled and a larger batch would be cut into pieces of them.
    is_cut = 1 < variant.batch_size < recipe.max_batch_size and len(sizes) > 1
    return compose(
        ServedModel(
            name=name,
            backend="openvino",
            max_batch_size=recipe.max_batch_size,
            inputs=tuple(tensor.spec for tensor in recipe.inputs),
            outputs=tuple(tensor.spec for tensor in recipe.outputs),
            versions=versions,
            serving=recipe.serving,
            instances=tuple(instances),
            labels=tuple((one.spec.name, one.labels) for one in recipe.outputs if one.labels),
            parameters=tuple(parameters.items()),
            preferred_batch_sizes=(variant.batch_size,) if is_cut else (),
            warm_up_rows=warm_up_rows,
            # Every fixed shape, and the ends of a dynamic one.
            warm_up_batch_sizes=sizes or (1, recipe.max_batch_size),
        ),
        reasons,
    )


def open_engine(path: Path, variant: Variant, like: OpenVinoEngine | None = None) -> OpenVinoEngine:
    """The IR at `path` compiled for `variant` on this CPU.

    `like`: an engine of a variant with the same `single`, which then answers one row for both.
    """
    return OpenVinoEngine(path, variant, like)


class OpenVinoEngine:
    """One variant, ready to run: see plansmith.measure.Engine."""

    def __init__(self, path: Path, variant: Variant, like: OpenVinoEngine | None = None) -> None:
        openvino = load_openvino()
        self.batch_size = variant.batch_size
        size = variant.batch_size if variant.static else None
        compiled = _compile(path, variant, size, variant.streams)
        self._outputs = [port.any_name for port in compiled.outputs]
        self._queue = openvino.AsyncInferQueue(compiled, variant.streams)
        # Its own queue: a callback costs time, which the timed one must not spend.
        self._answering = openvino.AsyncInferQueue(compiled, variant.streams)
        if like is not None:
            self._single = like._single
            return
        if (size, variant.streams) != (1, 1):
            compiled = _compile(path, variant, 1 if variant.static else None, 1)
        self._single = compiled.create_infer_request()

    def single(self, feed: Feed) -> object:
        return self._single.infer(dict(feed), share_inputs=True, share_outputs=True)

    def start(self, feed: Feed) -> None:
        self._queue.start_async(dict(feed), share_inputs=True)

    def finish(self) -> None:
        self._queue.wait_all()

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        found: dict[int, dict[str, NDArray[Any]]] = {}

        def keep(request: Any, place: tuple[int, int]) -> None:
            start, count = place
            results = zip(self._outputs, request.results.values(), strict=True)
            # The request's buffers are used again for the next batch: copy out of them.
            found[start] = {name: array[:count].copy() for name, array in results}

        self._answering.set_callback(keep)
        # Held until all are answered, not copied by OpenVINO: with dynamic shapes 2026.4 copies
        # into the arrays that `start` was given before, and they are the caller's.
        held = [
            (start, count, dict(batch)) for start, count, batch in batches(feed, self.batch_size)
        ]
        for start, count, batch in held:
            self._answering.start_async(batch, (start, count), share_inputs=True)
        self._answering.wait_all()
        ordered = [found[start] for start in sorted(found)]
        return {name: np.concatenate([part[name] for part in ordered]) for name in self._outputs}


def _compile(path: Path, variant: Variant, batch_size: int | None, streams: int) -> Any:
    openvino = load_openvino()
    core = openvino.Core()
    model = core.read_model(path)
    if batch_size is not None:
        model.reshape({port: [batch_size, *list(port.partial_shape)[1:]] for port in model.inputs})
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS.get(variant.precision, DEFAULT_HINT),
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": variant.threads,
        # As in the served backend, whose instances must not be pinned onto the same core.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, "CPU", settings)
