"""Keys of a terminal, one by one as they are pressed."""

from __future__ import annotations

import os
import re
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager

# What terminals send: ECMA-48 control sequences, and those of their application mode.
_ARROWS = {b"\x1b[C": "right", b"\x1b[D": "left", b"\x1bOC": "right", b"\x1bOD": "left"}
_KEYS = re.compile(rb"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)


def keys_of(typed: bytes) -> tuple[str, ...]:
    """The letters in it, lower case, and "left" and "right"; nothing else is a key here."""
    found = (_ARROWS.get(one) or _letter(one) for one in _KEYS.findall(typed))
    return tuple(key for key in found if key)


def _letter(typed: bytes) -> str:
    return typed.decode("ascii").lower() if typed.isalpha() else ""


@contextmanager
def single_keys() -> Generator[int | None, None, None]:
    """Standard input's descriptor, from which each key can be read at once, unechoed.

    None where it is no terminal. Ctrl-C interrupts as ever; the terminal is as before afterwards.
    """
    if not sys.stdin.isatty():
        yield None
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def read_keys(descriptor: int) -> tuple[str, ...]:
    """What has been pressed; a terminal that has gone presses q."""
    try:
        return keys_of(typed) if (typed := os.read(descriptor, 1024)) else ("q",)
    except OSError:
        return ("q",)
