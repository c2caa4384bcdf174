"""Answers of HTTP/1.1 as they come off a connection: parsed here, received elsewhere.

A reader lends out the memory that the next bytes go into, so that a tensor's bytes are written
once, by the kernel, where they stay. RFC 9112, read strictly: what is ambiguous is refused, for on
a connection that is kept a wrong end of one answer is a wrong beginning of the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import numpy as np

from plansmith_client.slotted import slotted

# Small answers fit in as a whole. Of a longer one so much is copied, and the rest received in its
# own place.
_SCRATCH_BYTES = 16 * 1024
_HEAD_BYTES = 64 * 1024
_LINE_BYTES = 4096
# As gRPC: a message has up to 2 GB.
BODY_BYTES = 2**31
# What allocators give on 64-bit systems, and more than any dtype asks for.
_ALIGNMENT = 16
# A server's heads are alike as long as the answers are; longer ones are not worth keeping.
_KEPT_HEAD_BYTES = 1024
_HEADER_LENGTH = b"inference-header-content-length"

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\0]*)?")


class MalformedAnswer(Exception):
    """What came is not HTTP, or more than we take."""


@slotted()
class Response:
    """One whole answer. `header` is the JSON before the tensors, or all there is.

    `tensors`: the rest, its first byte at an address that suits every dtype.
    """

    status: int
    reason: str
    header: memoryview
    tensors: memoryview
    # Whether the connection may carry another request.
    reusable: bool

    @property
    def size_bytes(self) -> int:
        """Of what is in it."""
        return len(self.header) + len(self.tensors)


class _State(Enum):
    HEAD = auto()
    BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()


# Asked of every answer: an Enum's own attributes are looked up slowly.
_HEAD, _BODY = _State.HEAD, _State.BODY


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    status: int
    reason: str
    # None: in chunks.
    length: int | None
    # None: all of the body.
    json_bytes: int | None
    keeps: bool


class ResponseReader:
    """The answers of one connection, one after another.

    `buffer` lends memory to receive into, `received` takes what is there. `started` says whether
    any byte of the present answer has come. After a MalformedAnswer there is no next one.
    """

    def __init__(self) -> None:
        self.started: bool = False
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._state = _HEAD
        self._pending = b""
        self._head = _NO_HEAD
        self._body = _EMPTY
        self._filled = 0
        self._chunks = bytearray()
        self._left = 0

    def buffer(self) -> memoryview:
        """Where the next bytes go; valid until `received`."""
        return self._body[self._filled :] if self._state is _BODY else self._scratch

    def received(self, count: int) -> Response | None:
        """The answer, once it is whole. Raises MalformedAnswer."""
        self.started = True
        if self._state is _BODY:
            self._filled = filled = self._filled + count
            return self._finished() if filled == len(self._body) else None
        self._pending += self._scratch[:count]
        return self._read_head() if self._state is _HEAD else self._read_chunks()

    def _read_head(self) -> Response | None:
        while True:
            head, found, rest = self._pending.partition(b"\r\n\r\n")
            if len(head) > _HEAD_BYTES:
                raise MalformedAnswer(f"its head has more than {_HEAD_BYTES} bytes")
            if not found:
                return None
            self._head = read = (_kept if len(head) <= _KEPT_HEAD_BYTES else _parsed)(head)
            # 100 to 199 are announcements, the answer is still to come; but not 101.
            if read.status >= 200:
                return self._begin_body(read.length, rest)
            if read.status == 101:
                raise MalformedAnswer("it changes to another protocol, unasked")
            self._pending = rest

    def _begin_body(self, length: int | None, rest: bytes) -> Response | None:
        """`rest`: what has come of the body, and of what is behind it."""
        if length is None:
            self._state, self._pending = _State.CHUNK_SIZE, rest
            return self._read_chunks()
        self._body = body = self._aligned(length)
        taken, behind = len(rest), b""
        if taken > length:
            rest, behind, taken = rest[:length], rest[length:], length
        body[:taken] = rest
        self._filled, self._pending, self._state = taken, behind, _BODY
        return self._finished() if taken == length else None

    def _aligned(self, length: int) -> memoryview:
        """Memory of so many bytes, so placed that what follows the JSON is aligned."""
        json_bytes = min(self._head.json_bytes or 0, length)
        first = -json_bytes % _ALIGNMENT
        # Not a bytearray, which would write zeros first.
        return np.empty(length + _ALIGNMENT, np.uint8).data[first : first + length]

    def _read_chunks(self) -> Response | None:
        while True:
            if self._state is _State.CHUNK:
                taken = self._pending[: self._left]
                self._chunks += taken
                self._left -= len(taken)
                self._pending = self._pending[len(taken) :]
                if self._left:
                    return None
                self._state = _State.CHUNK_END
            line, found, rest = self._pending.partition(b"\r\n")
            if len(line) > _LINE_BYTES:
                raise MalformedAnswer(f"a line between chunks has more than {_LINE_BYTES} bytes")
            if not found:
                return None
            self._pending = rest
            if self._read_line(line):
                self._body = self._aligned(len(self._chunks))
                self._body[:] = self._chunks
                return self._finished()

    def _read_line(self, line: bytes) -> bool:
        """A line around chunks; True for the one that ends them all."""
        if self._state is _State.CHUNK_END:
            if line:
                raise MalformedAnswer("a chunk is longer than it says")
            self._state = _State.CHUNK_SIZE
        elif self._state is _State.CHUNK_SIZE:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise MalformedAnswer(f"{_shown(line)} is not a chunk's length")
            self._left = int(size[1], 16)
            if len(self._chunks) + self._left > BODY_BYTES:
                raise MalformedAnswer(f"it has more than {BODY_BYTES} bytes")
            self._state = _State.CHUNK if self._left else _State.TRAILER
        else:
            # Trailer fields are passed over.
            return not line
        return False

    def _finished(self) -> Response:
        head = self._head
        json_bytes, whole = head.json_bytes, self._body.toreadonly()
        split = len(whole) if json_bytes is None else json_bytes
        if split > len(whole):
            raise MalformedAnswer(f"its header has {split} bytes, all of it {len(whole)}")
        # An idle connection holds no answer, and has room for what nobody asked, its end for one:
        # asyncio takes a lent buffer without room for a fault.
        self._state, self._body, self.started = _HEAD, _EMPTY, False
        if self._chunks:
            self._chunks = bytearray()
        return Response(
            status=head.status,
            reason=head.reason,
            header=whole[:split],
            tensors=whole[split:],
            # Bytes behind the answer belong to nothing that we asked.
            reusable=head.keeps and not self._pending,
        )


_EMPTY = memoryview(b"")
_NO_HEAD = _Head(status=0, reason="", length=0, json_bytes=None, keeps=False)


def _parsed(head: bytes) -> _Head:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise MalformedAnswer(f"it begins with {_shown(first)}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise MalformedAnswer(f"{_shown(line)} is not a header")
        name, value = found[1].lower(), found[2]
        # Two that differ would let two readers see two ends.
        if name in _ONCE and fields.get(name, value) != value:
            raise MalformedAnswer(f"{name.decode()} is given twice")
        fields[name] = value
    return _Head(
        status=int(status[2]),
        reason=(status[3] or b"").decode("ascii", "replace"),
        length=_length(int(status[2]), fields),
        json_bytes=_number(fields, _HEADER_LENGTH),
        keeps=status[1] == b"1" and b"close" not in fields.get(b"connection", b"").lower(),
    )


def _length(status: int, fields: Mapping[bytes, bytes]) -> int | None:
    """RFC 9112, section 6.3; but what only the connection's end would end is refused."""
    coding, length = fields.get(b"transfer-encoding"), _number(fields, b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None:
            raise MalformedAnswer(f"transfer-encoding {_shown(coding)}: chunked alone is known")
        return None
    if status < 200 or status in (204, 304):
        return 0
    if length is None:
        raise MalformedAnswer("it does not say how long it is")
    if length > BODY_BYTES:
        raise MalformedAnswer(f"it has {length} bytes, {BODY_BYTES} are taken")
    return length


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    # Not int() alone, which takes signs, spaces and underscores.
    if not text.isdigit() or len(text) > 18:
        raise MalformedAnswer(f"{name.decode()}: {_shown(text)} is not a length")
    return int(text)


_kept = lru_cache(maxsize=256)(_parsed)
_ONCE = frozenset((b"content-length", b"transfer-encoding", _HEADER_LENGTH))


def _shown(text: bytes) -> str:
    """What came, short and printable."""
    return repr(text[:60])[1:] + ("..." if len(text) > 60 else "")
