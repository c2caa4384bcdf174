"""Configurations in texts: every field there is alone, and all that go together at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from plansmith.config.message import ModelConfig

EVERYTHING = """
name: "everything"
backend: "python"
version_policy { specific { versions: [ 1 ] } }
max_batch_size: 4
input {
  name: "x" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [ 2, 2, 1 ]
  reshape { shape: [ 4 ] } allow_ragged_batch: true
}
input { name: "maybe" data_type: TYPE_STRING dims: [ 1 ] reshape {} optional: true }
output {
  name: "y" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ 2, 2 ] }
  label_filename: "labels.txt"
}
batch_input {
  kind: BATCH_ELEMENT_COUNT target_name: "count" data_type: TYPE_FP32 source_input: "x"
}
batch_output { target_name: "y" kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: "x" }
optimization {
  graph { level: 1 }
  priority: PRIORITY_MAX
  cuda {
    graphs: false busy_wait_events: true output_copy_stream: true
    graph_spec {
      batch_size: 1
      input { key: "x" value { dim: [ 2, 2, 1 ] } }
      graph_lower_bound { batch_size: 1 input { key: "x" value { dim: [ 2, 2, 1 ] } } }
    }
  }
  execution_accelerators {
    cpu_execution_accelerator { name: "openvino" parameters { key: "a" value: "b" } }
    gpu_execution_accelerator { name: "cuda" parameters { key: "a" value: "b" } }
  }
  input_pinned_memory { enable: true }
  output_pinned_memory { enable: true }
  gather_kernel_buffer_threshold: 0
  eager_batching: true
}
dynamic_batching {
  preferred_batch_size: [ 2, 4 ]
  max_queue_delay_microseconds: 100
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {
    timeout_action: DELAY default_timeout_microseconds: 50000
    allow_timeout_override: true max_queue_size: 64
  }
  priority_queue_policy {
    key: 1
    value {
      timeout_action: REJECT default_timeout_microseconds: 5000
      allow_timeout_override: true max_queue_size: 8
    }
  }
}
instance_group {
  name: "one" kind: KIND_CPU count: 1 host_policy: "cpu"
  rate_limiter { resources { name: "r" global: false count: 1 } priority: 2 }
}
instance_group { name: "two" kind: KIND_MODEL count: 1 }
default_model_filename: "model.py"
cc_model_filenames { key: "8.6" value: "model.plan" }
metric_tags { key: "team" value: "vision" }
parameters { key: "a" value { string_value: "b" } }
model_warmup {
  name: "zeros" batch_size: 1 count: 2
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 2, 2, 1 ] zero_data: true } }
  inputs { key: "maybe" value { data_type: TYPE_STRING dims: [ 1 ] zero_data: true } }
}
model_warmup {
  name: "random" batch_size: 2
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 2, 2, 1 ] random_data: true } }
}
model_operations { op_library_filename: "operations.so" }
model_transaction_policy { decoupled: false }
response_cache { enable: true }
"""


def every_field() -> Iterator[tuple[str, str, str]]:
    """(message, field, a text that sets it) for each field and enumeration value there is."""

    def walk(message: Descriptor, before: str, after: str, seen: frozenset[str]) -> Any:
        for one in message.fields:
            inner = one.message_type
            if inner is None:
                for value in values(one):
                    yield message.full_name, one.name, f"{before}{one.name}: {value}{after}"
                continue
            # Triton 2.51 crashes on an empty list of agents.
            if one.name != "model_repository_agents":
                yield message.full_name, one.name, f"{before}{one.name} {{ }}{after}"
            if inner.full_name not in seen:
                names = seen | {inner.full_name}
                yield from walk(inner, f"{before}{one.name} {{ ", f" }}{after}", names)

    return walk(ModelConfig.DESCRIPTOR, "", "", frozenset())


def values(one: FieldDescriptor) -> list[str]:
    if one.enum_type is not None:
        return [value.name for value in one.enum_type.values]
    others = {FieldDescriptor.TYPE_STRING: '"a"', FieldDescriptor.TYPE_BOOL: "true"}
    return [others.get(one.type, "1")]
