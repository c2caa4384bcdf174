"""FP32 → explicit INT8 (QuantizeLinear and DequantizeLinear nodes) for TensorRT, by ModelOpt."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from plansmith.compress.layers import (
    batch_axis,
    check_feed,
    constants,
    value_of,
    weighted_layers,
    with_names,
)
from plansmith.compress.quiet import silenced
from plansmith.errors import PlansmithError
from plansmith.measure import Feed, rows

METHODS = ("entropy", "max")
# Of n rows and one more like them, each is as likely to reach furthest: with 32, at most one later
# row in 33 exceeds a range seen. ModelOpt's onnx_ptq/README asks for 500 where CNNs are calibrated.
MIN_SAMPLES = 32
# Not one row at a time: ModelOpt would take every Gemm for a product of a matrix and a vector, and
# leave it out.
BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A Q/DQ graph. Each quantisable layer is either in `quantised_layers` or in `kept_layers`.

    Quantised means: its data and its weights both come out of a DequantizeLinear.
    """

    model: onnx.ModelProto
    quantised_layers: tuple[str, ...]
    kept_layers: tuple[str, ...]


def quantisable_layers(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of every Conv, ConvTranspose, Gemm and MatMul with constant weights, in order."""
    return tuple(layer.name for layer in weighted_layers(model))


def to_int8(model: onnx.ModelProto, feed: Feed, *, method: str = "entropy") -> Quantised:
    """`model` with Q/DQ nodes round the layers that gain from INT8, by ModelOpt's placement.

    Weights: symmetric, one scale per output channel, from their maximum. Activations: symmetric,
    one scale per tensor, calibrated on all rows of `feed` by `method` (one of `METHODS`): "max"
    takes the largest value seen, "entropy" (ONNX Runtime's) may clip what lies beyond the reach of
    the first `BATCH_SIZE` rows, so their order matters to it.

    Layers that INT8 would slow down stay as they are: ModelOpt leaves out convolutions of few
    channels and products of fewer than 16. All else is FP32 still, see `fp16.to_fp16` (not by
    ModelOpt's `high_precision_dtype`, which looks at no ranges: where a layer writes more than FP16
    holds, its graph gives wrong answers and no warning, version 0.47). Inputs and outputs keep
    their dtypes; the opset becomes 19. Of a fixed batch axis only whole batches are used.

    Raises UnusableInput where rows are fewer than `MIN_SAMPLES` or do not fit the model; ValueError
    for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"{method}: not one of {METHODS}")
    fixed = batch_axis(model)
    count = check_feed(model, feed, least=max(MIN_SAMPLES, fixed or 1))
    batches = _Batches(feed, count // fixed * fixed if fixed else count, fixed or BATCH_SIZE)
    named = with_names(model)
    quantised = _quantize(named, batches, method)
    for name, scale in scales(quantised).items():
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise PlansmithError(f"{name}: ModelOpt gave it a scale that is not positive: {scale}")
    done = _dequantised(quantised)
    layers = quantisable_layers(named)
    return Quantised(
        model=quantised,
        quantised_layers=tuple(name for name in layers if name in done),
        kept_layers=tuple(name for name in layers if name not in done),
    )


class _Batches:
    """The first `count` rows in batches, as ONNX Runtime's CalibrationDataReader gives them."""

    def __init__(self, feed: Feed, count: int, size: int) -> None:
        self._batches = [
            rows(feed, start, min(start + size, count)) for start in range(0, count, size)
        ]
        self.rewind()

    def get_first(self) -> Feed:
        return self._batches[0]

    def get_next(self) -> Feed | None:
        return next(self._left, None)

    def rewind(self) -> None:
        self._left = iter(self._batches)


def _quantize(model: onnx.ModelProto, batches: _Batches, method: str) -> onnx.ModelProto:
    failure = "ModelOpt cannot quantise the model"
    with silenced(failure), tempfile.TemporaryDirectory() as folder:
        from modelopt.onnx.quantization import (  # pyright: ignore[reportMissingTypeStubs]
            quantize,
        )

        path, quantised = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, path)
        quantize(
            str(path),
            quantize_mode="int8",
            calibration_data_reader=batches,  # pyright: ignore[reportArgumentType]  # alike
            calibration_method=method,
            calibration_eps=["cpu"],
            high_precision_dtype="fp32",
            output_path=str(quantised),
            log_level="ERROR",
        )
        return onnx.load(quantised)


def scales(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """What a Q/DQ graph quantises, by the tensor's name: one scale, or one per output channel.

    Names are those before quantisation: casts to FP16 are looked through. float32, [] or
    [channels].
    """
    known, makers = constants(model), _makers(model)
    return {
        _before_casts(node.input[0], makers): value_of(known[node.input[1]]).astype(np.float32)
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[1] in known
    }


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {output: node for node in model.graph.node for output in node.output}


def _before_casts(tensor: str, makers: dict[str, onnx.NodeProto]) -> str:
    while tensor in makers and makers[tensor].op_type == "Cast":
        tensor = makers[tensor].input[0]
    return tensor


def _dequantised(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes whose first two inputs both come out of a DequantizeLinear."""
    makers = _makers(model)
    return {
        node.name
        for node in model.graph.node
        if len(node.input) > 1
        and all(
            makers[source].op_type == "DequantizeLinear" if source in makers else False
            for source in (_before_casts(tensor, makers) for tensor in node.input[:2])
        )
    }
