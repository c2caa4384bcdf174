"""Trained model → one ONNX graph that takes what callers send: pre-processing is folded in."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from plansmith.errors import UnusableInput
from plansmith.recipe import Input, Preprocess, Recipe

if TYPE_CHECKING:
    import torch

# The newest operator set that TensorRT 10, OpenVINO 2024 and ONNX Runtime 1.16 all read.
OPSET = 17


def export(recipe: Recipe, folder: Path) -> onnx.ModelProto:
    """The recipe's model as checked ONNX, batch axis free; files are looked for in `folder`.

    Raises UnusableInput where the source is missing, does not load, or disagrees with the recipe.
    """
    if recipe.source.kind == "onnx":
        model = _read_onnx(folder / recipe.source.location)
    else:
        model = _trace(load_function(recipe.source.location, folder)(), recipe)
    for tensor in recipe.inputs:
        if tensor.preprocess is not None:
            model = fold_preprocess(model, tensor, tensor.preprocess)
    onnx.checker.check_model(model, full_check=True)
    _check_names(model, recipe)
    return model


def load_function(location: str, folder: Path) -> Callable[[], Any]:
    """The function named by `file.py:function`, the file beside the recipe in `folder`."""
    file, _, name = location.rpartition(":")
    path = folder / file
    if not path.is_file():
        raise UnusableInput(f"{path}: no such file; the recipe names {location!r}")
    spec = importlib.util.spec_from_file_location(f"recipe_source_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise UnusableInput(f"{path}: has no function {name!r}; the recipe names {location!r}")
    return function


def _read_onnx(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UnusableInput(f"{path}: no such file; check source.onnx in the recipe")
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's DecodeError, which onnx does not wrap
        raise UnusableInput(f"{path}: not a readable ONNX file ({error})") from error


def _network_shape(tensor: Input) -> tuple[int, ...]:
    """What the network itself takes, without the batch axis: NCHW where the recipe says so."""
    shape = tensor.spec.shape
    if tensor.preprocess is not None and tensor.preprocess.layout == "NCHW":
        return (shape[2], shape[0], shape[1])
    return shape


def _trace(module: torch.nn.Module, recipe: Recipe) -> onnx.ModelProto:
    import torch

    # Batch 2: a batch of one would let the tracer take the axis for a constant.
    examples = tuple(
        torch.zeros(
            2,
            *(1 if size == -1 else size for size in _network_shape(tensor)),
            dtype=getattr(torch, "float32" if tensor.preprocess else tensor.spec.dtype),
        )
        for tensor in recipe.inputs
    )
    inputs = [tensor.spec.name for tensor in recipe.inputs]
    outputs = [tensor.spec.name for tensor in recipe.outputs]
    buffer = io.BytesIO()
    torch.onnx.export(
        module.eval(),
        examples,
        buffer,  # pyright: ignore[reportArgumentType]  # accepted by the tracing exporter
        input_names=inputs,
        output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in [*inputs, *outputs]},
        opset_version=OPSET,
        dynamo=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def fold_preprocess(model: onnx.ModelProto, tensor: Input, steps: Preprocess) -> onnx.ModelProto:
    """`model` with (x - mean) * scale and the layout change put before input `tensor`.

    The new input has the recipe's dtype and shape, [N, height, width, channels].
    """
    name = tensor.spec.name
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    names = [value.name for value in graph.input]
    if name not in names:
        raise UnusableInput(f"input.{name}: the model has no such input; it has {', '.join(names)}")
    inner = f"{name}/normalised"
    for node in graph.node:
        node.input[:] = [inner if used == name else used for used in node.input]
    nodes = [
        helper.make_node("Cast", [name], [f"{name}/float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{name}/float", f"{name}/mean"], [f"{name}/centred"]),
        helper.make_node("Mul", [f"{name}/centred", f"{name}/scale"], [f"{name}/scaled"]),
    ]
    if steps.layout == "NCHW":
        nodes.append(helper.make_node("Transpose", [f"{name}/scaled"], [inner], perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", [f"{name}/scaled"], [inner]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    constants = {"mean": steps.mean, "scale": steps.scale}
    for label, value in constants.items():
        array = np.asarray(value, dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(array, f"{name}/{label}"))
    value = helper.make_tensor_value_info(
        name,
        helper.np_dtype_to_tensor_dtype(np.dtype(tensor.spec.dtype)),
        ["batch", *tensor.spec.shape],
    )
    graph.input[names.index(name)].CopyFrom(value)
    return folded


def _check_names(model: onnx.ModelProto, recipe: Recipe) -> None:
    sides = (
        ("input", [t.spec.name for t in recipe.inputs], model.graph.input),
        ("output", [t.spec.name for t in recipe.outputs], model.graph.output),
    )
    for side, wanted, values in sides:
        found = [value.name for value in values]
        if sorted(found) != sorted(wanted):
            raise UnusableInput(
                f"{side}: the recipe names {', '.join(wanted)}; the model has {', '.join(found)}"
            )
