"""ModelConfig → config.pbtxt, with stable field order. Pure; Triton's own spelling of every field.

Source of the fields: triton-inference-server/common protobuf/model_config.proto.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from plansmith.tensors import TRITON_DTYPES, TensorSpec


@dataclass(frozen=True, kw_only=True)
class DynamicBatching:
    """How long a request may wait for company; 0 batches only what is queued already."""

    max_queue_delay_microseconds: int

    def __post_init__(self) -> None:
        if self.max_queue_delay_microseconds < 0:
            raise ValueError("max_queue_delay_microseconds is negative")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One model on one target. `inputs` and `outputs` leave out the batch axis.

    `parameters` are the backend's own, all strings. Raises ValueError for a state that Triton's
    ValidateModelConfig refuses or in which a batcher could never batch.
    """

    name: str
    backend: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    instance_count: int
    dynamic_batching: DynamicBatching | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            # With no backend known the server guesses one from the text after a dot.
            raise ValueError(f"model name {self.name!r} is empty or has a dot")
        if not self.inputs or not self.outputs:
            raise ValueError("a model needs at least one input and one output")
        if self.instance_count < 1:
            raise ValueError("instance_count is below 1")
        if self.max_batch_size < 0:
            raise ValueError("max_batch_size is negative")
        if self.dynamic_batching is not None and self.max_batch_size == 0:
            raise ValueError("dynamic batching needs max_batch_size of at least 1")


def render(config: ModelConfig) -> str:
    """The text of config.pbtxt, ending in a newline."""
    lines = [
        f"name: {_quoted(config.name)}",
        f"backend: {_quoted(config.backend)}",
        f"max_batch_size: {config.max_batch_size}",
        *_tensors("input", config.inputs),
        *_tensors("output", config.outputs),
        f"instance_group [ {{ count: {config.instance_count} kind: KIND_CPU }} ]",
    ]
    if config.dynamic_batching is not None:
        delay = config.dynamic_batching.max_queue_delay_microseconds
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}")
    lines += [
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        for key, value in config.parameters
    ]
    return "\n".join(lines) + "\n"


def _tensors(field: str, specs: Iterable[TensorSpec]) -> list[str]:
    return [
        f"{field} [ {{ name: {_quoted(spec.name)} data_type: {TRITON_DTYPES[spec.dtype]}"
        f" dims: {list(spec.shape)} }} ]"
        for spec in specs
    ]


def _quoted(text: str) -> str:
    # Protobuf's text format reads JSON's escapes, except for characters beyond the BMP:
    # leaving them as UTF-8 is right for both. DEL is printable to JSON and legal in protobuf.
    return json.dumps(text, ensure_ascii=False)
