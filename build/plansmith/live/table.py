"""A reading's rates as a table on a terminal, as plain text, or as a line of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from plansmith.live.rates import Rates
from plansmith.live.texts import printable
from plansmith.live.view import COLUMNS, Column, View, ordered


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is known after a reading.

    `interval_s`: between it and the one before, None if there is none. `away`: why there is no
    reading, None if there is one.
    """

    at: datetime
    url: str
    interval_s: float | None
    away: str | None
    models: tuple[Rates, ...]

    @property
    def tells(self) -> bool:
        """Whether there is more in it than that counting has begun."""
        return self.interval_s is not None or self.away is not None


def screen(frame: Frame, view: View, height: int, *, keys: bool) -> RenderableType:
    """All of a terminal that has `height` lines. `keys`: say which there are."""
    # Title, the table's three rules and head, what is left out, two lines of keys.
    room = max(1, height - 8)
    rows = ordered(frame.models, view)
    parts: list[RenderableType] = [title(frame), table(rows[:room], view)]
    if len(rows) > room:
        parts.append(Text(f"and {len(rows) - room} more"))
    if keys:
        parts.append(_footer())
    return Group(*parts)


def title(frame: Frame) -> Text:
    """Who is watched, when, and how that goes."""
    text = Text(f"{printable(frame.url)}  {frame.at:%H:%M:%S}  ")
    if frame.away is not None:
        return text.append(f"away: {printable(frame.away)}", style="bold red")
    if frame.interval_s is None:
        return text.append("counting")
    return text.append(f"over {frame.interval_s:.1f} s")


def table(rows: tuple[Rates, ...], view: View) -> Table:
    """`rows` in their order, the column that they are sorted by marked."""
    found = Table()
    for column in COLUMNS:
        if column.name == "model":
            found.add_column(_heading(column, view))
            found.add_column("version", justify="right")
        else:
            found.add_column(_heading(column, view), justify="right")
    for row in rows:
        model, *others = (_cell(column, row) for column in COLUMNS)
        found.add_row(model, str(row.version), *others)
    return found


def _heading(column: Column, view: View) -> Text:
    if column.key != view.key:
        return Text(column.name)
    falls = (view.key != "m") != view.turned
    return Text(f"{column.name} {'▼' if falls else '▲'}", style="reverse")


def _cell(column: Column, row: Rates) -> Text:
    value = column.value(row)
    return Text("-" if value is None else printable(column.form.format(value)))


def _footer() -> Text:
    sorts = "  ".join(f"{column.key} {column.name}" for column in COLUMNS)
    return Text(f"sort: {sorts}\nagain: turn it  n p ← →: next column  q: quit", style="dim")
