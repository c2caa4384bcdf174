"""Protobuf's text format as tokens. Pure.

Written after the format's specification (protobuf.dev/reference/protobuf/textformat-spec) and held
against the C++ parser, which is what Triton reads config.pbtxt with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "number", "string", "symbol", "wrong", "end"]

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\v\f]+|\#[^\n]*)+)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:0[xX][0-9a-fA-F]+
        | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)(?![A-Za-z0-9_.]))
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    | (?P<symbol>[-:{}<>\[\],;])
    | (?P<wrong>["'].*|\d[\w.]*|.)
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text from offset `start` up to `end`; `line` is 1-based."""

    kind: Kind
    text: str
    line: int
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """All tokens of `text`, without spaces and comments, then one of kind "end"."""
    # A byte order mark may stand in front; the C++ tokenizer skips it as well.
    position, line = int(text.startswith("\ufeff")), 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        assert found is not None, "the last alternative matches any character"
        piece, kind = found.group(), found.lastgroup
        if kind == "space":
            line += piece.count("\n")
        elif kind == "word" or kind == "number" or kind == "string" or kind == "symbol":
            yield Token(kind, piece, line, position, found.end())
        else:
            yield Token("wrong", piece, line, position, found.end())
        position = found.end()
    yield Token("end", "", line, len(text), len(text))


def column(text: str, offset: int) -> int:
    """The 1-based column of the character at `offset`."""
    return offset - text.rfind("\n", 0, offset)
