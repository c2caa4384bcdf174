"""A model's configuration as the server has it, defaults and completions included.

The fields are those of model_config.proto of triton-inference-server/common; what has no field
here is in `raw`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

# The fields of 64 bits in model_config.proto, and the maps whose keys are anybody's.
_LONG = frozenset(
    (
        "versions",
        "dims",
        "shape",
        "dim",
        "max_queue_delay_microseconds",
        "priority_levels",
        "default_priority_level",
        "default_timeout_microseconds",
        "max_sequence_idle_microseconds",
        "model_version",
        "device_id",
    )
)
_TEXTS = frozenset(("parameters", "metric_tags", "cc_model_filenames"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigTensor:
    """An input or output: `dtype` as in the metadata, such as "FP32"; `dims` without a batch axis.

    -1 is a free dimension. `label_filename`: of an output whose classes have names.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False
    label_filename: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceGroup:
    """`count` copies of the model on each of `gpus`; `kind`: "KIND_CPU", "KIND_GPU" and so on."""

    name: str
    kind: str
    count: int
    gpus: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DynamicBatching:
    """How the server joins requests to batches."""

    preferred_batch_sizes: tuple[int, ...]
    max_queue_delay_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """`max_batch_size` 0: no batch axis. `dynamic_batching`: None if requests are not joined.

    `stateful`: it takes sequences. `decoupled`: any number of answers to a request.
    `steps`: of an ensemble, the names of its models. `parameters`: those for the backend.
    `raw`: all of it, as the JSON form of model_config.proto, the same over every protocol; with
    changes it is what `Client.load` takes as `config`.
    """

    name: str
    platform: str
    backend: str
    max_batch_size: int
    inputs: tuple[ConfigTensor, ...]
    outputs: tuple[ConfigTensor, ...]
    instance_groups: tuple[InstanceGroup, ...]
    dynamic_batching: DynamicBatching | None
    stateful: bool
    decoupled: bool
    response_cache: bool
    steps: tuple[str, ...]
    default_model_filename: str
    parameters: Mapping[str, str] = field(hash=False)
    raw: Mapping[str, Any] = field(repr=False, hash=False)


def read_config(raw: Mapping[str, Any]) -> ModelConfig:
    """The JSON form of model_config.proto; what is left out has the value that protobuf gives."""
    ensemble: Mapping[str, Any] = raw.get("ensemble_scheduling") or {}
    parameters: Mapping[str, Any] = raw.get("parameters") or {}
    return ModelConfig(
        name=raw.get("name", ""),
        platform=raw.get("platform", ""),
        backend=raw.get("backend", ""),
        max_batch_size=int(raw.get("max_batch_size", 0)),
        inputs=tuple(_tensor(one) for one in raw.get("input", ())),
        outputs=tuple(_tensor(one) for one in raw.get("output", ())),
        instance_groups=tuple(_group(one) for one in raw.get("instance_group", ())),
        dynamic_batching=_batching(raw.get("dynamic_batching")),
        stateful="sequence_batching" in raw,
        decoupled=_is_on(raw, "model_transaction_policy", "decoupled"),
        response_cache=_is_on(raw, "response_cache", "enable"),
        steps=tuple(one["model_name"] for one in ensemble.get("step", ())),
        default_model_filename=raw.get("default_model_filename", ""),
        parameters={name: one.get("string_value", "") for name, one in parameters.items()},
        raw=raw,
    )


def with_integers(raw: Any, name: str = "") -> Any:
    """`raw` with numbers where JSON by protobuf's rules has texts for integers of 64 bits.

    Triton turns most of them into numbers itself, but not the dims of warm-up inputs (2.51).
    """
    if isinstance(raw, dict):
        fields = cast("dict[str, Any]", raw)
        if name in _TEXTS:
            return fields
        return {key: with_integers(value, key) for key, value in fields.items()}
    if isinstance(raw, list):
        return [with_integers(one, name) for one in cast("list[Any]", raw)]
    return int(raw) if name in _LONG and isinstance(raw, str) else raw


def _tensor(raw: Mapping[str, Any]) -> ConfigTensor:
    # The configuration's names are TYPE_STRING and TYPE_FP32 where the metadata's are BYTES, FP32.
    dtype = str(raw.get("data_type", "")).removeprefix("TYPE_")
    return ConfigTensor(
        name=raw["name"],
        dtype="BYTES" if dtype == "STRING" else dtype,
        dims=_integers(raw, "dims"),
        optional=bool(raw.get("optional")),
        label_filename=raw.get("label_filename", ""),
    )


def _group(raw: Mapping[str, Any]) -> InstanceGroup:
    return InstanceGroup(
        name=raw.get("name", ""),
        # A number where it is newer than the messages.
        kind=str(raw.get("kind", "")),
        count=int(raw.get("count", 0)),
        gpus=_integers(raw, "gpus"),
    )


def _batching(raw: Mapping[str, Any] | None) -> DynamicBatching | None:
    if raw is None:
        return None
    return DynamicBatching(
        preferred_batch_sizes=_integers(raw, "preferred_batch_size"),
        max_queue_delay_us=int(raw.get("max_queue_delay_microseconds", 0)),
    )


def _integers(raw: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(int(one) for one in raw.get(name, ()))


def _is_on(raw: Mapping[str, Any], message: str, name: str) -> bool:
    found: Mapping[str, Any] = raw.get(message) or {}
    return bool(found.get(name))
