"""Single layers of a quantised OpenVINO model, put back to FP32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WEIGHTED_TYPES = frozenset({"Convolution", "GroupConvolution", "MatMul"})
SHAPE_TYPES = frozenset({"Reshape", "Transpose", "Squeeze", "Unsqueeze"})


def weighted_layers(model: Any) -> tuple[str, ...]:
    """Names of the convolutions and matrix products whose second operand is fixed, in order."""
    return tuple(
        op.friendly_name
        for op in model.get_ordered_ops()
        if op.get_type_name() in WEIGHTED_TYPES and _weights(op) is not None
    )


def quantised_layers(model: Any) -> tuple[str, ...]:
    """Those of the weighted layers whose weights are 8-bit, in order."""
    return tuple(
        op.friendly_name
        for op in model.get_ordered_ops()
        if op.get_type_name() in WEIGHTED_TYPES and _has_int8_weights(op)
    )


def revert(model: Any, original: Any, names: Sequence[str]) -> None:
    """Puts the layers `names` of the quantised `model` back to FP32, in place.

    `original` is the model before quantisation, with the same names. A layer gets its weights
    back, its bias as it was before NNCF corrected it for the error of these weights, and its input
    as it is before rounding; other users of the same input keep theirs rounded. Roundings that then
    serve no 8-bit layer are taken out. Right only without SmoothQuant and channel alignment,
    which scale neighbouring layers against each other.
    """
    if not names:
        return
    ops = {op.friendly_name: op for op in model.get_ops()}
    sources = {op.friendly_name: op for op in original.get_ops()}
    for name in names:
        layer = ops[name]
        _put_constant(layer.input(1), _weights(sources[name]))
        _restore_bias(layer, sources)
        port = _rounded_input(layer.input(0))
        if port is not None:
            port.replace_source_output(port.get_source_output().get_node().input_value(0))
    _drop_idle_roundings(model)
    model.validate_nodes_and_infer_types()


def _weights(op: Any) -> Any:
    """The values of the fixed second operand in FP32; None where it depends on the input."""
    node = op.input_value(1).get_node()
    if node.get_type_name() == "Convert":  # weights that were stored in half precision
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    return node.data.astype(np.float32)


def _has_int8_weights(op: Any) -> bool:
    node = op.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        if node.get_type_name() == "FakeQuantize":
            return True
        if node.get_input_size() == 0:
            return False
        node = node.input_value(0).get_node()
    return node.get_element_type().get_type_name() in {"i8", "u8"}


def _put_constant(port: Any, values: Any) -> None:
    from openvino import opset13

    port.replace_source_output(opset13.constant(values).output(0))


def _restore_bias(layer: Any, sources: dict[str, Any]) -> None:
    for target in layer.output(0).get_target_inputs():
        add = target.get_node()
        if add.get_type_name() != "Add":
            continue
        port = add.input(1 - target.get_index())
        if port.get_source_output().get_node().get_type_name() != "Constant":
            continue
        source = sources.get(add.friendly_name)
        corrected = port.get_source_output().get_node().data
        if source is None:  # NNCF gives layers without a bias one, to correct it
            _put_constant(port, np.zeros_like(corrected))
        else:
            _put_constant(port, source.input_value(port.get_index()).get_node().data.copy())


def _rounded_input(port: Any) -> Any:
    """The input port that a rounding feeds: `port`, or one before it if only the shape changes."""
    node = port.get_source_output().get_node()
    if node.get_type_name() == "FakeQuantize":
        return port
    if node.get_type_name() in SHAPE_TYPES and len(node.output(0).get_target_inputs()) == 1:
        return _rounded_input(node.input(0))
    return None


def _drop_idle_roundings(model: Any) -> None:
    """Takes out roundings of activations whose values reach no layer that computes in 8 bits."""
    serves: dict[str, bool] = {}
    # Backwards: what comes after a node is known before the node itself is judged.
    for op in reversed(model.get_ordered_ops()):
        users = [target.get_node() for out in op.outputs() for target in out.get_target_inputs()]
        serves[op.friendly_name] = any(_computes_or_serves(user, serves) for user in users)
    for op in model.get_ordered_ops():
        if op.get_type_name() == "FakeQuantize" and not serves[op.friendly_name]:
            for target in op.output(0).get_target_inputs():
                target.replace_source_output(op.input_value(0))


def _computes_or_serves(user: Any, serves: dict[str, bool]) -> bool:
    if user.get_type_name() not in WEIGHTED_TYPES:
        return serves.get(user.friendly_name, False)
    # A product of two activations has no weights to tell by; it computes as its inputs are.
    return _has_int8_weights(user) or _depends_on_input(user)


def _depends_on_input(op: Any) -> bool:
    return _weights(op) is None and not _has_int8_weights(op)
