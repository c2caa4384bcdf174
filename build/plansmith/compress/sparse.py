"""2:4 sparsity: in every four weights that are summed, the two smallest become zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from plansmith.compress.layers import WeightedLayer, constants, value_of, weighted_layers

# ModelOpt's own limits (modelopt.torch.sparsity, after NVIDIA's ASP): multiples of these of output
# and of summed channels, in two-dimensional convolutions and linear layers.
OUTPUTS_STEP, SUMS_STEP = 8, 16
AXES = {"Conv": 4, "Gemm": 2, "MatMul": 2}


@dataclass(frozen=True, kw_only=True)
class SparseReport:
    """`layers` were made 2:4, `skipped` are left as they were, both in graph order.

    `zero_share`: of all weights of both (0..1; 0 where the model has none).
    """

    layers: tuple[str, ...]
    skipped: tuple[str, ...]
    zero_share: float


def to_2_4(model: onnx.ModelProto) -> tuple[onnx.ModelProto, SparseReport]:
    """`model` with 2:4 weights along the summed axis, and what was done to it.

    The two largest magnitudes of each four stay, as in ModelOpt's mode "sparse_magnitude", which
    takes torch modules only. Nothing is retrained: expect a loss, and let the budget judge it.
    Skipped are layers of kinds and shapes that ModelOpt skips, and weights which something else
    reads too.
    """
    sparse = onnx.ModelProto()
    sparse.CopyFrom(model)
    known, layers = constants(sparse), weighted_layers(sparse)
    users = _users(sparse)
    chosen = [
        layer
        for layer in layers
        if users[layer.weight] == 1 and _is_fit(layer, known[layer.weight].dims)
    ]
    for layer in chosen:
        tensor = known[layer.weight]
        masked = _two_of_four(value_of(tensor), layer.sums_axis)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(masked), tensor.name))
    names = {layer.name for layer in chosen}
    return sparse, SparseReport(
        layers=tuple(layer.name for layer in layers if layer.name in names),
        skipped=tuple(layer.name for layer in layers if layer.name not in names),
        zero_share=_zero_share({layer.weight: value_of(known[layer.weight]) for layer in layers}),
    )


def is_2_4(array: NDArray[Any], axis: int) -> bool:
    """Whether each aligned four along `axis` has two zeros or more; a last short four counts too.

    What is missing from a short four counts as zeros, as hardware pads it.
    """
    last = np.moveaxis(np.asarray(array) != 0, axis, -1)
    padding = [(0, 0)] * (last.ndim - 1) + [(0, -last.shape[-1] % 4)]
    fours = np.pad(last, padding).reshape(-1, 4)
    return bool((fours.sum(axis=1) <= 2).all())


def _users(model: onnx.ModelProto) -> Counter[str]:
    """Tensor → how often the graph and its subgraphs read it, or hand it out."""
    users: Counter[str] = Counter(output.name for output in model.graph.output)
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            users.update(node.input)
            graphs.extend(one.g for one in node.attribute if one.HasField("g"))
    return users


def _is_fit(layer: WeightedLayer, shape: Sequence[int]) -> bool:
    return (
        AXES.get(layer.op_type) == len(shape)
        and shape[layer.outputs_axis] % OUTPUTS_STEP == 0
        and shape[layer.sums_axis] % SUMS_STEP == 0
    )


def _two_of_four(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """A copy with the two smallest magnitudes of each aligned four along `axis` set to zero.

    The axis is a multiple of four long. Of equal magnitudes the later stay.
    """
    moved = np.moveaxis(array, axis, -1)
    fours = moved.reshape(-1, 4).copy()
    smallest = np.argsort(np.abs(fours), axis=1, kind="stable")[:, :2]
    np.put_along_axis(fours, smallest, 0, axis=1)
    return np.moveaxis(fours.reshape(moved.shape), -1, axis)


def _zero_share(weights: Mapping[str, NDArray[Any]]) -> float:
    total = sum(array.size for array in weights.values())
    return sum(int((array == 0).sum()) for array in weights.values()) / total if total else 0.0
