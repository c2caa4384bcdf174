"""The text of any configuration is read back by protobuf as the same configuration."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import UninterpretedOption
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plansmith.config.message import ModelConfig
from plansmith.config.rendering import render

# A whole configuration takes milliseconds to draw.
FEWER = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
# Surrogates are no text, and protobuf refuses them.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
_WHOLE = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_OTHER = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32, allow_nan=False),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
}


def fill(draw: st.DrawFn, message: Any, most: int = 3) -> None:
    """Sets some of the fields of `message`, and of those in it."""
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    chosen = draw(st.lists(st.sampled_from(fields), max_size=most, unique_by=lambda f: f.name))
    for field in chosen:
        if is_map(field):
            _fill_map(draw, message, field)
        elif field.message_type is not None:
            _fill_messages(draw, message, field)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values(field), max_size=3)))
        else:
            setattr(message, field.name, draw(values(field)))


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([one.number for one in field.enum_type.values])
    if field.type in _WHOLE:
        return st.integers(*_WHOLE[field.type])
    return _OTHER[field.type]


def _fill_map(draw: st.DrawFn, message: Any, field: FieldDescriptor) -> None:
    entry: Descriptor = field.message_type
    keys = draw(st.lists(values(entry.fields_by_name["key"]), max_size=3, unique=True))
    value, to = entry.fields_by_name["value"], getattr(message, field.name)
    for key in keys:
        if value.message_type is None:
            to[key] = draw(values(value))
        else:
            fill(draw, to[key], 2)


def _fill_messages(draw: st.DrawFn, message: Any, field: FieldDescriptor) -> None:
    if not field.is_repeated:
        getattr(message, field.name).SetInParent()
        fill(draw, getattr(message, field.name))
        return
    for _ in range(draw(st.integers(0, 2))):
        fill(draw, getattr(message, field.name).add())


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    message = ModelConfig()
    fill(draw, message, 6)
    return message


def read(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


@FEWER
@given(configs())
def test_any_configuration_is_read_back_as_it_was(config: ModelConfig) -> None:
    assert read(render(config)) == config


@FEWER
@given(configs(), TEXT)
def test_comments_do_not_change_what_is_read(config: ModelConfig, comment: str) -> None:
    comments = {(field.name,): comment for field, value in config.ListFields() if value}
    assert read(render(config, comments)) == config


@FEWER
@given(configs())
def test_equal_configurations_have_one_text(config: ModelConfig) -> None:
    copy = ModelConfig()
    copy.ParseFromString(config.SerializeToString())
    # A map has no order of its own: filled the other way round it is the same.
    for key in reversed(sorted(config.parameters)):
        value = config.parameters[key].string_value
        del copy.parameters[key]
        copy.parameters[key].string_value = value
    assert render(copy) == render(config)


@given(TEXT)
def test_any_text_is_one_line(text: str) -> None:
    (_, line) = sorted(render(ModelConfig(name=text or "x")).splitlines())
    assert line.startswith('name: "')


@given(st.binary())
def test_bytes_that_are_no_text_are_read_back_too(content: bytes) -> None:
    # The configuration has no field of bytes; protobuf's own message of options has.
    message = UninterpretedOption(string_value=content)
    text = render(message, {})
    assert text_format.Parse(text, UninterpretedOption()) == message


GOLDEN = """\
# The model.
name: "detect \\"all\\"\\n\\302\\200ü"
backend: "python"
version_policy { specific { versions: [ 2, 3 ] } }
max_batch_size: 0
# What callers send.
input { name: "image" data_type: TYPE_UINT8 dims: [ -1, 3 ] reshape {} }
# Optional.
input { name: "limit" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
output { name: "boxes" data_type: TYPE_FP32 dims: [ -1, 4 ] label_filename: "labels.txt" }
dynamic_batching {
  # None is best:
  # measured.
  max_queue_delay_microseconds: 0
  priority_levels: 2
  default_priority_level: 2
  default_queue_policy {
    timeout_action: DELAY
    default_timeout_microseconds: 50000
    allow_timeout_override: true
    max_queue_size: 64
  }
  priority_queue_policy { key: 1 value { timeout_action: REJECT max_queue_size: 8 } }
}
instance_group { kind: KIND_CPU count: 2 }
metric_tags { key: "a" value: "1" }
metric_tags { key: "b" value: "2" }
# Threads.
parameters { key: "THREADS" value { string_value: "2" } }
model_transaction_policy { decoupled: true }
"""


def golden() -> ModelConfig:
    config = ModelConfig(name='detect "all"\n\x80ü', backend="python")
    config.version_policy.specific.versions.extend([2, 3])
    image = config.input.add(name="image", data_type="TYPE_UINT8", dims=[-1, 3])
    image.reshape.SetInParent()
    config.input.add(name="limit", data_type="TYPE_FP32", dims=[1], optional=True)
    labelled = config.output.add(name="boxes", data_type="TYPE_FP32", dims=[-1, 4])
    labelled.label_filename = "labels.txt"
    batching = config.dynamic_batching
    batching.priority_levels = batching.default_priority_level = 2
    policy = batching.default_queue_policy
    policy.timeout_action, policy.default_timeout_microseconds = "DELAY", 50_000
    policy.allow_timeout_override, policy.max_queue_size = True, 64
    batching.priority_queue_policy[1].max_queue_size = 8
    config.instance_group.add(kind="KIND_CPU", count=2)
    config.metric_tags.update({"b": "2", "a": "1"})
    config.parameters["THREADS"].string_value = "2"
    config.model_transaction_policy.decoupled = True
    return config


COMMENTS = {
    ("name",): "The model.",
    ("input",): "What callers send.",
    ("input", 1): "Optional.",
    ("dynamic_batching", "max_queue_delay_microseconds"): "None is best:\nmeasured.",
    ("parameters", "THREADS"): "Threads.",
}


def test_the_layout_is_for_people() -> None:
    assert render(golden(), COMMENTS) == GOLDEN
    assert read(GOLDEN) == golden()


def test_long_comments_are_broken_between_words() -> None:
    text = render(ModelConfig(name="m"), {("name",): "word " * 100})
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) > 4
    assert all(len(line) <= 100 for line in comments)


def test_a_float_has_the_fewest_digits_that_mean_it() -> None:
    config = ModelConfig()
    config.sequence_batching.direct.minimum_slot_utilization = 0.1
    assert "minimum_slot_utilization: 0.1 }" in render(config)


@pytest.mark.parametrize("path", [("no_such",), ("input", 0), ("parameters", "KEY")])
def test_a_comment_on_what_is_not_there_is_a_bug(path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match="no field at"):
        render(ModelConfig(name="m"), {path: "why"})
