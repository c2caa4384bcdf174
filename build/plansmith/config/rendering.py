"""A configuration → the text of config.pbtxt, in stable order, with comments. Pure.

Every field is written as its descriptor says, so that none can be left out. The text format:
https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import math
import struct
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from plansmith.config.message import Path, ServingConfig

WIDTH = 100
INDENT = "  "
# With room for what they are indented by.
COMMENT_WIDTH = WIDTH - 10
# (message, field) of what is too important to be told by a field that is missing.
ALWAYS_SHOWN = frozenset(
    {
        ("inference.ModelConfig", "max_batch_size"),
        ("inference.ModelInstanceGroup", "kind"),
        ("inference.ModelQueuePolicy", "timeout_action"),
        ("inference.ModelSequenceBatching.Control", "kind"),
    }
)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def render(message: Message, comments: Mapping[Path, str] | None = None) -> str:
    """The text of `message`, ending in a newline.

    Fields come in the order of their declaration, the entries of a map in that of their keys.
    `comments` stand above the field, the element or the map's entry at their path; a field with a
    comment is written even where it has its default. Raises ValueError for a path that the message
    does not have.
    """
    rendering = _Rendering(comments or {})
    lines = [line for entry in rendering.entries(message, (), WIDTH) for line in entry]
    if unused := rendering.unused():
        raise ValueError(f"no field at {unused[0]} to write a comment above")
    return "".join(f"{line}\n" for line in lines)


def render_config(config: ServingConfig) -> str:
    """The text of `config` with its comments."""
    return render(config.message, config.comments)


class _Rendering:
    """One message's text: each entry is a list of lines, not indented yet."""

    def __init__(self, comments: Mapping[Path, str]) -> None:
        self._comments = comments
        self._used: set[Path] = set()

    def unused(self) -> list[Path]:
        return [path for path in self._comments if path not in self._used]

    def entries(self, message: Message, at: Path, width: int) -> Iterator[list[str]]:
        """What is set in `message`, which is at `at`, in lines of `width` where that can be."""
        present = {field.name for field, _ in message.ListFields()}
        for field in message.DESCRIPTOR.fields:
            path = (*at, field.name)
            always = (message.DESCRIPTOR.full_name, field.name) in ALWAYS_SHOWN
            if field.name in present or path in self._comments or always:
                yield from self._field(field, getattr(message, field.name), path, width)

    def _field(self, field: Any, value: Any, path: Path, width: int) -> Iterator[list[str]]:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            yield from self._map(field, value, path, width)
        elif isinstance(value, Message | str | bytes | int | float):
            yield [*self._comment(path), *self._value(field, value, path, width)]
        elif field.message_type is None:
            listed = ", ".join(_scalar(field, one) for one in value)
            text = f"{field.name}: [ {listed} ]" if listed else f"{field.name}: []"
            yield [*self._comment(path), text]
        else:
            above = self._comment(path)
            for index, one in enumerate(value):
                place = (*path, index)
                yield [*above, *self._comment(place), *self._value(field, one, place, width)]
                above = []

    def _map(
        self, field: FieldDescriptor, values: Mapping[Any, Any], path: Path, width: int
    ) -> Iterator[list[str]]:
        assert field.message_type is not None
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        above = self._comment(path)
        for name in sorted(values):
            place = (*path, name)
            comment = [*above, *self._comment(place)]
            inner = [
                [f"key: {_scalar(key, name)}"],
                self._value(value, values[name], place, width - len(INDENT)),
            ]
            yield [*comment, *_block(field.name, inner, width)]
            above = []

    def _value(self, field: FieldDescriptor, value: Any, path: Path, width: int) -> list[str]:
        if field.message_type is None:
            return [f"{field.name}: {_scalar(field, value)}"]
        inner = list(self.entries(value, path, width - len(INDENT)))
        return _block(field.name, inner, width)

    def _comment(self, path: Path) -> list[str]:
        if path not in self._comments:
            return []
        self._used.add(path)
        paragraphs = self._comments[path].splitlines()
        wrapped = [textwrap.wrap(line, COMMENT_WIDTH) or [""] for line in paragraphs]
        return [f"# {line}".rstrip() for lines in wrapped for line in lines]


def _block(name: str, inner: list[list[str]], width: int) -> list[str]:
    """`inner` in braces: on one line where it fits and has no comment, else one entry a line."""
    lines = [line for entry in inner for line in entry]
    if not lines:
        return [f"{name} {{}}"]
    is_plain = not any(line.lstrip().startswith("#") for line in lines)
    # An entry of several lines was too long for one already.
    if is_plain and all(len(entry) == 1 for entry in inner):
        text = f"{name} {{ {' '.join(lines)} }}"
        if len(text) <= width:
            return [text]
    return [f"{name} {{", *(INDENT + line for line in lines), "}"]


def _scalar(field: FieldDescriptor, value: Any) -> str:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _quoted(value)
        case FieldDescriptor.TYPE_BYTES:
            return '"' + "".join(_escaped_byte(byte) for byte in value) + '"'
        case FieldDescriptor.TYPE_BOOL:
            return "true" if value else "false"
        case FieldDescriptor.TYPE_ENUM:
            assert field.enum_type is not None
            known = field.enum_type.values_by_number.get(value)
            return known.name if known is not None else str(value)
        case FieldDescriptor.TYPE_FLOAT:
            return _shortest_float32(value)
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    # Invisible: controls, line separators and the like, each byte of them in octal.
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def _escaped_byte(byte: int) -> str:
    character = chr(byte)
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _shortest_float32(value: float) -> str:
    """The fewest digits that read back as the same float32: 0.1, not 0.10000000149011612."""
    if math.isfinite(value):
        for digits in range(6, 10):
            text = f"{value:.{digits}g}"
            if _as_float32(float(text)) == value:
                return text
    return repr(value)


def _as_float32(value: float) -> float:
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:  # rounded up beyond the largest one
        return math.inf
