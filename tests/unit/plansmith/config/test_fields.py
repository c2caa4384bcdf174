"""Which fields an older server does not know. That the table is true: tests/server/test_configs."""

from __future__ import annotations

from plansmith.config.fields import NEWER_FIELDS, newer_fields
from plansmith.config.message import ModelConfig


def test_the_table_names_fields_that_there_are() -> None:
    messages = ModelConfig.DESCRIPTOR.file.message_types_by_name
    for one in NEWER_FIELDS:
        name = one.message_type.removeprefix("inference.")
        assert one.field in messages[name].fields_by_name


def test_what_is_too_new_is_found_wherever_it_is() -> None:
    config = ModelConfig(name="m")
    assert newer_fields(config) == ()
    config.ensemble_scheduling.max_inflight_requests = 3
    config.model_metrics.metric_control.add()
    config.parameters["a"].string_value = "b"
    config.input.add(name="x", dims=[1])
    paths = [path for path, _ in newer_fields(config)]
    assert sorted(paths) == [("ensemble_scheduling", "max_inflight_requests"), ("model_metrics",)]
