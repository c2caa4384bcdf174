"""Dataclasses for what is made anew with every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

ClassT = TypeVar("ClassT")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(*, hashed: bool = False) -> Callable[[type[ClassT]], type[ClassT]]:
    """A dataclass with slots, by keyword only; frozen for type checkers, but not at run time.

    There each field of a frozen one is set by a call of its own, which takes three times as long
    as an assignment. `hashed`: has a hash, of all that is compared.
    """
    return dataclass(kw_only=True, slots=True, unsafe_hash=hashed)
