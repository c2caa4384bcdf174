"""Slotted classes are shown and compared as dataclasses are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from plansmith_client.slotted import slotted


@slotted()
class Point:
    x: int
    y: int = 0
    secret: str = field(default="s", repr=False)
    note: str = field(default="", compare=False)


@slotted()
class Named(Point):
    name: str = "n"


@slotted(hashed=True)
class Key:
    x: int


@dataclass
class Plain:
    x: int


def test_what_is_shown_is_what_made_it_but_for_secrets() -> None:
    assert repr(Named(x=1)) == "Named(x=1, y=0, note='', name='n')"


def test_it_is_equal_to_its_like_alone() -> None:
    assert Point(x=1, note="a") == Point(x=1, note="b")
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Named(x=1)
    assert Point(x=1) != Plain(1)


def test_it_is_replaced_as_a_dataclass_is() -> None:
    assert replace(Named(x=1), y=5) == Named(x=1, y=5)


def test_it_has_slots_and_takes_nothing_by_place() -> None:
    with pytest.raises(AttributeError):
        Point(x=1).z = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]


def test_what_can_be_changed_has_no_hash_unless_asked_for() -> None:
    assert hash(Key(x=1)) == hash(Key(x=1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))
