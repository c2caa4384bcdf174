"""What a backend needs of Triton's model configuration, out of the JSON that Triton hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Where the configuration names none: what Triton's sequence batcher takes.
DEFAULT_IDLE_US = 1_000_000
# NumPy's names for Triton's datatypes.
DTYPES = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
    "TYPE_STRING": "object",
}
# The pairs of a control's two values, by their field, and the datatype that they mean.
_CONTROL_VALUES = {
    "int32_false_true": "TYPE_INT32",
    "fp32_false_true": "TYPE_FP32",
    "bool_false_true": "TYPE_BOOL",
}
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class BadConfig(ValueError):
    """A configuration that cannot be served: which field, what is wrong, what to do."""


@dataclass(frozen=True, kw_only=True)
class TensorConfig:
    """A tensor as the model sees it: `dims` after `reshape`, without the batch axis; -1 is free."""

    name: str
    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class StateConfig:
    """A tensor that a sequence carries from one request to the next.

    `has_initial`: the configuration says what it is at the start; otherwise zeros.
    """

    input: TensorConfig
    output: TensorConfig
    has_initial: bool


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """`count` instances; Triton calls each of them `name`, an underscore and its number."""

    name: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The configuration's `parameters`: texts by name. Names that nobody asks for are ignored."""

    texts: Mapping[str, str]

    def text(self, name: str) -> str:
        """The text, stripped; empty where there is none."""
        return self.texts.get(name, "").strip()

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """A whole number from `least` on. Raises BadConfig for anything else."""
        text = self.text(name)
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise self.bad(name, f"a whole number from {least} on")
        return int(text)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """YES/NO, true/false or 1/0, in any case. Raises BadConfig for anything else."""
        text = self.text(name)
        if not text:
            return default
        if text.lower() not in _FLAGS:
            raise self.bad(name, "YES or NO")
        return _FLAGS[text.lower()]

    def bad(self, name: str, wanted: str) -> BadConfig:
        """The error for the parameter `name`, which is not what is `wanted`."""
        return BadConfig(f'parameter {name} is "{self.texts[name]}": it takes {wanted}')


@dataclass(frozen=True, kw_only=True)
class ServedConfig:
    """One model as it is to be served. `max_batch_size` 0: each request is run as it is.

    `graph_level`: optimization.graph.level.
    """

    name: str
    model_file: str
    max_batch_size: int
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    controls: tuple[TensorConfig, ...]
    states: tuple[StateConfig, ...]
    has_sequences: bool
    max_sequence_idle_us: int
    instance_groups: tuple[InstanceGroup, ...]
    parameters: Parameters
    graph_level: int
    cpu_accelerators: tuple[str, ...]

    @property
    def is_batched(self) -> bool:
        return self.max_batch_size > 0

    @property
    def instances(self) -> int:
        return sum(group.count for group in self.instance_groups)

    @property
    def brought(self) -> tuple[TensorConfig, ...]:
        """What Triton brings with each request: the caller's tensors and the batcher's."""
        return self.inputs + self.controls

    @property
    def fed(self) -> tuple[TensorConfig, ...]:
        """All that the model is given."""
        return self.brought + tuple(state.input for state in self.states)

    @property
    def taken(self) -> tuple[str, ...]:
        """The names of all that is asked of the model, each once."""
        names = [output.name for output in self.outputs]
        return tuple(dict.fromkeys(names + [state.output.name for state in self.states]))


def parse_config(config: Mapping[str, Any]) -> ServedConfig:
    """`config` as json.loads gives it. Raises BadConfig for what no backend here can do."""
    _refuse_unknown_ways(config)
    sequences: Mapping[str, Any] = config.get("sequence_batching", {})
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    return ServedConfig(
        name=config["name"],
        model_file=config.get("default_model_filename", ""),
        max_batch_size=int(config["max_batch_size"]),
        inputs=tuple(_tensor(one) for one in config["input"]),
        outputs=tuple(_tensor(one) for one in config["output"]),
        controls=tuple(_control(one) for one in sequences.get("control_input", ())),
        states=tuple(_state(one) for one in sequences.get("state", ())),
        has_sequences="sequence_batching" in config,
        max_sequence_idle_us=int(sequences.get("max_sequence_idle_microseconds", 0))
        or DEFAULT_IDLE_US,
        instance_groups=tuple(
            InstanceGroup(name=group["name"], count=int(group["count"]))
            for group in config["instance_group"]
        ),
        parameters=Parameters(
            texts={
                name: one.get("string_value", "")
                for name, one in config.get("parameters", {}).items()
            }
        ),
        graph_level=int(config.get("optimization", {}).get("graph", {}).get("level", 0)),
        cpu_accelerators=tuple(
            one["name"] for one in accelerators.get("cpu_execution_accelerator", ())
        ),
    )


def _refuse_unknown_ways(config: Mapping[str, Any]) -> None:
    if config.get("model_transaction_policy", {}).get("decoupled", False):
        raise BadConfig(
            "model_transaction_policy.decoupled: a network gives one answer to one request; "
            'take it out, or write a model of the backend "python"'
        )
    for field in ("batch_input", "batch_output"):
        if config.get(field):
            raise BadConfig(f"{field}: only the C++ backend can make these; take it out")


def _dims(dims: Sequence[int | str]) -> tuple[int, ...]:
    # Triton's JSON writes 64-bit numbers as texts in some of its fields.
    return tuple(int(size) for size in dims)


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in DTYPES:
        raise BadConfig(
            f'"{name}": {datatype} does not pass through Python; make it one of {", ".join(DTYPES)}'
        )


def _tensor(tensor: Mapping[str, Any]) -> TensorConfig:
    _check_datatype(tensor["name"], tensor["data_type"])
    shape = tensor["reshape"].get("shape", ()) if "reshape" in tensor else tensor["dims"]
    return TensorConfig(
        name=tensor["name"],
        datatype=tensor["data_type"],
        dims=_dims(shape),
    )


def _control(tensor: Mapping[str, Any]) -> TensorConfig:
    (control,) = tensor["control"]
    datatypes = (datatype for field, datatype in _CONTROL_VALUES.items() if control.get(field))
    datatype = next(datatypes, control.get("data_type", "TYPE_INVALID"))
    return TensorConfig(name=tensor["name"], datatype=datatype, dims=(1,))


def _state(state: Mapping[str, Any]) -> StateConfig:
    datatype, dims = state["data_type"], _dims(state["dims"])
    _check_datatype(state["input_name"], datatype)
    return StateConfig(
        input=TensorConfig(name=state["input_name"], datatype=datatype, dims=dims),
        output=TensorConfig(name=state["output_name"], datatype=datatype, dims=dims),
        has_initial=bool(state.get("initial_state")),
    )
