"""Rules of ragged inputs and of tensors that a batch gets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules.case import ConfigCase, type_name
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_BATCH_IO = "core:src/model_config_utils.cc, ValidateBatchIO"


def _ragged(case: ConfigCase) -> Iterator[Hit]:
    batcher = case.has("dynamic_batching") or case.has("sequence_batching")
    for index, one in enumerate(case.message.input):
        if one.allow_ragged_batch and not batcher:
            message = f"input '{one.name}' may be ragged, but nothing makes batches"
            path = ("input", index, "allow_ragged_batch")
            yield Hit(path=path, message=message, fix="add dynamic_batching { }, or take it out")


def _batch_sources(case: ConfigCase) -> Iterator[Hit]:
    inputs = {one.name for one in case.message.input}
    for field in ("batch_input", "batch_output"):
        for index, one in enumerate(getattr(case.message, field)):
            path = (field, index)
            if len(one.source_input) != 1:
                message = f"{field} {index} has {len(one.source_input)} source inputs, not 1"
                yield Hit(path=path, message=message, fix='write source_input: "…" once')
            for name in one.source_input:
                if name not in inputs:
                    message = f"{field} {index}: there is no input '{name}'"
                    yield Hit(path=path, message=message, fix="name one of the inputs")


def _batch_input_type(case: ConfigCase) -> Iterator[Hit]:
    for index, one in enumerate(case.message.batch_input):
        name = type_name(one, one.data_type)
        if name not in ("TYPE_INT32", "TYPE_FP32"):
            path = ("batch_input", index, "data_type")
            message = f"batch_input {index} is {name}"
            yield Hit(path=path, message=message, fix="write TYPE_INT32 or TYPE_FP32")


def _batch_target(case: ConfigCase) -> Iterator[Hit]:
    outputs = {one.name for one in case.message.output}
    for index, one in enumerate(case.message.batch_output):
        names = list(one.target_name)
        path = ("batch_output", index)
        for name in dict.fromkeys(names):
            if name not in outputs:
                message = f"batch_output {index}: there is no output '{name}'"
                yield Hit(path=path, message=message, fix="name one of the outputs")
            elif names.count(name) > 1:
                message = f"batch_output {index} names '{name}' twice"
                yield Hit(path=path, message=message, fix="name each output once")


RULES = (
    Rule(
        id="ragged-without-batcher",
        severity=WARNING,
        about="`allow_ragged_batch` means something only where a scheduler makes batches.",
        source="server:docs/user_guide/ragged_batching.md",
        of_config=_ragged,
    ),
    Rule(
        id="batch-source",
        severity=ERROR,
        about="A batch input or output has one source, which is an input.",
        source=_BATCH_IO,
        of_config=_batch_sources,
    ),
    Rule(
        id="batch-input-type",
        severity=ERROR,
        about="A batch input is TYPE_INT32 or TYPE_FP32.",
        source=_BATCH_IO,
        of_config=_batch_input_type,
    ),
    Rule(
        id="batch-target",
        severity=ERROR,
        about="A batch output's targets are outputs, each named once.",
        source=_BATCH_IO,
        of_config=_batch_target,
    ),
)
