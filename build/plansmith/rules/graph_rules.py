"""Rules that hold a config against the model file it serves, and against its manifest. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules import backends
from plansmith.rules.case import WILDCARD, ConfigCase, ModelCase, Tensor, tensors
from plansmith.rules.facts import Graph, GraphTensor
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule
from plansmith.tensors import TRITON_DTYPES, compatible

_BACKENDS = "onnxruntime_backend:src/onnxruntime.cc, openvino_backend:src/openvino.cc"


def _graphs(case: ConfigCase) -> Iterator[tuple[str, Graph]]:
    for path in case.model_files:
        graph = case.model.graphs.get(path)
        if graph is not None and not graph.problem:
            yield path, graph


def _side(graph: Graph, side: str) -> tuple[GraphTensor, ...]:
    return graph.inputs if side == "input" else graph.outputs


def _pairs(case: ConfigCase) -> Iterator[tuple[str, Tensor, GraphTensor]]:
    for path, graph in _graphs(case):
        for tensor in tensors(case.message):
            for one in _side(graph, tensor.side):
                if tensor.name in one.names:
                    yield path, tensor, one


def _name(case: ConfigCase) -> Iterator[Hit]:
    for path, graph in _graphs(case):
        for tensor in tensors(case.message):
            known = _side(graph, tensor.side)
            if tensor.name and not any(tensor.name in one.names for one in known):
                names = ", ".join(one.names[0] for one in known) or "none"
                message = f"{tensor.label} is not in {path}"
                fix = f"it has {tensor.side}s {names}"
                yield Hit(path=(*tensor.path, "name"), message=message, fix=fix)


def _input_missing(case: ConfigCase) -> Iterator[Hit]:
    # The server itself fills states and controls of a sequence.
    sequence = case.message.sequence_batching
    named = {one.name for one in case.message.input}
    named |= {one.input_name for one in sequence.state}
    named |= {one.name for one in sequence.control_input}
    named |= {name for one in case.message.batch_input for name in one.target_name}
    for path, graph in _graphs(case) if case.message.input else ():
        for one in graph.inputs:
            if not named & set(one.names):
                message = f"{path} has an input '{one.names[0]}' that the config lacks"
                yield Hit(path=("input",), message=message, fix="add it: the backend wants all")


def _type(case: ConfigCase) -> Iterator[Hit]:
    for path, tensor, one in _pairs(case):
        if tensor.message.data_type and one.data_type and tensor.data_type != one.data_type:
            message = f"{tensor.label} is {tensor.data_type}, in {path} it is {one.data_type}"
            place = (*tensor.path, "data_type")
            yield Hit(path=place, message=message, fix=f"write data_type: {one.data_type}")


def _dims(case: ConfigCase) -> Iterator[Hit]:
    for path, tensor, one in _pairs(case):
        shape = one.shape
        # A tensor without a dimension is a scalar; ONNX Runtime takes dims [ 1 ] for it.
        if shape is None or not tensor.dims or shape == ():
            continue
        batch = (WILDCARD,) if case.batches else ()
        wanted = (*batch, *tensor.shape_for_backend)
        if not compatible(wanted, shape):
            if case.batches and len(shape) == len(wanted) and compatible(wanted[1:], shape[1:]):
                continue
            message = f"{tensor.label} is {list(wanted)} to the backend, in {path} {list(shape)}"
            rest = list(shape[1:] if case.batches else shape)
            fix = f"write dims: {rest}" if rest else "set max_batch_size to 0"
            yield Hit(path=(*tensor.path, "dims"), message=message, fix=fix)


def _batch_axis(case: ConfigCase) -> Iterator[Hit]:
    if not case.batches:
        return
    told = set[str]()
    for path, tensor, one in _pairs(case):
        size = one.shape[0] if one.shape else None
        if size is None or size == WILDCARD or path in told:
            continue
        told.add(path)
        message = f"max_batch_size is {case.message.max_batch_size}, but {path} takes {size} rows"
        fix = f"export '{tensor.name}' with a free first axis, or write max_batch_size: 0"
        # OpenVINO can give a model another shape when it loads it.
        severity = WARNING if case.serving.backend == backends.OPENVINO else None
        yield Hit(path=("max_batch_size",), message=message, fix=fix, severity=severity)


def _profile_batch(case: ConfigCase) -> Iterator[Hit]:
    if case.serving.backend != backends.TENSORRT:
        return
    names = {case.serving.file, *case.message.cc_model_filenames.values()}
    for version in case.served:
        manifest = case.model.manifests.get(version)
        for one in manifest.profiles if manifest is not None else ():
            if one.file in names and case.message.max_batch_size > one.max_batch_size:
                message = (
                    f"max_batch_size is {case.message.max_batch_size}, the engine "
                    f"{version}/{one.file} takes {one.max_batch_size}"
                )
                fix = f"write max_batch_size: {one.max_batch_size}, or build the engine for more"
                yield Hit(path=("max_batch_size",), message=message, fix=fix)


def _manifest_tensor(case: ConfigCase) -> Iterator[Hit]:
    for version in case.served:
        manifest = case.model.manifests.get(version)
        if manifest is None or manifest.problem:
            continue
        for tensor in tensors(case.message):
            known = manifest.tensors.get(tensor.name)
            if known is None:
                continue
            dtype, shape = known
            data_type = TRITON_DTYPES.get(dtype, tensor.data_type)
            if data_type != tensor.data_type or not compatible(shape, tensor.dims):
                message = (
                    f"{tensor.label} is {tensor.data_type} {list(tensor.dims)}, version {version} "
                    f"was built for {data_type} {list(shape)}"
                )
                fix = "correct the config, or build and publish again"
                yield Hit(path=tensor.path, message=message, fix=fix)


def _manifest(case: ModelCase) -> Iterator[Hit]:
    for version, manifest in case.model.manifests.items():
        if manifest.problem:
            message = f"is not a version's manifest: {manifest.problem}"
            fix = "remove the version and build again"
            yield Hit(file=f"{version}/manifest.json", message=message, fix=fix)
        elif (manifest.model, manifest.version) != (case.model.name, version):
            message = f"is that of {manifest.model} version {manifest.version}"
            fix = "build and publish again instead of copying a version"
            yield Hit(file=f"{version}/manifest.json", message=message, fix=fix)


def _artifact(case: ModelCase) -> Iterator[Hit]:
    for version, manifest in case.model.manifests.items():
        for one in manifest.artifacts:
            found = case.model.files.get(f"{version}/{one.path}")
            if found is None:
                message = f"names {one.path}, which is not there"
            elif found.size_bytes != one.size_bytes and not found.why_unreadable:
                message = (
                    f"says that {one.path} has {one.size_bytes} bytes; it has {found.size_bytes}"
                )
            else:
                continue
            fix = "publish the version again; `plansmith verify` compares contents"
            yield Hit(file=f"{version}/manifest.json", message=message, fix=fix)


RULES = (
    Rule(
        id="graph-name",
        severity=ERROR,
        about="Every input and output of a config is one of the model file's.",
        source=_BACKENDS,
        of_config=_name,
    ),
    Rule(
        id="graph-input-missing",
        severity=ERROR,
        about="A config with inputs has all of the model file's.",
        source=_BACKENDS,
        of_config=_input_missing,
    ),
    Rule(
        id="graph-type",
        severity=ERROR,
        about="`data_type` is that in the model file.",
        source=_BACKENDS,
        of_config=_type,
    ),
    Rule(
        id="graph-dims",
        severity=ERROR,
        about="`dims` (or `reshape`), with the batch axis in front, fit the model file's shape.",
        source=_BACKENDS,
        of_config=_dims,
    ),
    Rule(
        id="graph-batch",
        severity=ERROR,
        about="A model that batches has a free first axis (a warning for OpenVINO).",
        source="server:docs/user_guide/model_configuration.md, Maximum Batch Size",
        of_config=_batch_axis,
    ),
    Rule(
        id="profile-batch",
        severity=ERROR,
        about="`max_batch_size` is not above what an engine's profile takes.",
        source="tensorrt_backend:src/instance_state.cc; the version's manifest",
        of_config=_profile_batch,
    ),
    Rule(
        id="manifest-tensor",
        severity=ERROR,
        about="Inputs and outputs are those that the version was built for.",
        source="the version's manifest",
        of_config=_manifest_tensor,
    ),
    Rule(
        id="manifest",
        severity=ERROR,
        about="A manifest.json is readable and that of its model and version.",
        source="plansmith's publishing",
        of_model=_manifest,
    ),
    Rule(
        id="artifact",
        severity=ERROR,
        about="The files in a manifest are there, with the size it says.",
        source="plansmith's publishing",
        of_model=_artifact,
    ),
)
