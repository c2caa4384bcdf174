"""The same model with less in its graph: what can be worked out beforehand is, what is idle goes.

onnxslim folds constants and BatchNorm and drops idle nodes; what it misses or gets wrong (0.1.98:
Pad with axes, Constant with `value_float`, unused inputs, large equal weights) is done here and in
fold.py.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from plansmith.compress.fold import (
    drop_unused_weights,
    fold_batch_norm_into_gemm,
    fold_pads,
    share_equal_weights,
)
from plansmith.compress.graph_size import STANDARD_DOMAINS, GraphSize, measure_size, subgraphs
from plansmith.errors import UnusableInput

# ONNX Runtime's own operators stand in "com.microsoft"; onnx has no schemas of them.
FOREIGN_DOMAINS = ("com.microsoft",)
# onnxslim's rewrites that keep the answers; 0.1.98 has others that crash (FusionConvMul on a weight
# that is no constant) or reshape what quantisers look for.
REWRITES = ("FusionConvBN", "FusionConvTransposeBN")
# onnxslim would draw once and keep the number.
RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
# How onnx's checker and its shape inference name a node.
NODE_IN_MESSAGE = (
    re.compile(r"[Nn]ame: (?P<name>.*?) OpType: (?P<op>\w+)"),
    re.compile(r"op_type:\s*(?P<op>\w+), node name: (?P<name>[^)]*)\)"),
)


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A model that answers as before; `problem` says what kept onnxslim from it, else is empty."""

    model: onnx.ModelProto
    before: GraphSize
    after: GraphSize
    problem: str = ""


def clean(model: onnx.ModelProto) -> Cleaned:
    """The cleaned copy of `model`: inputs, outputs and opset stay exactly as they are.

    Initialisers that are listed as inputs too, as before IR 4, are inputs no longer. Raises
    UnusableInput where the model is not valid ONNX or has operators that no target knows.
    """
    check_operators(model)
    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    _name_nodes(prepared.graph)
    _check_valid(prepared)
    _drop_weights_from_inputs(prepared)
    cleaned, problem = _slim(prepared)
    fold_pads(cleaned)
    fold_batch_norm_into_gemm(cleaned)
    share_equal_weights(cleaned.graph)
    drop_unused_weights(cleaned.graph)
    _name_nodes(cleaned.graph)
    _restore_interface(cleaned, prepared)
    onnx.checker.check_model(cleaned, full_check=True)
    return Cleaned(
        model=cleaned, before=measure_size(model), after=measure_size(cleaned), problem=problem
    )


def check_operators(model: onnx.ModelProto) -> None:
    """Raises UnusableInput that names every node whose operator is not one of the model's opset."""
    own = {(function.domain, function.name) for function in model.functions}
    places = [(graph.node, model.opset_import) for graph in subgraphs(model.graph)]
    places += [(function.node, function.opset_import) for function in model.functions]
    problems: list[str] = []
    for nodes, imports in places:
        opsets = {_domain(one.domain): one.version for one in imports}
        for node in nodes:
            known = (node.domain, node.op_type) in own
            problem = "" if known else _operator_problem(node, opsets)
            if problem:
                problems.append(f"{_label(node)}: {problem}")
    if problems:
        raise UnusableInput(
            "the model has operators that no target knows; export it without them:\n"
            + "\n".join(problems)
        )


def _domain(domain: str) -> str:
    return "" if domain in STANDARD_DOMAINS else domain


def _label(node: onnx.NodeProto) -> str:
    name = node.name or next(iter(node.output), "")
    domain = _domain(node.domain)
    return f'node "{name}" ({domain + "." if domain else ""}{node.op_type})'


def _operator_problem(node: onnx.NodeProto, opsets: dict[str, int]) -> str:
    domain = _domain(node.domain)
    if domain in FOREIGN_DOMAINS:
        return ""
    if domain not in {"", "ai.onnx.ml"}:
        return f"an operator of the custom domain {domain}"
    opset = opsets.get(domain)
    if opset is None:
        return f'the model imports no opset of the domain "{domain}"'
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        return f"not an operator of opset {opset}"
    return f"no longer an operator of opset {opset}" if schema.deprecated else ""


def _check_valid(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,  # larger than protobuf can hold
    ) as error:
        message = str(error)
        found = next((hit for form in NODE_IN_MESSAGE if (hit := form.search(message))), None)
        where = f'node "{found["name"]}" ({found["op"]}): ' if found else ""
        told = " ".join(message.split())
        raise UnusableInput(f"{where}the model is not valid ONNX: {told}") from error


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Gives nodes without a name, or with another's, that of their first output."""
    taken: set[str] = set()
    for node in graph.node:
        name = node.name or next(iter(node.output), node.op_type)
        while name in taken:
            name += "_"
        node.name = name
        taken.add(name)


def _drop_weights_from_inputs(model: onnx.ModelProto) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        model.ir_version = max(4, model.ir_version)  # the first that allows it


def _slim(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """A copy of `model` after onnxslim and "", or an unchanged one and why it is."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    drawing = next((node for node in _all_nodes(model.graph) if _is_random(node)), None)
    if drawing is not None:
        return changed, f"{_label(drawing)} draws random numbers: constants are not folded"
    _write_constants_as_tensors(changed)
    try:
        slimmed = _run_onnxslim(changed)
        onnx.checker.check_model(slimmed, full_check=True)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever a graph that it does not expect makes it raise
        told = " ".join(str(error).split())
        changed.CopyFrom(model)
        return changed, f"onnxslim cannot clean it: {type(error).__name__}: {told}"
    return slimmed, ""


def _run_onnxslim(model: onnx.ModelProto) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without ONNX Runtime onnxslim folds nothing and does not say so.
        importlib.import_module("onnxruntime")
        onnxslim: Any = importlib.import_module("onnxslim")
        registry: Any = importlib.import_module("onnxslim.core.pattern.registry")
        skipped = [name for name in registry.DEFAULT_FUSION_PATTERNS if name not in REWRITES]
        return onnxslim.slim(model, skip_fusion_patterns=skipped, verbose=False)


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    return (node for inner in subgraphs(graph) for node in inner.node)


def _is_random(node: onnx.NodeProto) -> bool:
    # A Dropout with a third input may be told to train; onnxslim drops it unread.
    trains = node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])
    return _domain(node.domain) == "" and (node.op_type in RANDOM or trains)


def _write_constants_as_tensors(model: onnx.ModelProto) -> None:
    """onnxslim 0.1.98 reads `value_float` as float64, which ONNX says is float32."""
    dtypes = {"value_float": np.float32, "value_floats": np.float32}
    dtypes |= {"value_int": np.int64, "value_ints": np.int64}
    for node in _all_nodes(model.graph):
        if node.op_type != "Constant" or node.attribute[0].name not in dtypes:
            continue
        found = node.attribute[0]
        array = np.asarray(helper.get_attribute_value(found), dtype=dtypes[found.name])
        tensor = numpy_helper.from_array(array)
        node.attribute[0].CopyFrom(helper.make_attribute("value", tensor))


def _restore_interface(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """onnxslim drops inputs that nothing reads and puts sizes in the place of free axes."""
    graph = model.graph
    for ours, theirs in (
        (graph.input, original.graph.input),
        (graph.output, original.graph.output),
    ):
        del ours[:]
        ours.extend(theirs)
    # Shapes of tensors in between: those that are gone, and names that onnxslim made up.
    del graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph.value_info.extend(inferred.graph.value_info)
