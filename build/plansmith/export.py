"""Trained model → one ONNX graph that takes what callers send: pre-processing is folded in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from plansmith.errors import UnusableInput
from plansmith.recipe import Input, Preprocess, Recipe
from plansmith.recipe_functions import call_function
from plansmith.tensors import TensorSpec

# The newest operator set that TensorRT 10, OpenVINO 2024 and ONNX Runtime 1.16 all read.
OPSET = 17


def export(recipe: Recipe, folder: Path) -> onnx.ModelProto:
    """The recipe's model as checked ONNX, batch axis free; files are looked for in `folder`.

    Raises UnusableInput where the source is missing, does not load, or disagrees with the recipe.
    """
    if recipe.source.kind == "onnx":
        model = _read_onnx(folder / recipe.source.location)
    else:
        model = _trace(call_function(recipe.source.location, folder), recipe)
    for tensor in recipe.inputs:
        if tensor.preprocess is not None:
            model = fold_preprocess(model, tensor, tensor.preprocess)
    onnx.checker.check_model(model, full_check=True)
    _check_tensors(model, recipe)
    return model


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


def _trace(module: object, recipe: Recipe) -> onnx.ModelProto:
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
    if not isinstance(module, torch.nn.Module):
        raise UnusableInput(
            f"{recipe.source.location}: gives a {type(module).__name__}, not a torch.nn.Module"
        )
    try:
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
    except Exception as error:  # whatever the module's own forward() raises
        shapes = ", ".join(
            f"{name} {list(one.shape)}" for name, one in zip(inputs, examples, strict=True)
        )
        raise UnusableInput(
            f"{recipe.source.location}: cannot be exported with {shapes}: "
            f"{type(error).__name__}: {error}"
        ) from error
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


def _check_tensors(model: onnx.ModelProto, recipe: Recipe) -> None:
    """Names, dtypes and shapes of the graph against the recipe's; the batch axis must be free."""
    sides = (
        ("input", [tensor.spec for tensor in recipe.inputs], model.graph.input),
        ("output", [tensor.spec for tensor in recipe.outputs], model.graph.output),
    )
    for side, wanted, values in sides:
        found = {value.name: value.type.tensor_type for value in values}
        if sorted(found) != sorted(spec.name for spec in wanted):
            names = ", ".join(spec.name for spec in wanted)
            raise UnusableInput(
                f"{side}: the recipe names {names}; the model has {', '.join(found)}"
            )
        for spec in wanted:
            _check_tensor(f"{side}.{spec.name}", found[spec.name], spec, recipe.max_batch_size)


def _check_tensor(
    field: str, found: onnx.TypeProto.Tensor, spec: TensorSpec, max_batch_size: int
) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(found.elem_type).name
    if dtype != spec.dtype:
        raise UnusableInput(f"{field}: the recipe says {spec.dtype}, the model has {dtype}")
    # None: free, or not told by the graph.
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in found.shape.dim]
    if sizes and sizes[0] is not None and sizes[0] != max_batch_size:
        raise UnusableInput(
            f"{field}: the model's batch axis is fixed at {sizes[0]}, targets.max_batch_size is "
            f"{max_batch_size}: export it with a free batch axis"
        )
    fits = len(sizes) == len(spec.shape) + 1 and all(
        have is None or have == want for have, want in zip(sizes[1:], spec.shape, strict=True)
    )
    if sizes and not fits:
        shape = ["any" if size is None else size for size in sizes[1:]]
        raise UnusableInput(f"{field}: the recipe says {list(spec.shape)}, the model has {shape}")
