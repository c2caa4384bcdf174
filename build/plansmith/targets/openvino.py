"""OpenVINO on the CPU: which variants to try, and ONNX → a compiled model for one of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

# OpenVINO's names: INFERENCE_PRECISION_HINT, docs "Precision Control".
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a model: `batch_size` None leaves the shape dynamic."""

    precision: str
    streams: int
    threads: int
    batch_size: int | None

    @property
    def name(self) -> str:
        """For instance bf16-s2t2-b1, or bf16-s1t2-dynamic."""
        batch = "dynamic" if self.batch_size is None else f"b{self.batch_size}"
        return f"{self.precision}-s{self.streams}t{self.threads}-{batch}"


def list_variants(*, cores: int, has_bf16: bool) -> tuple[Variant, ...]:
    """All variants worth timing: none asks for more threads, or streams, than `cores`."""
    precisions = ("fp32", "bf16") if has_bf16 else ("fp32",)
    streams = tuple(sorted({1, cores}))
    return tuple(
        Variant(precision=precision, streams=count, threads=cores, batch_size=batch_size)
        for precision, count, batch_size in itertools.product(precisions, streams, (1, None))
    )


def compile_variant(model: onnx.ModelProto, variant: Variant) -> Any:
    """The `openvino.CompiledModel` of `model` on this CPU, in the precision that is hinted."""
    import openvino

    core = openvino.Core()
    read = core.read_model(model.SerializeToString(), b"")
    if variant.batch_size is not None:
        batch = variant.batch_size
        read.reshape({value: [batch, *list(value.partial_shape)[1:]] for value in read.inputs})
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS[variant.precision],
        "NUM_STREAMS": variant.streams,
        "INFERENCE_NUM_THREADS": variant.threads,
    }
    return core.compile_model(read, "CPU", settings)
