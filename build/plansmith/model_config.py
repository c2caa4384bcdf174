"""ModelConfig → config.pbtxt, with stable field order. Pure; Triton's own spelling of every field.

Source of the fields: triton-inference-server/common protobuf/model_config.proto.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from plansmith.tensors import TRITON_DTYPES, TensorSpec

_CAPABILITY = re.compile(r"\d+\.\d")


@dataclass(frozen=True, kw_only=True)
class DynamicBatching:
    """How long a request may wait for company; 0 batches only what is queued already."""

    max_queue_delay_microseconds: int
    preferred_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.max_queue_delay_microseconds < 0:
            raise ValueError("max_queue_delay_microseconds is negative")
        if any(size < 1 for size in self.preferred_batch_sizes):
            raise ValueError("a preferred batch size is below 1")


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """`count` instances, on each GPU for KIND_GPU; `priority` 2 gets half the turns of 1.

    The server honours priorities only when started with --rate-limit=execution_count.
    """

    count: int
    priority: int = 1
    kind: Literal["KIND_CPU", "KIND_GPU"] = "KIND_CPU"

    def __post_init__(self) -> None:
        if self.count < 1 or self.priority < 1:
            raise ValueError("count and priority are at least 1")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One model on one target. `inputs` and `outputs` leave out the batch axis.

    `label_files` are (output, file in the model's folder); `served_version` None serves the latest;
    every warm-up sends zeros. `parameters` are the backend's own, all strings. `cc_model_filenames`
    are (compute capability, file in the version's folder); on another GPU `default_model_filename`
    is loaded, None for the backend's own default. Raises ValueError for a state that Triton's
    ValidateModelConfig or the backend refuses, or in which a batcher could never batch.
    """

    name: str
    backend: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    instance_groups: tuple[InstanceGroup, ...]
    dynamic_batching: DynamicBatching | None = None
    served_version: int | None = None
    label_files: tuple[tuple[str, str], ...] = ()
    warm_up_batch_sizes: tuple[int, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    default_model_filename: str | None = None
    cc_model_filenames: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            # With no backend known the server guesses one from the text after a dot.
            raise ValueError(f"model name {self.name!r} is empty or has a dot")
        if not self.inputs or not self.outputs:
            raise ValueError("a model needs at least one input and one output")
        if not self.instance_groups:
            raise ValueError("a model needs at least one instance group")
        if self.max_batch_size < 0:
            raise ValueError("max_batch_size is negative")
        if self.dynamic_batching is not None and self.max_batch_size == 0:
            raise ValueError("dynamic batching needs max_batch_size of at least 1")
        preferred = self.dynamic_batching.preferred_batch_sizes if self.dynamic_batching else ()
        if any(size > self.max_batch_size for size in preferred):
            raise ValueError("a preferred batch size is above max_batch_size")
        if not {name for name, _ in self.label_files} <= {spec.name for spec in self.outputs}:
            raise ValueError("a label file is for an output that the model does not have")
        if self.served_version is not None and self.served_version < 1:
            raise ValueError("version numbers start at 1")
        if self.warm_up_batch_sizes:
            self._check_warm_up()
        self._check_gpu()

    def _check_gpu(self) -> None:
        if self.backend == "tensorrt" and any(
            group.kind != "KIND_GPU" for group in self.instance_groups
        ):
            raise ValueError("the tensorrt backend refuses instances that are not KIND_GPU")
        capabilities = [capability for capability, _ in self.cc_model_filenames]
        if len(set(capabilities)) != len(capabilities):
            raise ValueError("two files are for one compute capability")
        if not all(_CAPABILITY.fullmatch(capability) for capability in capabilities):
            raise ValueError('a compute capability is not like "8.6"')

    def _check_warm_up(self) -> None:
        if any(size < 1 or size > max(self.max_batch_size, 1) for size in self.warm_up_batch_sizes):
            raise ValueError("a warm-up batch size is not between 1 and max_batch_size")
        if any(-1 in spec.shape for spec in self.inputs):
            raise ValueError("warm-up needs inputs without free dimensions")


def render(config: ModelConfig) -> str:
    """The text of config.pbtxt, ending in a newline."""
    lines = [
        f"name: {_quoted(config.name)}",
        f"backend: {_quoted(config.backend)}",
        f"max_batch_size: {config.max_batch_size}",
        *_tensors("input", config.inputs, {}),
        *_tensors("output", config.outputs, dict(config.label_files)),
        *(
            f"instance_group [ {{ count: {group.count} kind: {group.kind}"
            f" rate_limiter {{ priority: {group.priority} }} }} ]"
            for group in config.instance_groups
        ),
    ]
    if config.default_model_filename is not None:
        lines.append(f"default_model_filename: {_quoted(config.default_model_filename)}")
    lines += [
        f"cc_model_filenames {{ key: {_quoted(capability)} value: {_quoted(file)} }}"
        for capability, file in config.cc_model_filenames
    ]
    if config.served_version is not None:
        lines.append(f"version_policy {{ specific {{ versions: [ {config.served_version} ] }} }}")
    if config.dynamic_batching is not None:
        lines.append(_dynamic_batching(config.dynamic_batching))
    lines += [
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        for key, value in config.parameters
    ]
    lines += [_warm_up(size, config.inputs) for size in config.warm_up_batch_sizes]
    return "\n".join(lines) + "\n"


def _dynamic_batching(batching: DynamicBatching) -> str:
    preferred = f" preferred_batch_size: {list(batching.preferred_batch_sizes)}"
    return (
        "dynamic_batching {"
        f" max_queue_delay_microseconds: {batching.max_queue_delay_microseconds}"
        f"{preferred if batching.preferred_batch_sizes else ''} }}"
    )


def _warm_up(batch_size: int, inputs: Iterable[TensorSpec]) -> str:
    tensors = " ".join(
        f"inputs {{ key: {_quoted(spec.name)} value {{ data_type: {TRITON_DTYPES[spec.dtype]}"
        f" dims: {list(spec.shape)} zero_data: true }} }}"
        for spec in inputs
    )
    return f'model_warmup [ {{ name: "batch {batch_size}" batch_size: {batch_size} {tensors} }} ]'


def _tensors(field: str, specs: Iterable[TensorSpec], label_files: Mapping[str, str]) -> list[str]:
    labels = {name: f" label_filename: {_quoted(file)}" for name, file in label_files.items()}
    return [
        f"{field} [ {{ name: {_quoted(spec.name)} data_type: {TRITON_DTYPES[spec.dtype]}"
        f" dims: {list(spec.shape)}{labels.get(spec.name, '')} }} ]"
        for spec in specs
    ]


def _quoted(text: str) -> str:
    # Protobuf's text format reads JSON's escapes, except for characters beyond the BMP:
    # leaving them as UTF-8 is right for both. DEL is printable to JSON and legal in protobuf.
    return json.dumps(text, ensure_ascii=False)
