"""config.pbtxt → Triton's own message, and where in the text each of its fields stands. Pure.

The reader knows no field by name: it follows the descriptors of the message, so it reads whatever
the installed tritonclient can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from plansmith.config.message import ModelConfig, Path
from plansmith.config.scalars import expected, nearest_value, scalar_value, unescaped
from plansmith.config.tokens import Token, column, tokens
from plansmith.errors import UnusableInput

_CLOSING = {"{": "}", "<": ">"}


class BadConfig(UnusableInput):
    """A text that is not a model configuration; `line` and `column` are 1-based."""

    def __init__(self, *, file: str, line: int, column: int, message: str) -> None:
        # The text may have bytes that are no UTF-8; a message is printed.
        message = message.encode("utf-8", "backslashreplace").decode()
        self.file, self.line, self.column, self.message = file, line, column, message
        super().__init__(f"{file}:{line}:{column}: {message}")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A field in the text: from offset `start` to `end`, its separator included."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """One parsed text. `lines` are 1-based, `spans` cut a field (all of its lines) out of it.

    Both go by path. A repeated field has one for each element and, by its own path, the first.
    """

    file: str
    text: str
    message: ModelConfig
    lines: Mapping[Path, int]
    spans: Mapping[Path, Span]

    def line_of(self, path: Path) -> int:
        """The line of `path`, or of what is nearest around it; 1 where nothing is."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 1


def parse(text: str, file: str) -> ConfigFile:
    """The configuration in `text`; raises BadConfig at the first thing that is wrong with it."""
    reader = _Reader(text, file)
    message = ModelConfig()
    reader.fields(message, (), None)
    return ConfigFile(file=file, text=text, message=message, lines=reader.lines, spans=reader.spans)


class _Reader:
    """Recursive descent over the tokens; the depth is that of the message's type."""

    def __init__(self, text: str, file: str) -> None:
        self.lines: dict[Path, int] = {}
        self.spans: dict[Path, Span] = {}
        self._text, self._file = text, file
        self._tokens = tokens(text)
        self._ahead = next(self._tokens)
        self._end = 0

    def fields(self, message: Any, path: Path, opening: Token | None) -> None:
        """Everything into `message` up to what closes `opening`; None is the end of the text."""
        closing = "" if opening is None else _CLOSING[opening.text]
        while not self._take(closing):
            if self._ahead.kind == "end":
                if opening is None:
                    return
                told = f"{opening.text!r} is not closed: expected {closing!r} before the text ends"
                self._fail(opening, told)
            self._field(message, path)

    def _field(self, message: Any, path: Path) -> None:
        name = self._next()
        field = self._descriptor(message.DESCRIPTOR, name)
        self._refuse_second(message, field, name)
        is_message = field.message_type is not None
        if not self._take(":") and not is_message:
            self._fail(self._ahead, f"expected ':' after {name.text!r}{_but(self._ahead)}")
        if field.is_repeated and self._take("["):
            self._list(message, field, (*path, name.text), name)
        else:
            self._value(message, field, (*path, name.text), name)
        if not self._take(","):
            self._take(";")
        self._place((*path, name.text), name.line, name.start)

    def _list(self, message: Any, field: FieldDescriptor, path: Path, name: Token) -> None:
        if self._take("]"):
            return
        while True:
            self._value(message, field, path, self._ahead)
            if self._take("]"):
                return
            if not self._take(","):
                self._fail(self._ahead, f"expected ',' or ']' in {name.text!r}{_but(self._ahead)}")

    def _value(self, message: Any, field: FieldDescriptor, path: Path, at: Token) -> None:
        """One value; `at` is where it begins: the name of its field, or a list's element."""
        if field.message_type is not None:
            self._message(message, field, path, at)
            return
        first = self._ahead
        value = self._scalar(field)
        if not field.is_repeated:
            self._set(message, field, value, first)
            return
        values = getattr(message, field.name)
        values.append(value)
        self._place((*path, len(values) - 1), first.line, first.start)

    def _message(self, message: Any, field: FieldDescriptor, path: Path, at: Token) -> None:
        opening = self._next()
        if opening.text not in _CLOSING:
            self._fail(opening, f"expected '{{' after {field.name!r}{_but(opening)}")
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            self._entry(message, field, path, at, opening)
            return
        if field.is_repeated:
            values = getattr(message, field.name)
            inner, path = values.add(), (*path, len(values) - 1)
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
        self.fields(inner, path, opening)
        self._place(path, at.line, at.start)

    def _entry(
        self, message: Any, field: FieldDescriptor, path: Path, at: Token, opening: Token
    ) -> None:
        """One entry of a map, whose fields are found by its key."""
        entries = getattr(message, field.name)
        entry = entries.GetEntryClass()()
        unnamed: Path = (*path, "")
        places = (self.lines, self.spans)
        self.lines, self.spans = {}, {}
        self.fields(entry, unnamed, opening)
        inner_lines, inner_spans = self.lines, self.spans
        self.lines, self.spans = places
        if entry.DESCRIPTOR.fields_by_name["value"].message_type is not None:
            entries[entry.key].CopyFrom(entry.value)
        else:
            entries[entry.key] = entry.value
        named: Path = (*path, entry.key)
        self._place(named, at.line, at.start)
        for place, line in inner_lines.items():
            self.lines.setdefault(_named(place, unnamed, named), line)
        for place, span in inner_spans.items():
            self.spans.setdefault(_named(place, unnamed, named), span)

    def _set(self, message: Any, field: FieldDescriptor, value: Any, at: Token) -> None:
        try:
            setattr(message, field.name, value)
        except (ValueError, TypeError) as error:
            self._fail(at, f"{field.name}: {error}")

    def _scalar(self, field: FieldDescriptor) -> Any:
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return self._string(field)
        start = self._ahead
        negative = self._take("-")
        token = self._next()
        value = scalar_value(field, token, negative)
        if value is None:
            shown = f"{'-' if negative else ''}{token.text}"
            hint = nearest_value(field, token.text)
            self._fail(start, f"{field.name}: {shown or 'nothing'} is not {expected(field)}{hint}")
        return value

    def _string(self, field: FieldDescriptor) -> str:
        first = self._ahead
        if first.kind != "string":
            open_end = first.text[:1] in ("'", '"')
            what = "a string that ends on its line" if open_end else "a string in quotes"
            self._fail(first, f"{field.name}: expected {what}{_but(first)}")
        found = bytearray()
        while self._ahead.kind == "string":
            token = self._next()
            piece = unescaped(token.text)
            if piece is None:
                self._fail(token, f"{field.name}: {token.text} has an unknown escape")
            found += piece
        try:
            return found.decode()
        except UnicodeDecodeError:
            self._fail(first, f"{field.name}: is not UTF-8")

    def _descriptor(self, kind: Descriptor, name: Token) -> FieldDescriptor:
        if name.kind != "word":
            self._fail(name, f"expected the name of a field{_but(name)}")
        field = kind.fields_by_name.get(name.text)
        if field is None:
            close = get_close_matches(name.text, list(kind.fields_by_name), n=1)
            others = ", ".join(kind.fields_by_name)
            hint = f"did you mean {close[0]}?" if close else f"{kind.name} has only {others}"
            self._fail(name, f"{name.text}: {hint}")
        return field

    def _refuse_second(self, message: Any, field: FieldDescriptor, name: Token) -> None:
        """A field that may stand once, or with no other member of its oneof, and was set before."""
        if field.is_repeated:
            return
        oneof = field.containing_oneof
        other = message.WhichOneof(oneof.name) if oneof is not None else None
        if other is not None and other != field.name:
            self._fail(name, f"{field.name}: stands beside {other}; only one of them may")
        # Where a field has no presence, C++ too sees only a value that is not the default.
        known = message.HasField(field.name) if field.has_presence else getattr(message, field.name)
        if known:
            self._fail(name, f"{field.name}: is set twice")

    def _take(self, symbol: str) -> bool:
        if self._ahead.kind != "symbol" or self._ahead.text != symbol:
            return False
        self._next()
        return True

    def _next(self) -> Token:
        token = self._ahead
        if token.kind != "end":
            self._end = token.end
            self._ahead = next(self._tokens)
        return token

    def _place(self, path: Path, line: int, start: int) -> None:
        self.lines.setdefault(path, line)
        self.spans.setdefault(path, Span(start=start, end=self._end))

    def _fail(self, at: Token, message: str) -> NoReturn:
        place = column(self._text, at.start)
        raise BadConfig(file=self._file, line=at.line, column=place, message=message)


def _but(token: Token) -> str:
    return ", but the text ends" if token.kind == "end" else f", not {token.text!r}"


def _named(place: Path, unnamed: Path, named: Path) -> Path:
    """A path in an entry of a map: what is in its value is said to be in the entry."""
    inner = place[len(unnamed) :]
    return named + (inner[1:] if inner[:1] == ("value",) else inner)
