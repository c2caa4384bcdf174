"""A classifier of the mean color, small enough to be worked out with NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from openvino_models import Graph, spec

LABELS = ("red", "green", "blue", "dark", "bright", "grey")
# From the mean of each channel, 0..255, to logits of a few units.
WEIGHTS = np.random.default_rng(0).normal(size=(3, len(LABELS))).astype(np.float32) / 64
CLASSIFIER = Graph(
    inputs=(spec("image", 32, 32, 3, dtype="uint8"),),
    outputs=(spec("logits", len(LABELS)),),
    nodes=[
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["logits"]),
    ],
    constants={"w": WEIGHTS},
)


def shares_of(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the classifier is to answer, [N, classes]: the softmax of the means times WEIGHTS."""
    exponentials = np.exp(images.mean(axis=(1, 2)) @ WEIGHTS.astype(np.float64))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
