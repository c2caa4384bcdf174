"""Dataclasses that take little time, for what every program and every call makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

ClassT = TypeVar("ClassT")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def slotted(*, hashed: bool = False) -> Callable[[type[ClassT]], type[ClassT]]:
    """A dataclass with slots, by keyword only; frozen for type checkers, but not at run time.

    There each field of a frozen one is set by a call of its own, which takes three times as long
    as an assignment. And each method that is written for a class is compiled when it is imported:
    what shows and compares these is written once. `hashed`: has a hash, of all that is compared.
    """
    if hashed:
        return dataclass(kw_only=True, slots=True, unsafe_hash=True)

    def made(cls: type[ClassT]) -> type[ClassT]:
        found: Any = dataclass(kw_only=True, slots=True, eq=False, repr=False)(cls)
        found.__repr__, found.__eq__, found.__hash__ = _shown, _equals, None
        return found

    return made


def _shown(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equals(self: Any, other: Any) -> bool:
    if type(self) is not type(other):
        return NotImplemented
    return all(
        getattr(self, one.name) == getattr(other, one.name) for one in fields(self) if one.compare
    )
