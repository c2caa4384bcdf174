"""Trained model → one ONNX graph that takes what callers send: pre-processing is folded in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from plansmith.errors import UnusableInput
from plansmith.recipe import Input, Output, Preprocess, Source
from plansmith.recipe.functions import call_function
from plansmith.tensors import TensorSpec

if TYPE_CHECKING:
    import torch

# The newest operator set that TensorRT 10, OpenVINO 2024 and ONNX Runtime 1.16 all read.
OPSET = 17
# How long a free dimension is while a module is traced: long enough for convolutions to leave
# something of it, and like no dimension that is broadcast.
TRACED_SIZE = 48


class Exportable(Protocol):
    """What has to be known of a trained model: a recipe's part."""

    @property
    def source(self) -> Source: ...
    @property
    def inputs(self) -> tuple[Input, ...]: ...
    @property
    def outputs(self) -> tuple[Output, ...]: ...
    @property
    def max_batch_size(self) -> int: ...


def export(recipe: Exportable, folder: Path) -> onnx.ModelProto:
    """The recipe's model as ONNX, batch axis free; files are looked for in `folder`.

    With max_batch_size 0 the shapes are whole, no batch axis in front of them.
    Whether its operators are known and its graph is valid is the clean-up's to say. Raises
    UnusableInput where the source is missing, does not load, or disagrees with the recipe.
    """
    if recipe.source.kind != "onnx":
        return export_module(load_module(recipe, folder), recipe)
    return _finished(_read_onnx(_onnx_file(recipe.source.location, folder)), recipe)


def export_module(module: torch.nn.Module, recipe: Exportable) -> onnx.ModelProto:
    """The recipe's trained network, or one made of it, as `export` would give it."""
    return _finished(_trace(module.eval(), recipe), recipe)


def _finished(model: onnx.ModelProto, recipe: Exportable) -> onnx.ModelProto:
    """`model` with the recipe's pre-processing in front; refused where it is not the recipe's."""
    for tensor in recipe.inputs:
        if tensor.preprocess is not None:
            model = fold_preprocess(model, tensor, tensor.preprocess)
    _check_tensors(model, recipe)
    return model


def load_module(recipe: Exportable, folder: Path) -> torch.nn.Module:
    """The trained network of a recipe whose source is "torch" or "safetensors", to be evaluated.

    Weights of a safetensors file go strictly into the network that source.architecture gives.
    Raises UnusableInput where they do not fit, and where the function fails or gives no network.
    """
    import torch

    source = recipe.source
    place = source.architecture or source.location
    module: object = call_function(place, folder)
    if not isinstance(module, torch.nn.Module):
        raise UnusableInput(f"{place}: gives a {type(module).__name__}, not a torch.nn.Module")
    if source.kind == "safetensors":
        _load_weights(module, folder / source.location, place)
    return module.eval()


def _load_weights(module: torch.nn.Module, file: Path, place: str) -> None:
    from safetensors import SafetensorError
    from safetensors import torch as safetensors

    if not file.is_file():
        raise UnusableInput(f"{file}: no such file; check source.safetensors in the recipe")
    try:
        # Not strict: what does not fit is told below, all of it at once.
        missing, unexpected = safetensors.load_model(module, file, strict=False)
    except SafetensorError as error:
        raise UnusableInput(f"{file}: not a readable safetensors file ({error})") from error
    except RuntimeError as error:  # torch's, of weights of another shape
        raise UnusableInput(f"{file}: does not fit {place}: {error}") from error
    faults = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (("lacks", missing), ("has unknown", unexpected))
        if names
    ]
    if faults:
        raise UnusableInput(f"{file}: does not fit {place}: {'; '.join(faults)}")


def _onnx_file(location: str, folder: Path) -> Path:
    """The file that `location` names, or whose path its function gives."""
    if ".py:" not in location:
        return folder / location
    found: object = call_function(location, folder)
    if not isinstance(found, Path | str):
        raise UnusableInput(
            f"{location}: gives a {type(found).__name__}, not the path of an ONNX file"
        )
    return folder / found


def _read_onnx(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UnusableInput(f"{path}: no such file; check source.onnx in the recipe")
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's DecodeError, which onnx does not wrap
        raise UnusableInput(f"{path}: not a readable ONNX file ({error})") from error
    _name_free_axes(model.graph)
    return model


def _name_free_axes(graph: onnx.GraphProto) -> None:
    """Some exporters, Paddle2ONNX for one, write -1 as the size of a free axis: not ONNX."""
    for value in (*graph.input, *graph.output):
        for place, size in enumerate(value.type.tensor_type.shape.dim):
            if size.HasField("dim_value") and size.dim_value < 1:
                size.dim_param = f"{value.name}_{place}"


def _network_shape(tensor: Input) -> tuple[int, ...]:
    """What the network itself takes, without the batch axis: NCHW where the recipe says so."""
    shape = tensor.spec.shape
    if tensor.preprocess is not None and tensor.preprocess.layout == "NCHW":
        return (shape[2], shape[0], shape[1])
    return shape


def _trace(module: torch.nn.Module, recipe: Exportable) -> onnx.ModelProto:
    import torch

    # Batch 2: a batch of one would let the tracer take the axis for a constant.
    batch = (2,) if recipe.max_batch_size else ()
    examples = tuple(
        torch.zeros(
            *batch,
            *(TRACED_SIZE if size == -1 else size for size in _network_shape(tensor)),
            dtype=getattr(torch, "float32" if tensor.preprocess else tensor.spec.dtype),
        )
        for tensor in recipe.inputs
    )
    inputs = [tensor.spec.name for tensor in recipe.inputs]
    outputs = [tensor.spec.name for tensor in recipe.outputs]
    buffer = io.BytesIO()
    try:
        torch.onnx.export(
            module,
            examples,
            buffer,  # pyright: ignore[reportArgumentType]  # accepted by the tracing exporter
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=_free_axes(recipe),
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


def _free_axes(recipe: Exportable) -> dict[str, dict[int, str]]:
    """The names of each tensor's axes that have no size, by their places in the network's shape."""
    shapes = {tensor.spec.name: _network_shape(tensor) for tensor in recipe.inputs}
    shapes |= {tensor.spec.name: tensor.spec.shape for tensor in recipe.outputs}
    first = 1 if recipe.max_batch_size else 0
    axes: dict[str, dict[int, str]] = {}
    for name, shape in shapes.items():
        free = [place for place, size in enumerate(shape, start=first) if size == -1]
        axes[name] = {place: f"{name}_{place}" for place in free}
        if first:
            axes[name][0] = "batch"
    return axes


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
        ["batch", *(f"{name}_{i}" if n == -1 else n for i, n in enumerate(tensor.spec.shape, 1))],
    )
    graph.input[names.index(name)].CopyFrom(value)
    return folded


def _check_tensors(model: onnx.ModelProto, recipe: Exportable) -> None:
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
    is_text = found.elem_type == TensorProto.STRING
    dtype = "bytes" if is_text else helper.tensor_dtype_to_np_dtype(found.elem_type).name
    if dtype != spec.dtype:
        raise UnusableInput(f"{field}: the recipe says {spec.dtype}, the model has {dtype}")
    # None: free, or not told by the graph.
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in found.shape.dim]
    first = 1 if max_batch_size else 0
    if first and sizes and sizes[0] is not None and sizes[0] != max_batch_size:
        raise UnusableInput(
            f"{field}: the model's batch axis is fixed at {sizes[0]}, targets.max_batch_size is "
            f"{max_batch_size}: export it with a free batch axis"
        )
    fits = len(sizes) == len(spec.shape) + first and all(
        have is None or have == want for have, want in zip(sizes[first:], spec.shape, strict=True)
    )
    if sizes and not fits:
        shape = ["any" if size is None else size for size in sizes[first:]]
        raise UnusableInput(f"{field}: the recipe says {list(spec.shape)}, the model has {shape}")
