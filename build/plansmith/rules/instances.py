"""Rules of instance groups, the rate limiter and threads. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules import backends
from plansmith.rules.case import ConfigCase, repeated, type_name
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_VALIDATOR = "core:src/model_config_utils.cc, ValidateInstanceGroup"
# Parameters that are counts, by backend. Sources: the backends' READMEs.
_COUNTS = {
    backends.ONNXRUNTIME: ("intra_op_thread_count", "inter_op_thread_count"),
    backends.OPENVINO: ("NUM_STREAMS", "INFERENCE_NUM_THREADS"),
}


def _kinds(case: ConfigCase) -> list[str]:
    groups = case.message.instance_group
    return [type_name(group, group.kind, "kind") for group in groups]


def _gpus_kind(case: ConfigCase) -> Iterator[Hit]:
    for index, kind in enumerate(_kinds(case)):
        if case.message.instance_group[index].gpus and kind in ("KIND_CPU", "KIND_MODEL"):
            path = ("instance_group", index, "gpus")
            yield Hit(path=path, message=f"{kind} with gpus", fix="write KIND_GPU, or no gpus")


def _auto_gpus(case: ConfigCase) -> Iterator[Hit]:
    for index, kind in enumerate(_kinds(case)):
        if case.message.instance_group[index].gpus and kind == "KIND_AUTO":
            path = ("instance_group", index, "gpus")
            message = "gpus without a kind: the model does not load where one of them is missing"
            yield Hit(path=path, message=message, fix="write kind: KIND_GPU, which says so")


def _count(case: ConfigCase) -> Iterator[Hit]:
    for index, group in enumerate(case.message.instance_group):
        if group.count < 0:
            path = ("instance_group", index, "count")
            message = f"count is {group.count}; the server takes its default instead"
            yield Hit(path=path, message=message, fix="write a number from 1")


def _tensorrt_cpu(case: ConfigCase) -> Iterator[Hit]:
    for index, kind in enumerate(_kinds(case)):
        if case.serving.backend == backends.TENSORRT and kind in ("KIND_CPU", "KIND_MODEL"):
            path = ("instance_group", index, "kind")
            yield Hit(path=path, message=f"tensorrt refuses {kind}", fix="write KIND_GPU")


def _profile(case: ConfigCase) -> Iterator[Hit]:
    for index, group in enumerate(case.message.instance_group):
        path = ("instance_group", index, "profile")
        if group.profile and case.serving.backend != backends.TENSORRT:
            message = "profile is for tensorrt alone"
            yield Hit(path=path, message=message, fix="take profile out")
        for name in group.profile if case.serving.backend == backends.TENSORRT else ():
            if not str(name).isdecimal():
                message = f"profile '{name}' is not a number"
                yield Hit(path=path, message=message, fix='write it as "0", from 0')


def _group_name(case: ConfigCase) -> Iterator[Hit]:
    names = [str(group.name) for group in case.message.instance_group]
    for index in repeated(names):
        if names[index]:
            path = ("instance_group", index, "name")
            message = f"two instance groups are called '{names[index]}'"
            yield Hit(path=path, message=message, fix="leave name out, or give each its own")


def _resource_scope(case: ConfigCase) -> Iterator[Hit]:
    scopes: dict[str, bool] = {}
    for index, group in enumerate(case.message.instance_group):
        for place, one in enumerate(group.rate_limiter.resources):
            known = scopes.setdefault(str(one.name), bool(getattr(one, "global")))
            if known != getattr(one, "global"):
                path = ("instance_group", index, "rate_limiter", "resources", place)
                message = f"resource '{one.name}' is global here and of a device elsewhere"
                yield Hit(path=path, message=message, fix="make it one of the two")


def _secondary(case: ConfigCase) -> Iterator[Hit]:
    for index, group in enumerate(case.message.instance_group):
        if group.secondary_devices and case.serving.backend != backends.TENSORRT:
            path = ("instance_group", index, "secondary_devices")
            message = f"{case.serving.backend or 'the backend'} has no secondary devices"
            yield Hit(path=path, message=message, fix="take secondary_devices out")


def _thread_number(case: ConfigCase) -> Iterator[Hit]:
    for key in _COUNTS.get(case.serving.backend, ()):
        value = case.parameter(key)
        words = ("AUTO",) if key == "NUM_STREAMS" else ()
        if value is not None and not value.isdecimal() and value not in words:
            message = f"{key} is '{value}'"
            yield Hit(path=("parameters", key), message=message, fix="write a whole number")


def _cores(case: ConfigCase) -> Iterator[Hit]:
    kinds = _kinds(case)
    on_cpu = [
        max(int(group.count), 1)
        for group, kind in zip(case.message.instance_group, kinds, strict=True)
        if kind in ("KIND_CPU", "KIND_AUTO")
    ]
    key, threads, instances = _threads(case, sum(on_cpu))
    if threads * instances > case.place.cores:
        told = (
            f"{instances} instances of {threads} threads" if instances > 1 else f"{key} {threads}"
        )
        message = f"{told} are more than the {case.place.cores} cores"
        fix = "lower one of them, or say --cores of the machine that serves"
        yield Hit(path=("parameters", key), message=message, fix=fix)


def _threads(case: ConfigCase, instances: int) -> tuple[str, int, int]:
    """The parameter that says how many threads, how many, and by what they are multiplied."""
    # ONNX Runtime's are of one session, OpenVINO's of all instances of the model together.
    if case.serving.backend == backends.ONNXRUNTIME:
        key, times = "intra_op_thread_count", instances
    elif case.serving.backend == backends.OPENVINO:
        key, times = "INFERENCE_NUM_THREADS", 1
    else:
        return "", 0, 0
    value = case.parameter(key) or ""
    return key, int(value) if value.isdecimal() and len(value) < 9 else 0, times


RULES = (
    Rule(
        id="instance-gpus",
        severity=ERROR,
        about="`gpus` go with KIND_GPU and KIND_AUTO alone.",
        source=_VALIDATOR,
        of_config=_gpus_kind,
    ),
    Rule(
        id="instance-auto-gpus",
        severity=WARNING,
        about="`gpus` come with KIND_GPU: KIND_AUTO becomes KIND_CPU where one is missing.",
        source="core:src/model_config_utils.cc, NormalizeInstanceGroup",
        of_config=_auto_gpus,
    ),
    Rule(
        id="instance-count",
        severity=WARNING,
        about="`count` is not negative.",
        source="core:src/model_config_utils.cc, NormalizeInstanceGroup",
        of_config=_count,
    ),
    Rule(
        id="tensorrt-on-cpu",
        severity=ERROR,
        about="TensorRT's instances are KIND_GPU.",
        source="tensorrt_backend:src/model_state.cc",
        of_config=_tensorrt_cpu,
    ),
    Rule(
        id="instance-profile",
        severity=ERROR,
        about="`profile` is for TensorRT alone: whole numbers from 0, in quotes.",
        source=_VALIDATOR,
        of_config=_profile,
    ),
    Rule(
        id="instance-name",
        severity=WARNING,
        about="No two instance groups have one name.",
        source="core:src/backend_model_instance.cc: instances are told apart by it in logs",
        of_config=_group_name,
    ),
    Rule(
        id="resource-scope",
        severity=ERROR,
        about="A resource of the rate limiter is global or of a device, not both.",
        source="core:src/rate_limiter.cc",
        of_config=_resource_scope,
    ),
    Rule(
        id="secondary-device",
        severity=WARNING,
        about="`secondary_devices` are for TensorRT alone.",
        source="common:protobuf/model_config.proto",
        of_config=_secondary,
    ),
    Rule(
        id="thread-number",
        severity=ERROR,
        about="Parameters that count threads or streams are whole numbers.",
        source="onnxruntime_backend:README.md, openvino_backend:README.md",
        of_config=_thread_number,
    ),
    Rule(
        id="cores",
        severity=WARNING,
        about="Instances x threads are not more than the cores (`--cores`, else this machine's).",
        source="onnxruntime_backend:README.md, openvino_backend:README.md",
        of_config=_cores,
    ),
)
