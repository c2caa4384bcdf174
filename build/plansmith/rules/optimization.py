"""Rules of `optimization` and of backends' parameters. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules import backends
from plansmith.rules.case import ConfigCase, entries
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_PROTO = "common:protobuf/model_config.proto"
_ACCELERATORS = {
    "gpu_execution_accelerator": ("tensorrt", "cuda"),
    "cpu_execution_accelerator": ("openvino",),
}
_MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY/"


def _tensorrt_only(case: ConfigCase) -> Iterator[Hit]:
    if case.serving.backend == backends.TENSORRT or not case.has("optimization"):
        return
    policy = case.message.optimization
    cuda = ("graphs", "busy_wait_events", "output_copy_stream", "graph_spec")
    set_paths = [("optimization", "cuda", name) for name in cuda if getattr(policy.cuda, name)]
    plain = ("eager_batching", "gather_kernel_buffer_threshold")
    set_paths += [("optimization", name) for name in plain if getattr(policy, name)]
    for path in set_paths:
        message = f"{path[-1]} is read by tensorrt alone"
        yield Hit(path=path, message=message, fix="take it out")


def _graph_batch(case: ConfigCase) -> Iterator[Hit]:
    limit = max(int(case.message.max_batch_size), 0)
    for index, spec in enumerate(case.message.optimization.cuda.graph_spec):
        low = 1 if limit else 0
        if not low <= spec.batch_size <= limit:
            path = ("optimization", "cuda", "graph_spec", index, "batch_size")
            message = f"a CUDA graph is for batch size {spec.batch_size}"
            fix = f"write one from {low} to {limit}" if limit else "write 0: the model has no batch"
            yield Hit(path=path, message=message, fix=fix)


def _graph_bound(case: ConfigCase) -> Iterator[Hit]:
    for index, spec in enumerate(case.message.optimization.cuda.graph_spec):
        if spec.HasField("graph_lower_bound"):
            path = ("optimization", "cuda", "graph_spec", index, "graph_lower_bound")
            message = "a CUDA graph for smaller batches reads rows that nobody wrote"
            yield Hit(path=path, message=message, fix="list every batch size instead")


def _graph_shape_tensor(case: ConfigCase) -> Iterator[Hit]:
    shaped = any(
        one.is_shape_tensor for side in ("input", "output") for one in getattr(case.message, side)
    )
    if case.message.optimization.cuda.graphs and shaped:
        path = ("optimization", "cuda", "graphs")
        message = "CUDA graphs do not go with shape tensors"
        yield Hit(path=path, message=message, fix="take graphs out")


def _accelerator(case: ConfigCase) -> Iterator[Hit]:
    both = case.message.optimization.execution_accelerators
    for field, known in _ACCELERATORS.items():
        for index, one in enumerate(getattr(both, field)):
            path = ("optimization", "execution_accelerators", field, index)
            if case.serving.backend != backends.ONNXRUNTIME:
                message = f"accelerator '{one.name}' is read by onnxruntime alone"
                yield Hit(path=path, message=message, fix="take it out")
            elif one.name not in known:
                message = f"onnxruntime knows no {field} '{one.name}'"
                yield Hit(path=path, message=message, fix=f"write {' or '.join(known)}")


def _graph_level(case: ConfigCase) -> Iterator[Hit]:
    level = case.message.optimization.graph.level
    if case.serving.backend == backends.ONNXRUNTIME and level not in (-1, 0, 1):
        path = ("optimization", "graph", "level")
        message = f"graph level {level} turns onnxruntime's optimisation off"
        yield Hit(path=path, message=message, fix="write -1 (basic), 1 (extended) or leave it out")


def _parameter_value(case: ConfigCase) -> Iterator[Hit]:
    for key, value in entries(case.message.parameters).items():
        if not value.string_value:
            message = f"parameter '{key}' has no value"
            fix = 'write value: { string_value: "…" }'
            yield Hit(path=("parameters", key), message=message, fix=fix)


def _allocation(case: ConfigCase) -> Iterator[Hit]:
    key = "execution_context_allocation_strategy"
    value = case.parameter(key)
    known = ("STATIC", "ON_PROFILE_CHANGE")
    if case.serving.backend == backends.TENSORRT and value is not None and value not in known:
        message = f"{key} is '{value}'"
        yield Hit(path=("parameters", key), message=message, fix=f"write {' or '.join(known)}")


def _environment(case: ConfigCase) -> Iterator[Hit]:
    key = "EXECUTION_ENV_PATH"
    value = case.parameter(key) or ""
    if case.serving.backend != backends.PYTHON or not value.startswith(_MODEL_DIRECTORY):
        return
    name = value.removeprefix(_MODEL_DIRECTORY)
    inside = any(file == name or file.startswith(f"{name}/") for file in case.model.files)
    if not inside and ".." not in name:
        message = f"there is no {name} in the model's folder"
        yield Hit(path=("parameters", key), message=message, fix="add it: made with conda-pack")


RULES = (
    Rule(
        id="tensorrt-only",
        severity=WARNING,
        about="CUDA graphs, busy waiting, copy streams, eager batching are TensorRT's alone.",
        source=_PROTO,
        of_config=_tensorrt_only,
    ),
    Rule(
        id="cuda-graph-batch",
        severity=ERROR,
        about="A CUDA graph's batch size is from 1 to `max_batch_size` (0 without batches).",
        source=_PROTO,
        of_config=_graph_batch,
    ),
    Rule(
        id="cuda-graph-bound",
        severity=WARNING,
        about="No `graph_lower_bound`: such a graph computes on memory that nobody wrote.",
        source=_PROTO,
        of_config=_graph_bound,
    ),
    Rule(
        id="cuda-graph-shape-tensor",
        severity=ERROR,
        about="CUDA graphs and shape tensors exclude each other.",
        source="tensorrt_backend:src/instance_state.cc",
        of_config=_graph_shape_tensor,
    ),
    Rule(
        id="accelerator",
        severity=WARNING,
        about="Execution accelerators are ONNX Runtime's, and known to it.",
        source="onnxruntime_backend:README.md",
        of_config=_accelerator,
    ),
    Rule(
        id="graph-level",
        severity=WARNING,
        about="ONNX Runtime's graph level is -1, 0 or 1; 2 turns optimisation off.",
        source="onnxruntime_backend:README.md",
        of_config=_graph_level,
    ),
    Rule(
        id="parameter-value",
        severity=WARNING,
        about="A parameter has a `string_value`.",
        source=_PROTO,
        of_config=_parameter_value,
    ),
    Rule(
        id="tensorrt-allocation",
        severity=ERROR,
        about="TensorRT's allocation strategy is STATIC or ON_PROFILE_CHANGE.",
        source="tensorrt_backend:README.md",
        of_config=_allocation,
    ),
    Rule(
        id="execution-environment",
        severity=ERROR,
        about="A Python environment that the config names in the model's folder is there.",
        source="python_backend:README.md",
        of_config=_environment,
    ),
)
