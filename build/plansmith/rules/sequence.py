"""Rules of `sequence_batching` but for its states, which are in sequence_states.py. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import ConfigCase, repeated, type_name
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule

_BOOLEAN = "core:src/model_config_utils.cc, GetBooleanSequenceControlProperties"
_TYPED = "core:src/model_config_utils.cc, GetTypedSequenceControlProperties"
_VALIDATOR = "core:src/model_config_utils.cc, ValidateModelConfig"
_PROTO = "common:protobuf/model_config.proto"
_CORRELATION = "CONTROL_SEQUENCE_CORRID"
_CORRELATION_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
_PAIRS = ("int32_false_true", "fp32_false_true", "bool_false_true")
# Source: SEQUENCE_IDLE_DEFAULT_MICROSECONDS in core:src/constants.h.
_DEFAULT_IDLE_US = 1_000_000


def _controls(case: ConfigCase) -> Iterator[tuple[Path, str, Any]]:
    for index, one in enumerate(case.message.sequence_batching.control_input):
        for place, control in enumerate(one.control):
            path = ("sequence_batching", "control_input", index, "control", place)
            yield path, type_name(control, control.kind, "kind"), control


def _control_name(case: ConfigCase) -> Iterator[Hit]:
    inputs = case.message.sequence_batching.control_input
    names = [str(one.name) for one in inputs]
    for index, name in enumerate(names):
        path = ("sequence_batching", "control_input", index)
        if not name:
            yield Hit(path=path, message="a control input has no name", fix='write name: "…"')
        elif index in repeated(names):
            message = f"control input '{name}' is there twice"
            yield Hit(path=path, message=message, fix="take one out, or name another input")


def _control_kind(case: ConfigCase) -> Iterator[Hit]:
    seen = set[str]()
    for path, kind, _ in _controls(case):
        if kind in seen:
            message = f"two control inputs are {kind}"
            yield Hit(path=path, message=message, fix="keep one")
        seen.add(kind)


def _control_values(case: ConfigCase) -> Iterator[Hit]:
    for path, kind, control in _controls(case):
        if kind == _CORRELATION:
            continue
        pairs = [name for name in _PAIRS if getattr(control, name)]
        if len(pairs) != 1:
            told = " and ".join(pairs) or "no values for false and true"
            message = f"{kind} has {told}"
            yield Hit(path=path, message=message, fix=f"write one of {', '.join(_PAIRS)}")
        elif len(getattr(control, pairs[0])) != 2:
            message = f"{pairs[0]} of {kind} has {len(getattr(control, pairs[0]))} values"
            fix = f"write {pairs[0]}: [ 0, 1 ]: what false and true are"
            yield Hit(path=(*path, pairs[0]), message=message, fix=fix)


def _correlation(case: ConfigCase) -> Iterator[Hit]:
    for path, kind, control in _controls(case):
        if kind != _CORRELATION:
            continue
        name = type_name(control, control.data_type)
        if name not in _CORRELATION_TYPES:
            message = f"{kind} is {name}"
            yield Hit(path=path, message=message, fix=f"write {', '.join(_CORRELATION_TYPES)}")
        for pair in (pair for pair in _PAIRS if getattr(control, pair)):
            message = f"{kind} has {pair}"
            fix = "take it out: its value is the sequence's id"
            yield Hit(path=(*path, pair), message=message, fix=fix)


def _slots(case: ConfigCase) -> Iterator[Hit]:
    share = case.message.sequence_batching.direct.minimum_slot_utilization
    if not 0 <= share <= 1:
        path = ("sequence_batching", "direct", "minimum_slot_utilization")
        message = f"minimum_slot_utilization is {share:g}"
        yield Hit(path=path, message=message, fix="write a share from 0 to 1")


def _delay_ignored(case: ConfigCase) -> Iterator[Hit]:
    direct = case.message.sequence_batching.direct
    if direct.max_queue_delay_microseconds and not direct.minimum_slot_utilization:
        path = ("sequence_batching", "direct", "max_queue_delay_microseconds")
        message = "the delay is ignored while minimum_slot_utilization is 0"
        fix = "write minimum_slot_utilization, or take the delay out"
        yield Hit(path=path, message=message, fix=fix)


def _candidates(case: ConfigCase) -> Iterator[Hit]:
    batching = case.message.sequence_batching
    if batching.HasField("oldest") and batching.oldest.max_candidate_sequences < 1:
        path = ("sequence_batching", "oldest", "max_candidate_sequences")
        message = "the oldest strategy has no max_candidate_sequences"
        fix = "write how many sequences one instance may hold at once"
        yield Hit(path=path, message=message, fix=fix)


def _idle(case: ConfigCase) -> Iterator[Hit]:
    if not case.has("sequence_batching"):
        return
    written = case.message.sequence_batching.max_sequence_idle_microseconds
    idle_us = written or _DEFAULT_IDLE_US
    wanted_us = case.recipe.max_idle_us if case.recipe is not None else None
    path = ("sequence_batching", "max_sequence_idle_microseconds")
    told = f"a sequence is forgotten after {idle_us / 1000:g} ms without a request"
    if wanted_us is not None and idle_us < wanted_us:
        message = f"{told}, the recipe allows {wanted_us / 1000:g} ms"
        yield Hit(path=path, message=message, fix=f"write {wanted_us}")
    elif not written:
        fix = "write max_sequence_idle_microseconds: above the longest pause of a client"
        yield Hit(path=path, message=f"{told}, the server's default", fix=fix)


RULES = (
    Rule(
        id="control-name",
        severity=ERROR,
        about="Control inputs have names, each its own.",
        source=_BOOLEAN,
        of_config=_control_name,
    ),
    Rule(
        id="control-kind",
        severity=ERROR,
        about="Each kind of control has one input at most.",
        source=_BOOLEAN,
        of_config=_control_kind,
    ),
    Rule(
        id="control-values",
        severity=ERROR,
        about="START, END and READY have two values of one type, for false and true.",
        source=_BOOLEAN,
        of_config=_control_values,
    ),
    Rule(
        id="control-correlation",
        severity=ERROR,
        about="CORRID is (U)INT32, (U)INT64 or STRING and has no values for false and true.",
        source=_TYPED,
        of_config=_correlation,
    ),
    Rule(
        id="slot-utilization",
        severity=ERROR,
        about="`minimum_slot_utilization` is from 0 to 1.",
        source=_VALIDATOR,
        of_config=_slots,
    ),
    Rule(
        id="sequence-delay-ignored",
        severity=WARNING,
        about="A direct strategy's delay needs `minimum_slot_utilization` above 0.",
        source=_PROTO,
        of_config=_delay_ignored,
    ),
    Rule(
        id="sequence-candidates",
        severity=WARNING,
        about="The oldest strategy has `max_candidate_sequences` from 1.",
        source="core:src/sequence_batch_scheduler",
        of_config=_candidates,
    ),
    Rule(
        id="sequence-idle",
        severity=WARNING,
        about="Sequences live as long as the recipe says; the default of 1 s is written down.",
        source=_PROTO,
        of_config=_idle,
    ),
)
