"""Texts of a server on a person's terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without what a terminal would take for a command."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
