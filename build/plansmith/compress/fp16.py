"""FP32 → FP16 by ModelOpt's AutoCast, with FP32 kept where FP16 cannot hold the values."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from plansmith.compress.layers import layer_names, with_names
from plansmith.compress.quiet import silenced
from plansmith.compress.ranges import FP16_MAX, LayerRange, overflows, tensor_ranges
from plansmith.measure import Feed

# Callers will send rows that reach further than those seen: a layer stays FP32 from a quarter of
# FP16's largest number on. AutoCast's own default, 512, is about rounding, which is relative.
HEADROOM = 4.0
# They compute nothing that a precision could spoil.
MOVERS = {"Cast", "Constant", "Identity"}


@dataclass(frozen=True, kw_only=True)
class TypedFp16:
    """A strongly typed graph: FP16 but for `fp32_layers`; inputs and outputs keep their dtypes.

    `overflows`: what was measured beyond FP16's largest number, worst first.
    """

    model: onnx.ModelProto
    fp32_layers: tuple[str, ...]
    overflows: tuple[LayerRange, ...]


def to_fp16(model: onnx.ModelProto, feed: Feed) -> TypedFp16:
    """`model` with every layer in FP16 that FP16 can hold.

    Judged by the ranges that the rows of `feed` (real data, in the recipe's dtypes) take, with
    `HEADROOM`. Raises UnusableInput where there are no rows, or they do not fit the model.
    """
    named = with_names(model)
    ranges = tensor_ranges(named, feed)
    cast = _autocast(named, {one.tensor: one.max_abs for one in ranges})
    return TypedFp16(
        model=cast, fp32_layers=_fp32_layers(cast, layer_names(named)), overflows=overflows(ranges)
    )


def _autocast(model: onnx.ModelProto, reach: Mapping[str, float]) -> onnx.ModelProto:
    failure = "ModelOpt cannot convert the model to FP16"
    with silenced(failure), tempfile.TemporaryDirectory() as folder:
        from modelopt.onnx.autocast import (  # pyright: ignore[reportMissingTypeStubs]
            convert_to_mixed_precision,
        )

        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        return convert_to_mixed_precision(
            str(path),
            low_precision_type="fp16",
            keep_io_types=True,
            # By tensor, from ranges measured in small batches. AutoCast's own measurement keeps
            # every intermediate of every row in memory; without a limit for it, it runs none.
            custom_rule=_BeyondHeadroom(reach),  # pyright: ignore[reportArgumentType]  # its `check`
            data_max=np.inf,
            providers=["cpu"],
        )


class _BeyondHeadroom:
    """AutoCast's rule: a node stays FP32 if it reads or writes a tensor that reaches too far."""

    def __init__(self, reach: Mapping[str, float]) -> None:
        self._reach = reach

    def check(self, node: onnx.NodeProto) -> bool:
        reached = (self._reach.get(tensor, 0.0) for tensor in [*node.input, *node.output])
        return any(not value <= FP16_MAX / HEADROOM for value in reached)  # true for NaN as well


def _fp32_layers(model: onnx.ModelProto, layers: Sequence[str]) -> tuple[str, ...]:
    """Those of `layers` that still compute in FP32, in graph order."""
    types = _element_types(model)
    return tuple(
        node.name
        for node in model.graph.node
        if node.name in set(layers)
        and node.op_type not in MOVERS
        and any(types.get(output) == onnx.TensorProto.FLOAT for output in node.output)
    )


def _element_types(model: onnx.ModelProto) -> dict[str, Any]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: value.type.tensor_type.elem_type
        for value in [*graph.input, *graph.value_info, *graph.output]
    }
