"""Taking values out of a TOML table, with every problem collected and placed on its line. Pure."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from plansmith.errors import BadRecipe, Problem

T = TypeVar("T")

# What Triton's config holds of a count (int32) and of a tensor's size (int64).
MAX_COUNT = 2**31 - 1
MAX_SIZE = 2**63 - 1

_HEADER = re.compile(r"^\s*(\[{1,2})\s*([^\]]+?)\s*\]+\s*(?:#.*)?$")
# Of a dotted key; a quoted part may have dots of its own.
_PART = re.compile(r"""\"[^\"]*\"|'[^']*'|[^.\s]+""")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The 1-based line where `path` is set, or that of its nearest enclosing key or table, or 1.

    Where only what is below it is written, as of [[step]] or [input.x], that of the first of these.

    The tables of an array, [[step]], are ("step", "1"), ("step", "2") and so on.
    """
    best_depth, best_line = 0, 1
    table: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            first, *rest = _dotted(header.group(2))
            if header.group(1) == "[[":
                counts[first] = counts.get(first, 0) + 1
            # Below an array's header its tables are those of its last entry.
            inside = (str(counts[first]),) if first in counts else ()
            here = table = (first, *inside, *rest)
        elif key := _KEY.match(line):
            here = table + _dotted(key.group(1))
        else:
            continue
        depth = min(len(here), len(path))
        if depth > best_depth and path[:depth] == here[:depth]:
            best_depth, best_line = depth, number
    return best_line


def _dotted(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def read_toml(text: str, file: str) -> dict[str, Any]:
    """The table in `text`; raises BadRecipe where it is not TOML."""
    try:
        # Some editors begin a file with a byte order mark, which TOML does not know.
        return tomllib.loads(text.removeprefix("\ufeff"))
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than Python reads
        raise BadRecipe((_syntax_problem(text, file, error),)) from error
    except RecursionError as error:
        told = Problem(file=file, line=1, field="", message="is nested too deeply")
        raise BadRecipe((told,)) from error


def _syntax_problem(text: str, file: str, error: ValueError) -> Problem:
    message = str(error)
    # Python 3.11 has the position only in the message; 3.14 gives it as an attribute.
    position = re.search(r"\(at line (\d+)", message)
    line = int(position.group(1)) if position else max(1, len(text.splitlines()))
    return Problem(file=file, line=line, field="", message=f"not valid TOML: {message}")


@dataclass
class Reader:
    """Collects problems while values are taken out of the TOML table."""

    file: str
    text: str
    problems: list[Problem] = field(default_factory=list[Problem])

    def problem(self, path: tuple[str, ...], message: str) -> None:
        line = line_of(self.text, path)
        self.problems.append(
            Problem(file=self.file, line=line, field=".".join(path), message=message)
        )

    def keys(self, table: Mapping[str, Any], path: tuple[str, ...], legal: Iterable[str]) -> None:
        names = tuple(legal)
        for key in table:
            if key not in names:
                self.problem(
                    (*path, key), f"unknown key{nearest(key, names)}; legal: {listed(names)}"
                )

    def table(self, parent: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any] | None:
        value = parent.get(path[-1])
        if value is None:
            self.problem(path, f"missing: add a [{'.'.join(path)}] table")
        elif not isinstance(value, dict):
            self.problem(path, f"is {_shown(value)}; expected a table")
        else:
            return cast("dict[str, Any]", value)
        return None

    def value(
        self,
        table: Mapping[str, Any],
        path: tuple[str, ...],
        accept: Callable[[Any], T | None],
        expected: str,
        default: T | None = None,
    ) -> T | None:
        """`accept` returns the value in its final type, or None where it does not fit."""
        if path[-1] not in table:
            if default is None:
                self.problem(path, f"missing; expected {expected}")
            return default
        raw = table[path[-1]]
        taken = accept(raw)
        if taken is None:
            self.problem(path, f"is {_shown(raw)}; expected {expected}")
        return taken

    def choice(
        self, table: Mapping[str, Any], path: tuple[str, ...], legal: Iterable[str]
    ) -> str | None:
        names = tuple(legal)
        given = table.get(path[-1])
        hint = "" if given in names else nearest(given, names)
        return self.value(
            table, path, lambda raw: raw if raw in names else None, f"one of {listed(names)}{hint}"
        )


def nearest(found: object, legal: Iterable[str]) -> str:
    """' (nearest: "x")' for the legal word most like `found`, else ''."""
    close = difflib.get_close_matches(str(found), tuple(legal), n=1)
    return f' (nearest: "{close[0]}")' if close and close[0] != found else ""


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def as_text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) and raw.strip() else None


def as_function(raw: Any) -> str | None:
    """file.py:function."""
    text = as_text(raw)
    place, _, name = text.rpartition(":") if text is not None else ("", "", "")
    return text if place.endswith(".py") and name.isidentifier() else None


def as_number(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    try:
        number = float(raw)
    except OverflowError:  # TOML's whole numbers have no upper limit
        return None
    return number if math.isfinite(number) else None


def as_positive(raw: Any) -> float | None:
    number = as_number(raw)
    return number if number is not None and number > 0 else None


def as_not_negative(raw: Any) -> float | None:
    number = as_number(raw)
    return number if number is not None and number >= 0 else None


def as_share(raw: Any) -> float | None:
    number = as_number(raw)
    return number if number is not None and 0 <= number < 1 else None


def as_count(raw: Any) -> int | None:
    """From 1 to MAX_COUNT."""
    is_whole = isinstance(raw, int) and not isinstance(raw, bool)
    return raw if is_whole and 1 <= raw <= MAX_COUNT else None


def as_count_or_zero(raw: Any) -> int | None:
    return 0 if raw == 0 and type(raw) is int else as_count(raw)


def as_flag(raw: Any) -> bool | None:
    return raw if isinstance(raw, bool) else None


def as_names(raw: Any) -> tuple[str, ...] | None:
    """A list of texts without repeats; it may be empty."""
    if not isinstance(raw, list):
        return None
    names = [as_text(item) for item in cast("list[Any]", raw)]
    fits = None not in names and len(set(names)) == len(names)
    return tuple(cast("list[str]", names)) if fits else None


def as_pairs(raw: Any) -> tuple[tuple[str, str], ...] | None:
    """A table of texts by name, with something in it."""
    if not isinstance(raw, dict) or not raw:
        return None
    pairs = cast("dict[str, Any]", raw)
    fits = all(as_text(value) is not None for value in pairs.values())
    return tuple(pairs.items()) if fits else None


def as_shape(raw: Any) -> tuple[int, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    sizes = cast("list[Any]", raw)
    fits = all(type(size) is int and (0 < size <= MAX_SIZE or size == -1) for size in sizes)
    return tuple(sizes) if fits else None


def as_numbers(raw: Any) -> tuple[float, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    numbers = [as_number(item) for item in cast("list[Any]", raw)]
    return None if None in numbers else tuple(cast("list[float]", numbers))


def as_range(raw: Any) -> tuple[float, float] | None:
    """Two numbers, the first not above the second."""
    numbers = as_numbers(raw)
    if numbers is None or len(numbers) != 2 or numbers[0] > numbers[1]:
        return None
    return numbers[0], numbers[1]


def as_positives(raw: Any) -> tuple[float, ...] | None:
    """A list of positive numbers; one alone is a list of one."""
    numbers = as_numbers(raw if isinstance(raw, list) else [raw])
    return numbers if numbers and all(number > 0 for number in numbers) else None
