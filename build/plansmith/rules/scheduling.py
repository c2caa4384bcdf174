"""Rules of batching, queues, priorities, caches and transactions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plansmith.config.message import Path
from plansmith.rules.case import ConfigCase, entries, repeated
from plansmith.rules.findings import ERROR, WARNING, Cut, Hit, Rule

_VALIDATOR = "core:src/model_config_utils.cc, ValidateModelConfig"
_QUEUE = "core:src/scheduler_utils.cc"
_DELAY = 1  # ModelQueuePolicy.TimeoutAction


def _batch_negative(case: ConfigCase) -> Iterator[Hit]:
    size = case.message.max_batch_size
    if size < 0:
        message = f"max_batch_size is {size}"
        fix = "write 0 for a model without a batch axis, else the largest batch"
        yield Hit(path=("max_batch_size",), message=message, fix=fix)


def _batcher_idle(case: ConfigCase) -> Iterator[Hit]:
    if case.has("dynamic_batching") and case.message.max_batch_size == 0:
        message = "dynamic_batching with max_batch_size 0 never makes a batch"
        fix = "write max_batch_size, or leave dynamic_batching out"
        yield Hit(path=("dynamic_batching",), message=message, fix=fix)


def _batcher(case: ConfigCase) -> tuple[Any, Path] | None:
    """The block that has preferred_batch_size, and its path."""
    if case.has("dynamic_batching"):
        return case.message.dynamic_batching, ("dynamic_batching",)
    if case.has("sequence_batching") and case.message.sequence_batching.HasField("oldest"):
        return case.message.sequence_batching.oldest, ("sequence_batching", "oldest")
    return None


def _preferred_size(case: ConfigCase) -> Iterator[Hit]:
    found = _batcher(case)
    for index, size in enumerate(found[0].preferred_batch_size if found else ()):
        if size < 1:
            path = (*found[1], "preferred_batch_size", index) if found else ()
            fix = "write sizes from 1 to max_batch_size"
            yield Hit(path=path, message=f"a preferred batch size is {size}", fix=fix)


def _preferred_above(case: ConfigCase) -> Iterator[Hit]:
    found = _batcher(case)
    if found is None:
        return
    block, path = found
    limit = case.message.max_batch_size
    above = [index for index, size in enumerate(block.preferred_batch_size) if size > limit]
    for index in above:
        message = (
            f"preferred batch size {block.preferred_batch_size[index]} is above "
            f"max_batch_size {max(limit, 0)}"
        )
        place = (*path, "preferred_batch_size", index)
        yield Hit(path=place, message=message, fix="take it out", repair=_without(case, path))


def _preferred_twice(case: ConfigCase) -> Iterator[Hit]:
    found = _batcher(case)
    if found is None:
        return
    block, path = found
    sizes = list(block.preferred_batch_size)
    for index in repeated([str(size) for size in sizes]):
        message = f"preferred batch size {sizes[index]} is there twice"
        place = (*path, "preferred_batch_size", index)
        yield Hit(path=place, message=message, fix="take one out", repair=_without(case, path))


def _without(case: ConfigCase, path: Path) -> Cut | None:
    """The list of preferred sizes with each legal one once; None where it is not one list."""
    place = (*path, "preferred_batch_size")
    span = case.config.spans[place]
    text = case.config.text[span.start : span.end]
    found = _batcher(case)
    if found is None or "#" in text or "[" not in text:
        return None
    legal = [size for size in found[0].preferred_batch_size if size <= case.message.max_batch_size]
    kept = ", ".join(str(size) for size in dict.fromkeys(legal))
    end = text[-1] if text[-1] in ",;" else ""
    list_text = f"preferred_batch_size: [ {kept} ]{end}" if legal else ""
    return Cut(file=case.config.file, start=span.start, end=span.end, text=list_text)


def _priority_default(case: ConfigCase) -> Iterator[Hit]:
    batching = case.message.dynamic_batching
    levels, default = batching.priority_levels, batching.default_priority_level
    if levels and not 1 <= default <= levels:
        message = f"default_priority_level is {default}, of {levels} levels"
        path = ("dynamic_batching", "default_priority_level")
        yield Hit(path=path, message=message, fix=f"write one from 1 to {levels}; 1 is the highest")


def _priority_policy(case: ConfigCase) -> Iterator[Hit]:
    batching = case.message.dynamic_batching
    levels = batching.priority_levels
    for key in entries(batching.priority_queue_policy) if levels else ():
        if not 1 <= key <= levels:
            message = f"a priority_queue_policy is for level {key}, of {levels} levels"
            path = ("dynamic_batching", "priority_queue_policy", key)
            yield Hit(path=path, message=message, fix=f"write a key from 1 to {levels}")


def _priority_ignored(case: ConfigCase) -> Iterator[Hit]:
    batching = case.message.dynamic_batching
    if batching.priority_levels:
        return
    for field in ("priority_queue_policy", "default_priority_level"):
        if getattr(batching, field):
            message = f"{field} means nothing without priority_levels"
            path = ("dynamic_batching", field)
            yield Hit(path=path, message=message, fix="write priority_levels, or take it out")


def _ordering_priority(case: ConfigCase) -> Iterator[Hit]:
    batching = case.message.dynamic_batching
    if batching.preserve_ordering and batching.priority_levels > 1:
        message = f"preserve_ordering does not go with {batching.priority_levels} priority levels"
        path = ("dynamic_batching", "preserve_ordering")
        yield Hit(path=path, message=message, fix="take one of them out")


def _policies(case: ConfigCase) -> Iterator[tuple[Path, Any]]:
    batching = case.message.dynamic_batching
    if batching.HasField("default_queue_policy"):
        yield ("dynamic_batching", "default_queue_policy"), batching.default_queue_policy
    for key, policy in entries(batching.priority_queue_policy).items():
        yield ("dynamic_batching", "priority_queue_policy", key), policy


def _ordering_delay(case: ConfigCase) -> Iterator[Hit]:
    if not case.message.dynamic_batching.preserve_ordering:
        return
    for path, policy in _policies(case):
        if policy.timeout_action == _DELAY and policy.default_timeout_microseconds:
            message = "preserve_ordering does not go with timeout_action DELAY"
            place = (*path, "timeout_action")
            yield Hit(path=place, message=message, fix="write REJECT, or take one of them out")


def _override_ignored(case: ConfigCase) -> Iterator[Hit]:
    for path, policy in _policies(case):
        if policy.allow_timeout_override and not policy.default_timeout_microseconds:
            message = "allow_timeout_override without default_timeout_microseconds does nothing"
            fix = "write the longest timeout: a request's own may only shorten it"
            yield Hit(path=(*path, "allow_timeout_override"), message=message, fix=fix)


def _delay_ignored(case: ConfigCase) -> Iterator[Hit]:
    for path, policy in _policies(case):
        if policy.timeout_action == _DELAY and not policy.default_timeout_microseconds:
            message = "timeout_action DELAY without default_timeout_microseconds does nothing"
            fix = "write the timeout, or take timeout_action out"
            yield Hit(path=(*path, "timeout_action"), message=message, fix=fix)


def _delay_slo(case: ConfigCase) -> Iterator[Hit]:
    p99_ms = case.recipe.p99_ms if case.recipe is not None else None
    found = _batcher(case)
    if p99_ms is None or found is None:
        return
    delay_ms = found[0].max_queue_delay_microseconds / 1000
    if delay_ms >= p99_ms:
        message = f"a request may wait {delay_ms:g} ms for company, the recipe allows {p99_ms:g} ms"
        path = (*found[1], "max_queue_delay_microseconds")
        yield Hit(path=path, message=message, fix="write a delay well below slo.p99_ms")


RULES = (
    Rule(
        id="batch-negative",
        severity=ERROR,
        about="`max_batch_size` is 0 or more.",
        source=_VALIDATOR,
        of_config=_batch_negative,
    ),
    Rule(
        id="batcher-without-batch",
        severity=WARNING,
        about="`dynamic_batching` needs a `max_batch_size` from 1 to make batches.",
        source="server:docs/user_guide/batcher.md",
        of_config=_batcher_idle,
    ),
    Rule(
        id="preferred-size",
        severity=ERROR,
        about="Preferred batch sizes are 1 or more.",
        source=_VALIDATOR,
        of_config=_preferred_size,
    ),
    Rule(
        id="preferred-size-above-max",
        severity=ERROR,
        about="No preferred batch size is above `max_batch_size`; `--fix` takes it out.",
        source=_VALIDATOR,
        of_config=_preferred_above,
    ),
    Rule(
        id="preferred-size-twice",
        severity=WARNING,
        about="No preferred batch size is there twice; `--fix` takes one out.",
        source="common:protobuf/model_config.proto",
        of_config=_preferred_twice,
    ),
    Rule(
        id="priority-default",
        severity=ERROR,
        about="With `priority_levels`, `default_priority_level` is one of them.",
        source=_VALIDATOR,
        of_config=_priority_default,
    ),
    Rule(
        id="priority-policy",
        severity=ERROR,
        about="`priority_queue_policy` is for levels that there are.",
        source=_VALIDATOR,
        of_config=_priority_policy,
    ),
    Rule(
        id="priority-ignored",
        severity=WARNING,
        about="Priorities mean something only with `priority_levels`.",
        source=_QUEUE,
        of_config=_priority_ignored,
    ),
    Rule(
        id="ordering-priority",
        severity=ERROR,
        about="`preserve_ordering` allows one priority level.",
        source=_VALIDATOR,
        of_config=_ordering_priority,
    ),
    Rule(
        id="ordering-delay",
        severity=ERROR,
        about="`preserve_ordering` forbids `timeout_action: DELAY`.",
        source=_VALIDATOR,
        of_config=_ordering_delay,
    ),
    Rule(
        id="timeout-override-ignored",
        severity=WARNING,
        about="`allow_timeout_override` only shortens a timeout: it needs one.",
        source=_QUEUE,
        of_config=_override_ignored,
    ),
    Rule(
        id="timeout-action-ignored",
        severity=WARNING,
        about="`timeout_action: DELAY` needs a timeout.",
        source=_QUEUE,
        of_config=_delay_ignored,
    ),
    Rule(
        id="queue-delay-above-slo",
        severity=WARNING,
        about="A queue delay is below the recipe's p99.",
        source="the recipe's [slo]",
        of_config=_delay_slo,
    ),
)
