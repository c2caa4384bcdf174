"""Tiny models for the OpenVINO backend: ONNX nodes → IR and config as the product makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from plansmith.config.rendering import render
from plansmith.recipe import Budget, Data, Input, Output, Quantize, Recipe, Source
from plansmith.targets.openvino import Variant, compile_model, serving_config
from plansmith.tensors import TensorSpec
from python_models import CONFIG_NAME
from small_models import model_of


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What an ONNX model is made of; every tensor gets a free batch axis in front if `batched`."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: Sequence[onnx.NodeProto]
    constants: dict[str, NDArray[np.generic]]
    batched: bool = True


def spec(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def variant(*, streams: int = 1, batch_size: int = 4, static: bool = True) -> Variant:
    return Variant(
        form="fp32",
        precision="fp32",
        streams=streams,
        threads=streams,
        batch_size=batch_size,
        static=static,
    )


def write_version(
    repository: Path,
    name: str,
    graph: Graph,
    how: Variant,
    *,
    max_batch_size: int = 4,
    labels: tuple[str, ...] = (),
    max_queue_delay_microseconds: int = 0,
) -> None:
    """Version 1 of the model `name`, and its config for the target `cpu`."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "configs").mkdir()
    onnx.save(_model(graph), folder / "model.onnx")
    compile_model(folder / "model.onnx", folder / "1")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    recipe = _recipe(graph, max(max_batch_size, 1), bool(labels))
    config = serving_config(how, name, recipe, (1,)).message
    if max_batch_size == 0:
        config.max_batch_size = 0
        config.ClearField("dynamic_batching")
    else:
        config.dynamic_batching.max_queue_delay_microseconds = max_queue_delay_microseconds
    text = render(config)
    (folder / "configs" / f"{CONFIG_NAME}.pbtxt").write_text(text)


def _model(graph: Graph) -> onnx.ModelProto:
    def info(one: TensorSpec) -> onnx.ValueInfoProto:
        sizes = [f"{one.name}_{axis}" if size < 0 else size for axis, size in enumerate(one.shape)]
        axes = ["batch", *sizes] if graph.batched else sizes
        element = helper.np_dtype_to_tensor_dtype(np.dtype(one.dtype))
        return helper.make_tensor_value_info(one.name, element, axes)

    return model_of(graph.nodes, map(info, graph.inputs), map(info, graph.outputs), graph.constants)


def _recipe(graph: Graph, max_batch_size: int, has_labels: bool) -> Recipe:
    labels = "labels.txt" if has_labels else None
    return Recipe(
        source=Source(kind="onnx", location="model.onnx"),
        inputs=tuple(Input(spec=one, preprocess=None) for one in graph.inputs),
        outputs=tuple(Output(spec=one, labels=labels) for one in graph.outputs),
        data=Data(evaluation="samples.npz"),
        prune=None,
        quantize=Quantize(),
        budget=Budget(metric="top1_agreement", max_drop=0.01),
        p99_ms=100.0,
        targets=(CONFIG_NAME,),
        max_batch_size=max_batch_size,
    )
