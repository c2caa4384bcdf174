"""Mixed precision for explicit Q/DQ: the fewest layers left out of INT8 that keep the answers.

What a layer costs in high precision is told by its multiply-accumulates: there may be no GPU
to time it on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from plansmith.compress.graph_size import layer_macs
from plansmith.compress.mixed import Kept, Layer, search
from plansmith.compress.tuning import Tuning
from plansmith.measure import Feed

# Enough to rank layers by: each is tried by itself, and there are many.
RANKING_ROWS = 24
Answer = Callable[[onnx.ModelProto, Feed], NDArray[np.float32]]
_LINKS = ("QuantizeLinear", "DequantizeLinear")


def bypass(model: onnx.ModelProto, nodes: Collection[str]) -> onnx.ModelProto:
    """`model` with the inputs of these nodes as they were before quantisation."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    makers = {output: node for node in plain.graph.node for output in node.output}
    for node in plain.graph.node:
        if node.op_type not in _LINKS and node.name in nodes:
            node.input[:] = [_before(name, makers) for name in node.input]
    _drop_unread(plain.graph)
    return plain


def _before(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """The tensor that was quantised and dequantised into `name`, or `name` itself."""
    dequantise = makers.get(name)
    if dequantise is None or dequantise.op_type != "DequantizeLinear":
        return name
    quantise = makers.get(dequantise.input[0])
    if quantise is None or quantise.op_type != "QuantizeLinear":
        return name
    return quantise.input[0]


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Removes Q and DQ nodes, and scales, that nothing reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
        dead = [n for n in graph.node if n.op_type in _LINKS and not read & set(n.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(tensor)


def without(
    quantised: onnx.ModelProto, layers: Collection[str], kept: Collection[str]
) -> onnx.ModelProto:
    """The Q/DQ graph with INT8 at those of `layers` that are not `kept`, and nowhere else.

    So that nothing kept is in vain: sums and the like that ModelOpt quantised between layers are
    left alone, too.
    """
    others = {node.name for node in quantised.graph.node} - (set(layers) - set(kept))
    return bypass(quantised, others)


def find_kept_layers(
    quantised: onnx.ModelProto,
    layers: Collection[str],
    tuning: Tuning,
    answer: Answer,
    tick: Callable[[int, int, str], None],
) -> Kept | None:
    """Which of the quantised `layers` to leave in high precision for the loss that is aimed at.

    `quantised`: a Q/DQ graph in FP32. `answer` runs a graph on rows. None where even leaving all of
    the layers does not reach the goal.
    """
    macs = layer_macs(quantised)
    few = tuning.spread(RANKING_ROWS)
    everything = {node.name for node in quantised.graph.node}
    ranked: list[Layer] = []
    for index, name in enumerate(layers):
        tick(index, len(layers), f"alone in INT8: {name}")
        alone = bypass(quantised, everything - {name})
        harm = few.divergence(answer(alone, few.feed))
        ranked.append(Layer(name=name, harm=harm, cost=float(macs.get(name) or 1)))

    def loss_of(kept: tuple[str, ...]) -> float:
        tick(len(layers), len(layers), f"{len(kept)} of {len(layers)} layers in high precision")
        return tuning.loss(answer(without(quantised, layers, kept), tuning.feed))

    return search(ranked, loss_of, tuning.goal)
