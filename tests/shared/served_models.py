"""Small models as they are to be served, and what is made of them by way of the text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf import text_format

from plansmith.config.compose import compose
from plansmith.config.message import ModelConfig
from plansmith.config.rendering import render_config
from plansmith.config.served import Instances, ServedModel, WarmUpRow, WarmUpTensor
from plansmith.recipe.serving_words import Serving
from plansmith.tensors import TensorSpec

X = TensorSpec(name="x", dtype="float32", shape=(2,))
Y = TensorSpec(name="y", dtype="float32", shape=(-1, 3))
MODEL = ServedModel(name="m", backend="python", max_batch_size=4, inputs=(X,), outputs=(Y,))
GPU = replace(MODEL, backend="tensorrt", instances=(Instances(kind="KIND_GPU"),))
ROW = WarmUpRow(tensors=(WarmUpTensor(spec=X, shape=(2,), content=bytes(range(8))),))


def made(model: ServedModel = MODEL, **words: Any) -> ModelConfig:
    """The message of `model` with these words of serving, by way of the text."""
    config = compose(replace(model, serving=Serving(**words)))
    read = text_format.Parse(render_config(config), ModelConfig())
    assert read == config.message
    return read
