"""What a recipe says of serving: [serving], and [slo] priority_levels. docs/serving.md tells each.

What Triton would refuse or ignore is refused here, on its line. Source of the rules:
triton-inference-server/core src/model_config_utils.cc (ValidateModelConfig), and
src/scheduler_utils.cc for the queue's timeouts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from plansmith.recipe.model_part import WAYS
from plansmith.recipe.reader import (
    Reader,
    as_count,
    as_flag,
    as_number,
    as_text,
    listed,
)
from plansmith.recipe.serving_words import TIMEOUT_ACTIONS, WARM_UPS, RateLimiter, Serving

T = TypeVar("T")

# Each level is a queue of its own in the server.
MAX_PRIORITY_LEVELS = 100
MAX_DELAY_US = 60_000_000
MAX_TIMEOUT_MS = 86_400_000
MAX_UINT32 = 2**32 - 1
# Each of a Python model is a process of its own.
MAX_INSTANCES = 1000
DELAY = f"a whole number of microseconds, 0 to {MAX_DELAY_US}"
TIMEOUT = f"a number of milliseconds, 0.001 to {MAX_TIMEOUT_MS}"
SIZE = f"a whole number from 1 to {MAX_UINT32}"
LEVELS = f"a whole number, 1 to {MAX_PRIORITY_LEVELS}"
INSTANCES = f"a whole number, 1 to {MAX_INSTANCES}"

# The server puts "_" in front; two of them at the start are Prometheus' own.
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*", re.ASCII)
# Grouped by what has no use for them.
_OF_THE_QUEUE = (
    "queue_delay_us",
    "queue_size",
    "queue_timeout_ms",
    "timeout_action",
    "allow_timeout_override",
    "preserve_ordering",
)
_FLAGS_OF_TENSORRT = ("cuda_graphs", "busy_wait_events", "output_copy_stream", "eager_batching")
_OF_TENSORRT = ("gpu_instances", *_FLAGS_OF_TENSORRT)
_OF_VERSIONS = ("serve_versions", "keep_versions")
KEYS = (
    *_OF_THE_QUEUE,
    "response_cache",
    *_OF_VERSIONS,
    "metric_tags",
    "instances",
    "rate_limiter",
    "warm_up",
    *_OF_TENSORRT,
)
TENSORRT_TARGETS = ("tensorrt", "tensorrt-rtx")


def serving(reader: Reader, root: Mapping[str, Any], p99_ms: float | None) -> Serving | None:
    """All words of serving; None where a problem was recorded.

    `root` is the whole recipe: what else it says decides what can be asked for here.
    """
    problems = len(reader.problems)
    found: dict[str, Any] = _priority_levels(reader, root)
    table: Mapping[str, Any] = {}
    if "serving" in root:
        table = reader.table(root, ("serving",)) or {}
        reader.keys(table, ("serving",), KEYS)
        found |= _queue(reader, table) | _rest(reader, table)
    _refuse_clashes(reader, root, table, found, p99_ms)
    if len(reader.problems) > problems:
        return None
    if "queue_timeout_ms" not in found and _needs_timeout(table, found) and p99_ms is not None:
        # Whoever has waited that long has missed the objective already.
        found["queue_timeout_ms"] = min(p99_ms, float(MAX_TIMEOUT_MS))
    return Serving(**found)


def _needs_timeout(table: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    asked = ("timeout_action" in table) or found.get("allow_timeout_override", False)
    return asked or found.get("priority_levels", 0) > 0


def _priority_levels(reader: Reader, root: Mapping[str, Any]) -> dict[str, Any]:
    slo = _inside(root, "slo")
    if not isinstance(slo, dict) or "priority_levels" not in slo:
        return {}
    place = ("slo", "priority_levels")
    accept = _whole(1, MAX_PRIORITY_LEVELS)
    return _present(place, reader.value(cast("dict[str, Any]", slo), place, accept, LEVELS))


def _queue(reader: Reader, table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    found |= _one(reader, table, "queue_delay_us", _whole(0, MAX_DELAY_US), DELAY)
    found |= _one(reader, table, "queue_size", _whole(1, MAX_UINT32), SIZE)
    found |= _one(reader, table, "queue_timeout_ms", _timeout, TIMEOUT)
    if "timeout_action" in table:
        place = ("serving", "timeout_action")
        found |= _present(place, reader.choice(table, place, TIMEOUT_ACTIONS))
    return found


def _rest(reader: Reader, table: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    flags = ("allow_timeout_override", "preserve_ordering", "response_cache", *_FLAGS_OF_TENSORRT)
    for name in flags:
        found |= _one(reader, table, name, as_flag, "true or false")
    for name in _OF_VERSIONS:
        found |= _one(reader, table, name, as_count, "a whole number from 1")
    expected = 'a table of texts by word, for instance { team = "vision" }'
    found |= _one(reader, table, "metric_tags", _tags, expected)
    for name in ("instances", "gpu_instances"):
        found |= _one(reader, table, name, _whole(1, MAX_INSTANCES), INSTANCES)
    if "warm_up" in table:
        place = ("serving", "warm_up")
        found |= _present(place, reader.choice(table, place, WARM_UPS))
    if "rate_limiter" in table:
        found |= _rate_limiter(reader, table)
    return found


def _rate_limiter(reader: Reader, parent: Mapping[str, Any]) -> dict[str, Any]:
    path = ("serving", "rate_limiter")
    table = reader.table(parent, path)
    if table is None:
        return {}
    reader.keys(table, path, ("priority", "resources"))
    place = (*path, "priority")
    priority = reader.value(table, place, _whole(1, MAX_UINT32), SIZE, 1)
    expected = "a table of whole numbers from 1, for instance { encoder = 2 }"
    place = (*path, "resources")
    resources = reader.value(table, place, _resources, expected, ())
    if priority is None or resources is None:
        return {}
    return {"rate_limiter": RateLimiter(priority=priority, resources=resources)}


def _refuse_clashes(
    reader: Reader,
    root: Mapping[str, Any],
    table: Mapping[str, Any],
    found: Mapping[str, Any],
    p99_ms: float | None,
) -> None:
    _refuse_for_kind(reader, root, table)
    _refuse_for_target(reader, root, found)
    levels = found.get("priority_levels", 0)
    if found.get("preserve_ordering") and levels > 1:
        why = f"goes with one priority level alone; slo.priority_levels is {levels}"
        reader.problem(("serving", "preserve_ordering"), why)
    if found.get("preserve_ordering") and found.get("timeout_action") == "delay":
        why = 'cannot be with timeout_action = "delay": who waits too long goes to the end'
        reader.problem(("serving", "preserve_ordering"), why)
    delay_us = found.get("queue_delay_us", 0)
    if p99_ms is not None and delay_us >= p99_ms * 1000:
        why = f"is {delay_us}: waiting for company alone uses up slo.p99_ms, {p99_ms:g} ms"
        reader.problem(("serving", "queue_delay_us"), why)
    served, kept = found.get("serve_versions", 1), found.get("keep_versions")
    if kept is not None and kept < served:
        why = f"is {kept}, fewer than the {served} that serve_versions serves"
        reader.problem(("serving", "keep_versions"), why)


def _refuse_for_kind(reader: Reader, root: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """What an optimised model, an ensemble, one with state or a streaming one cannot have."""
    warms = table.get("warm_up") in ("samples", "zeros")
    if _inside(root, "source", "ensemble") is True:
        why = "goes into the recipes of the ensemble's models: it has no queue and no instance"
        names = (*_OF_THE_QUEUE, "instances", "rate_limiter", *_OF_TENSORRT)
        names = (*names, *(("warm_up",) if warms else ()))
        _refuse(reader, root, table, names, why)
    elif "sequence" in root:
        why = "is not for a model with [sequence]: its requests wait by sequence"
        _refuse(reader, root, table, _OF_THE_QUEUE, why)
        why = "is not for a model with [sequence]: its answers depend on what came before"
        names = ("response_cache",) if table.get("response_cache") is True else ()
        _refuse(reader, {}, table, (*names, *(("warm_up",) if warms else ())), why)
    ways = [_inside(root, "source", way) for way in WAYS]
    if "instances" in table and all(way in (None, False) for way in ways):
        why = "is for a model that is served as it is: of one that is optimised the build measures "
        reader.problem(("serving", "instances"), f"{why}instances x threads and takes the best")
    if _inside(root, "source", "decoupled") is True and table.get("response_cache") is True:
        why = "cannot be with source.decoupled: only single answers are kept"
        reader.problem(("serving", "response_cache"), why)


def _refuse(
    reader: Reader,
    root: Mapping[str, Any],
    table: Mapping[str, Any],
    names: tuple[str, ...],
    why: str,
) -> None:
    for name in names:
        if name in table:
            reader.problem(("serving", name), why)
    if _inside(root, "slo", "priority_levels") is not None:
        reader.problem(("slo", "priority_levels"), why)


def _refuse_for_target(reader: Reader, root: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    order = _inside(root, "targets", "order")
    listed_targets = cast("list[Any]", order) if isinstance(order, list) else [TENSORRT_TARGETS[0]]
    if not any(name in TENSORRT_TARGETS for name in listed_targets):
        for name in _OF_TENSORRT:
            if found.get(name):
                why = f"is for {listed(TENSORRT_TARGETS)}; targets.order has neither"
                reader.problem(("serving", name), why)
    if _inside(root, "targets", "max_batch_size") == 0 and found.get("queue_delay_us"):
        why = "waits for company that cannot come: targets.max_batch_size is 0"
        reader.problem(("serving", "queue_delay_us"), why)
    if found.get("cuda_graphs") and (free := _free_input(root)):
        why = f"needs inputs of one size, and input.{free} has a free dimension"
        reader.problem(("serving", "cuda_graphs"), why)


def _free_input(root: Mapping[str, Any]) -> str | None:
    inputs = _inside(root, "input")
    if not isinstance(inputs, dict):
        return None
    for name in cast("dict[str, Any]", inputs):
        shape = _inside(root, "input", name, "shape")
        if isinstance(shape, list) and -1 in shape:
            return name
    return None


def _inside(root: Mapping[str, Any], *path: str) -> Any:
    """What stands at `path`, or None; other parts of the recipe check what it is."""
    value: Any = root
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(name)
    return value


def _one(
    reader: Reader,
    table: Mapping[str, Any],
    name: str,
    accept: Callable[[Any], Any],
    expected: str,
) -> dict[str, Any]:
    if name not in table:
        return {}
    place = ("serving", name)
    return _present(place, reader.value(table, place, accept, expected))


def _present(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {} if value is None else {place[-1]: value}


def _whole(lowest: int, highest: int) -> Callable[[Any], int | None]:
    return lambda raw: raw if type(raw) is int and lowest <= raw <= highest else None


def _timeout(raw: Any) -> float | None:
    number = as_number(raw)
    return number if number is not None and 0.001 <= number <= MAX_TIMEOUT_MS else None


def _tags(raw: Any) -> tuple[tuple[str, str], ...] | None:
    if not isinstance(raw, dict):
        return None
    pairs = cast("dict[str, Any]", raw)
    fits = all(_TAG.fullmatch(name) and as_text(value) is not None for name, value in pairs.items())
    return tuple(sorted(pairs.items())) if fits else None


def _resources(raw: Any) -> tuple[tuple[str, int], ...] | None:
    if not isinstance(raw, dict):
        return None
    pairs = cast("dict[str, Any]", raw)
    accept = _whole(1, MAX_UINT32)
    fits = all(name and accept(value) is not None for name, value in pairs.items())
    return tuple(sorted(pairs.items())) if fits else None
