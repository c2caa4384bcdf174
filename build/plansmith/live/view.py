"""What of the rates is shown, in which order, and what a key changes of that. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from plansmith.live.rates import Rates

Value: TypeAlias = float | str | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the live table; `key` sorts by it; `form` writes a number."""

    key: str
    name: str
    value: Callable[[Rates], Value]
    form: str = "{:.2f}"


# In the order of the table. Names rise, numbers fall.
COLUMNS = (
    Column(key="m", name="model", value=lambda row: row.model, form="{}"),
    Column(key="r", name="req/s", value=lambda row: row.requests_per_s, form="{:.1f}"),
    Column(key="l", name="latency ms", value=lambda row: row.latency_ms),
    Column(key="w", name="queue ms", value=lambda row: row.queue_ms),
    Column(key="i", name="in ms", value=lambda row: row.compute_input_ms),
    Column(key="c", name="infer ms", value=lambda row: row.compute_infer_ms),
    Column(key="o", name="out ms", value=lambda row: row.compute_output_ms),
    Column(key="b", name="batch", value=lambda row: row.batch_size, form="{:.1f}"),
    Column(key="f", name="fail/s", value=lambda row: row.failures_per_s, form="{:.1f}"),
    Column(key="h", name="cache hits", value=lambda row: row.cache_hit_share, form="{:.0%}"),
)
_PLACES = {column.key: place for place, column in enumerate(COLUMNS)}
_STEPS = {"n": 1, "right": 1, "p": -1, "left": -1}


@dataclass(frozen=True, kw_only=True)
class View:
    """Sorted by the column of `key`; `turned`: the other way round than usual."""

    key: str = "r"
    turned: bool = False
    ended: bool = False

    @property
    def column(self) -> Column:
        return COLUMNS[_PLACES[self.key]]


def pressed(view: View, key: str) -> View:
    """The view after `key`: a column's own sorts by it, once more turns it; q ends."""
    if key == "q":
        return replace(view, ended=True)
    if key == view.key:
        return replace(view, turned=not view.turned)
    if key in _PLACES:
        return replace(view, key=key, turned=False)
    if key in _STEPS:
        place = (_PLACES[view.key] + _STEPS[key]) % len(COLUMNS)
        return replace(view, key=COLUMNS[place].key, turned=False)
    return view


def ordered(rows: Sequence[Rates], view: View) -> tuple[Rates, ...]:
    """`rows` as `view` has them; those without a value come last, equal ones go by name."""
    by_name = sorted(rows, key=lambda row: (row.model, row.version))
    value = view.column.value
    known = [row for row in by_name if value(row) is not None]
    falls = (view.key != "m") != view.turned
    # Values of one column are of one kind.
    known.sort(key=lambda row: value(row), reverse=falls)  # pyright: ignore
    return (*known, *(row for row in by_name if value(row) is None))
