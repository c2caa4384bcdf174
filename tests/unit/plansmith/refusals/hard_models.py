"""Models that answer well in FP32 and that compression breaks; and real data for them.

All are one classifier of scikit-learn's handwritten digits, in ONNX or torch: 64 pixels → three
layers of WIDTH → 10 logits. Channels between layers may be scaled up and back down again: ReLU
lets every positive factor through, so the FP32 answers stay. Conftest reads this file as a recipe's
source.py, and lays it beside the recipe whose source is the torch module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from torch import nn

Floats = NDArray[np.float32]

WIDTH = 64
LAYERS = ("first", "second", "third", "last")
# Largest number of FP16: 65504. Weights of 1 and hidden values of some tens, so scaled, are beyond.
BEYOND_FP16 = 1e6
CALIBRATION, EVALUATION, TRAINING = slice(0, 256), slice(256, 956), slice(956, None)


def pixels() -> Floats:
    """[1797, 64], 0..1."""
    from sklearn.datasets import load_digits

    return (load_digits().data / 16).astype(np.float32)


def evaluation() -> Floats:
    return pixels()[EVALUATION]


def calibration() -> Floats:
    return pixels()[CALIBRATION]


def training() -> Floats:
    return pixels()[TRAINING]


def weights() -> dict[str, tuple[Floats, Floats]]:
    """Weight [inputs, outputs] and bias [outputs] by layer: random features, then least squares."""
    from sklearn.datasets import load_digits

    chance = np.random.default_rng(0)
    first = chance.normal(size=(64, WIDTH)), chance.normal(size=WIDTH)
    passing = np.eye(WIDTH), np.zeros(WIDTH)
    hidden = np.maximum(pixels() @ first[0] + first[1], 0)
    wanted = np.eye(10)[load_digits().target] * 10
    last, *_ = np.linalg.lstsq(np.c_[hidden, np.ones(len(hidden))], wanted, rcond=None)
    found = dict(zip(LAYERS, (first, passing, passing, (last[:-1], last[-1])), strict=True))
    return {
        name: (weight.astype(np.float32), bias.astype(np.float32))
        for name, (weight, bias) in found.items()
    }


def plain() -> onnx.ModelProto:
    """Nothing hard."""
    return _graph(np.ones(WIDTH, np.float32))


def overflowing() -> onnx.ModelProto:
    """Weights of "second" and what it gives are beyond FP16's range; the answers are not."""
    return _graph(np.full(WIDTH, BEYOND_FP16, np.float32))


def lopsided() -> onnx.ModelProto:
    """Half the channels of "second" are a thousand times the others: one scale leaves those none.

    A single such channel would be cut off by entropy calibration, and hardly missed.
    """
    return _graph(np.where(np.arange(WIDTH) < WIDTH // 2, 1000, 1).astype(np.float32))


def vanishing() -> onnx.ModelProto:
    """ "third" reads only the small channels, and what it gives is divided by its own length.

    Where one scale for all channels makes the small ones zero that is 0 / 0.
    """
    model = lopsided()
    graph = model.graph
    weight = next(tensor for tensor in graph.initializer if tensor.name == "third.weight")
    small = numpy_helper.to_array(weight).copy()
    small[: WIDTH // 2] = 0
    weight.CopyFrom(numpy_helper.from_array(small, weight.name))
    place = next(index for index, node in enumerate(graph.node) if node.name == "last")
    nodes = [
        helper.make_node("ReduceL2", ["third.relu"], ["length"], name="length", axes=[1]),
        helper.make_node("Div", ["third.relu", "length"], ["direction"], name="direction"),
    ]
    graph.node[place].input[0] = "direction"
    for node in reversed(nodes):
        graph.node.insert(place, node)
    return model


def _graph(factors: Floats) -> onnx.ModelProto:
    """The classifier with the channels between "second" and "third" times `factors`."""
    scaled = weights()
    scaled["second"] = tuple(array * factors for array in scaled["second"])
    scaled["third"] = scaled["third"][0] / factors[:, None], scaled["third"][1]
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    before = "x"
    for name, (weight, bias) in scaled.items():
        tensors += [
            numpy_helper.from_array(weight, f"{name}.weight"),
            numpy_helper.from_array(bias, f"{name}.bias"),
        ]
        after = "logits" if name == "last" else f"{name}.sum"
        inputs = [before, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [after], name=name))
        if name != "last":
            before = f"{name}.relu"
            nodes.append(helper.make_node("Relu", [after], [before], name=before))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def module() -> nn.Module:
    """The classifier in torch."""
    import torch
    from torch import nn

    layers = nn.Sequential()
    for name, (weight, bias) in weights().items():
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.add_module(name, linear)
        if name != "last":
            layers.add_module(f"{name}_relu", nn.ReLU())
    return layers
