"""Layers from a builder's log: of a real build, and of text that lists none."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines import layers
from plansmith.engines.layers import LayerTensor
from plansmith.engines.passport import EnginePassport

LOG = (
    "Layers:\n"
    "Name: /conv_0, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [-1,3,8,8], "
    "Strides: [192,64,8,1], StrideOrder: [3,2,1,0], Datatype: Float, Format: (Linear) "
    "Row major }], Constants: [ { Name: w, Dimensions: [8,3,3,3], Strides: [1], "
    "StrideOrder: [0], Datatype: Half, Format: (NHWC) Channel major format }], "
    "Outputs: [ { Name: y, Dimensions: [-1,8,8,8], Strides: [1], StrideOrder: [0], "
    "Datatype: Half, Format: (NHWC) Channel major format }], TacticName: fast, StreamId: 0, "
    "Metadata: [ONNX Layer: /conv]\x1e[ONNX Layer: /relu]\n"
    "Engine Metadata:\n Multi-Device: Disabled\n"
)


def test_a_layer_tells_its_tensors_tactic_and_nodes() -> None:
    (layer,) = layers.from_log(["Layer(Myelin): something", LOG])
    assert (layer.name, layer.kind, layer.tactic) == ("/conv_0", "correlation", "fast")
    assert layer.inputs == (LayerTensor(name="x", dtype="Float", shape=(-1, 3, 8, 8)),)
    assert layer.outputs == (LayerTensor(name="y", dtype="Half", shape=(-1, 8, 8, 8)),)
    assert layer.origin == ("/conv", "/relu")


@given(st.lists(st.text()))
def test_other_messages_list_no_layers(messages: list[str]) -> None:
    assert layers.from_log([text for text in messages if text != "Layers:\n"]) == ()


def test_a_real_engine_has_its_layers_beside_it(engine: tuple[Path, EnginePassport]) -> None:
    found = json.loads(engine[0].with_suffix(".layers.json").read_text())
    tensors = {tensor["name"] for layer in found for tensor in layer["inputs"] + layer["outputs"]}
    assert {"x", "y"} <= tensors
