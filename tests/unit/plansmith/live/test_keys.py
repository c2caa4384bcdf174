"""Bytes of a terminal, and the keys in them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.live.keys import keys_of, read_keys


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"", ()),
        (b"rq", ("r", "q")),
        (b"RQ", ("r", "q")),
        (b"\x1b[C\x1b[D", ("right", "left")),
        (b"\x1bOCl\x1bOD", ("right", "l", "left")),
        # Up, Home, F5 and Ctrl-right are no keys here, nor letters.
        (b"\x1b[A\x1b[H\x1b[15~\x1b[1;5C", ()),
        (b"\x1b", ()),
        ("é1 \t".encode(), ()),
    ],
)
def test_letters_and_arrows_are_keys(typed: bytes, keys: tuple[str, ...]) -> None:
    assert keys_of(typed) == keys


@given(st.binary(max_size=40))
def test_whatever_is_typed_gives_letters_and_arrows_alone(typed: bytes) -> None:
    for key in keys_of(typed):
        assert key in ("left", "right") or (len(key) == 1 and "a" <= key <= "z")


def test_a_terminal_that_has_gone_ends_it() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"l")
    assert read_keys(reader) == ("l",)
    os.close(writer)
    assert read_keys(reader) == ("q",)
    os.close(reader)
    assert read_keys(reader) == ("q",)
