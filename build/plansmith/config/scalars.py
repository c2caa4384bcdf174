"""What the numbers, words and strings of protobuf's text format mean in a field. Pure."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from plansmith.config.tokens import Token

_SIGNED = {FieldDescriptor.CPPTYPE_INT32: 32, FieldDescriptor.CPPTYPE_INT64: 64}
_UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32: 32, FieldDescriptor.CPPTYPE_UINT64: 64}
_REALS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}
# Absolute values that are still rounded to a 32-bit float, not to infinity.
_MAX_FLOAT32 = 3.4028235677973366e38
_ESCAPE = re.compile(
    r"\\(?:[0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.|$)", re.DOTALL
)
_SIMPLE = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    "'": b"'",
    '"': b'"',
    "?": b"?",
}
_OCTAL = re.compile(r"0[0-7]+")


def scalar_value(field: FieldDescriptor, token: Token, negative: bool) -> Any:
    """The value of a number, word or sign in a field that is no string; None where it fits not."""
    sign = -1 if negative else 1
    if field.cpp_type in _REALS:
        return _real_value(field, token, sign)
    number = whole(token.text) if token.kind == "number" else None
    if field.cpp_type in _SIGNED and number is not None:
        limit = 1 << (_SIGNED[field.cpp_type] - 1)
        return sign * number if -limit <= sign * number < limit else None
    if field.cpp_type in _UNSIGNED and number is not None and not negative:
        return number if number < 1 << _UNSIGNED[field.cpp_type] else None
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and not negative:
        known = _BOOLS.get(token.text) if token.kind == "word" else None
        return bool(number) if number in (0, 1) else known
    if field.enum_type is None:
        return None
    if number is not None:
        return sign * number if -(1 << 31) <= sign * number < 1 << 31 else None
    named = field.enum_type.values_by_name.get(token.text) if token.kind == "word" else None
    return named.number if named is not None and not negative else None


def _real_value(field: FieldDescriptor, token: Token, sign: int) -> float | None:
    lower = token.text.lower()
    if token.kind == "word" and lower in ("inf", "infinity"):
        return sign * math.inf
    if token.kind == "word" and lower == "nan":
        return math.nan
    value = real(token.text) if token.kind == "number" else None
    if value is None:
        return None
    # C++ rounds what a 32-bit float cannot hold to infinity.
    is_double = field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE
    return sign * (value if is_double or value < _MAX_FLOAT32 else math.inf)


def expected(field: FieldDescriptor) -> str:
    """What a field takes, in words."""
    if field.enum_type is not None:
        return f"one of {', '.join(field.enum_type.values_by_name)}"
    if field.cpp_type in _REALS:
        return "a number"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return "true or false"
    bits = _SIGNED.get(field.cpp_type) or _UNSIGNED[field.cpp_type]
    sign = "" if field.cpp_type in _SIGNED else " from 0"
    return f"a whole number of {bits} bits{sign}"


def nearest_value(field: FieldDescriptor, text: str) -> str:
    """A hint at the enum's name most like `text`, or nothing."""
    names = list(field.enum_type.values_by_name) if field.enum_type is not None else []
    close = get_close_matches(text, names, n=1)
    return f": did you mean {close[0]}?" if close else ""


def whole(text: str) -> int | None:
    """A number token as an integer: decimal, octal (`017`) or hexadecimal; None for a fraction."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    # More digits than Python reads are more than any field holds.
    decimal = text.isdecimal() and len(text) < 40 and (text == "0" or text[0] != "0")
    return int(text) if decimal else None


def real(text: str) -> float | None:
    """A number token as a float: decimal digits only, an `f` may follow; None where it is none."""
    if text[:2] in ("0x", "0X") or (len(text) > 1 and text[0] == "0" and text[1].isdecimal()):
        return None
    return float(text.rstrip("fF"))


def unescaped(token: str) -> bytes | None:
    """The bytes that a string token stands for; None where it has an unknown escape."""
    inner = token[1:-1]
    if "\\" not in inner:
        return inner.encode("utf-8", "surrogateescape")
    found, position = bytearray(), 0
    pending = 0  # the first half of a UTF-16 pair
    for match in _ESCAPE.finditer(inner):
        literal = inner[position : match.start()].encode("utf-8", "surrogateescape")
        position = match.end()
        code = _code_point(match.group())
        if pending and (literal or code is None or not 0xDC00 <= code < 0xE000):
            return None
        found += literal
        if code is None:
            piece = _byte(match.group())
            if piece is None:
                return None
            found += piece
        elif pending:
            joined = 0x10000 + ((pending - 0xD800) << 10) + (code - 0xDC00)
            found += chr(joined).encode()
            pending = 0
        elif 0xD800 <= code < 0xDC00:
            pending = code
        elif 0xDC00 <= code < 0xE000 or code > 0x10FFFF:
            return None
        else:
            found += chr(code).encode()
    return None if pending else bytes(found) + inner[position:].encode("utf-8", "surrogateescape")


def _code_point(escape: str) -> int | None:
    return int(escape[2:], 16) if escape[1:2] in ("u", "U") and len(escape) > 2 else None


def _byte(escape: str) -> bytes | None:
    body = escape[1:]
    if body[:1] in ("x", "X"):
        return bytes([int(body[1:], 16)]) if len(body) > 1 else None
    if body and body[0] in "01234567":
        value = int(body, 8)
        return bytes([value]) if value < 256 else None
    return _SIMPLE.get(body)
