"""Rewrites of an ONNX graph, in place, that keep its answers: what onnxslim does not do well."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from plansmith.compress.graph_size import STANDARD_DOMAINS, infer_shapes, subgraphs


def fold_pads(model: onnx.ModelProto) -> None:
    """Puts zeros that a Pad adds around an image into the `pads` of the Convs that read it.

    Only where nothing but Convs reads them; Pads whose amounts are not constant stay.
    """
    graph = model.graph
    pads = [node for node in graph.node if _is(node, "Pad")]
    if not pads:
        return
    shapes = infer_shapes(model)
    weights = _weights(graph)
    for pad in reversed(pads):  # the last of a chain first: then its Conv reads the one before
        readers = _readers(graph, pad.output[0])
        rank = len(shapes.get(pad.output[0], ()))
        around = _zeros_around(pad, rank, weights)
        if around is None or not readers:
            continue
        if not all(_pads_explicitly(conv, pad.output[0]) for conv in readers):
            continue
        for conv in readers:
            _add_pads(conv, around)
            conv.input[0] = pad.input[0]
        graph.node.remove(pad)


def _is(node: onnx.NodeProto, *op_types: str) -> bool:
    return node.domain in STANDARD_DOMAINS and node.op_type in op_types


def _readers(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    """The nodes that read tensor `name`; none where it is seen elsewhere: an output, a branch."""
    if name in _kept_names(graph):
        return []
    return [node for node in graph.node if name in node.input]


def _kept_names(graph: onnx.GraphProto) -> set[str]:
    """Tensors that are outputs, or that branches and loop bodies read."""
    inner = list(subgraphs(graph))[1:]
    names = {value.name for one in (graph, *inner) for value in one.output}
    return names | {name for one in inner for node in one.node for name in node.input}


def _weights(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _zeros_around(
    pad: onnx.NodeProto, rank: int, weights: dict[str, onnx.TensorProto]
) -> list[int] | None:
    """The zeros before, then after, each spatial axis; None where `pad` does anything else.

    Pad's inputs are data, pads, value and axes; before opset 11 pads and value are attributes.
    """
    settings = _attributes(pad)
    names = (*pad.input[1:], "", "", "")[:3]
    if any(name and name not in weights for name in names) or rank < 3:
        return None
    found = [numpy_helper.to_array(weights[name]) if name else None for name in names]
    amounts = settings.get("pads") if found[0] is None else found[0].tolist()
    value = settings.get("value", 0.0) if found[1] is None else found[1].item()
    axes = list(range(rank)) if found[2] is None else [axis % rank for axis in found[2].tolist()]
    if amounts is None or value != 0 or settings.get("mode", b"constant") != b"constant":
        return None
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    if any(before[:2] + after[:2]) or min(before + after) < 0:
        return None
    return before[2:] + after[2:]


def _pads_explicitly(conv: onnx.NodeProto, data: str) -> bool:
    automatic = _attributes(conv).get("auto_pad", b"NOTSET")
    reads_data_only = conv.input[0] == data and list(conv.input).count(data) == 1
    return _is(conv, "Conv") and automatic in {b"NOTSET", b"VALID"} and reads_data_only


def _add_pads(conv: onnx.NodeProto, around: list[int]) -> None:
    settings = _attributes(conv)
    # With VALID its own pads are void.
    own = settings.get("pads") if settings.get("auto_pad") != b"VALID" else None
    total = [one + two for one, two in zip(around, own or [0] * len(around), strict=True)]
    _set_attributes(conv, pads=total, auto_pad=None)


def _set_attributes(node: onnx.NodeProto, **values: Any) -> None:
    """Sets attributes; None takes one away."""
    kept = [one for one in node.attribute if one.name not in values]
    given = {name: value for name, value in values.items() if value is not None}
    made = [helper.make_attribute(name, value) for name, value in given.items()]
    del node.attribute[:]
    node.attribute.extend([*kept, *made])


def fold_batch_norm_into_gemm(model: onnx.ModelProto) -> None:
    """Y = norm(A·B + C) becomes one Gemm with other weights, worked out in float64."""
    graph = model.graph
    for gemm in [node for node in graph.node if _is(node, "Gemm")]:
        readers = _readers(graph, gemm.output[0])
        weights = _weights(graph)
        if len(readers) != 1 or not _normalises(readers[0], gemm.output[0], weights):
            continue
        if any(name and name not in weights for name in gemm.input[1:]):
            continue
        norm = readers[0]
        kernel, bias = _normed_weights(gemm, norm, weights)
        names = [f"{norm.output[0]}/{role}" for role in ("weight", "bias")]
        dtype = numpy_helper.to_array(weights[gemm.input[1]]).dtype
        for name, array in zip(names, (kernel, bias), strict=True):
            graph.initializer.append(numpy_helper.from_array(array.astype(dtype), name))
        _set_attributes(gemm, beta=1.0)
        gemm.input[:] = [gemm.input[0], *names]
        gemm.output[0] = norm.output[0]
        graph.node.remove(norm)


def _normalises(node: onnx.NodeProto, data: str, weights: dict[str, onnx.TensorProto]) -> bool:
    return (
        _is(node, "BatchNormalization")
        and node.input[0] == data
        and all(name in weights for name in node.input[1:])
        and len(node.output) == 1
        and not _attributes(node).get("training_mode", 0)
    )


def _normed_weights(
    gemm: onnx.NodeProto, norm: onnx.NodeProto, weights: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias (its beta included) of `gemm` with `norm` behind it."""
    settings = _attributes(gemm)
    epsilon = _attributes(norm).get("epsilon", 1e-5)
    kernel, *rest = (_float64(weights[name]) for name in gemm.input[1:] if name)
    scale, shift, mean, variance = (_float64(weights[name]) for name in norm.input[1:5])
    factor = scale / np.sqrt(variance + epsilon)
    bias = settings.get("beta", 1.0) * rest[0] if rest else np.zeros(())
    by_output = factor[:, None] if settings.get("transB", 0) else factor
    return kernel * by_output, (bias - mean) * factor + shift


def _float64(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return numpy_helper.to_array(tensor).astype(np.float64)


def share_equal_weights(graph: onnx.GraphProto) -> None:
    """Nodes read the first of the initialisers with the same type, shape and bytes.

    Branches and outputs go on with the one they name.
    """
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    instead: dict[str, str] = {}
    for tensor in graph.initializer:
        digest = hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
        key = (tensor.data_type, tuple(tensor.dims), digest)
        survivor = first.setdefault(key, tensor.name)
        if survivor != tensor.name:
            instead[tensor.name] = survivor
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    """Removes the initialisers that no node, branch or output reads."""
    read = _kept_names(graph) | {name for node in graph.node for name in node.input}
    used = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(used) < len(graph.initializer):
        copies = onnx.GraphProto()
        copies.initializer.extend(used)
        del graph.initializer[:]
        graph.initializer.extend(copies.initializer)
