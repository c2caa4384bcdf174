"""The reader of HTTP answers: however they are cut, they read the same; what is odd is refused."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.over_http.response import MalformedAnswer, Response, ResponseReader

JSON = b'{"a":1}'


def cut(wire: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    for size in sizes:
        yield wire[:size]
        wire = wire[size:]
    yield wire


def read(wire: bytes, sizes: Iterable[int] = ()) -> tuple[Response | None, ResponseReader]:
    """The first answer in `wire`, received in pieces of `sizes` and then the rest."""
    reader = ResponseReader()
    for piece in cut(wire, sizes):
        while piece:
            lent = reader.buffer()
            count = min(len(lent), len(piece))
            lent[:count] = piece[:count]
            if (answer := reader.received(count)) is not None:
                return answer, reader
            piece = piece[count:]
    return None, reader


def answer_of(wire: bytes, sizes: Iterable[int] = ()) -> Response:
    answer, _ = read(wire, sizes)
    assert answer is not None
    return answer


def with_length(body: bytes, head: str = "", json_bytes: int | None = None) -> bytes:
    if json_bytes is not None:
        head += f"Inference-Header-Content-Length: {json_bytes}\r\n"
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(pieces: Iterable[bytes], head: str = "", trailer: str = "") -> bytes:
    parts = [f"{len(one):x};note=1\r\n".encode() + one + b"\r\n" for one in pieces if one]
    start = f"HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    return start + b"".join(parts) + f"0\r\n{trailer}\r\n".encode()


cuts = st.lists(st.integers(1, 60), max_size=30)


@pytest.mark.parametrize("wire", [with_length(b"abc" * 9999), chunked([b"abc"]), with_length(b"")])
def test_between_answers_there_is_room_for_what_nobody_asked(wire: bytes) -> None:
    _, reader = read(wire)
    assert len(reader.buffer()) > 0


@given(st.binary(max_size=300), cuts)
def test_a_body_of_known_length(tensors: bytes, sizes: list[int]) -> None:
    answer = answer_of(with_length(JSON + tensors, json_bytes=len(JSON)), sizes)
    assert (answer.status, answer.reason, answer.reusable) == (200, "OK", True)
    assert (bytes(answer.header), bytes(answer.tensors)) == (JSON, tensors)


@given(st.lists(st.binary(max_size=80), max_size=6), cuts)
def test_a_body_in_chunks(pieces: list[bytes], sizes: list[int]) -> None:
    head = f"inference-header-content-length: {len(JSON)}\r\n"
    answer = answer_of(chunked([JSON, *pieces], head, "x: y\r\n"), sizes)
    assert (bytes(answer.header), bytes(answer.tensors)) == (JSON, b"".join(pieces))
    assert answer.reusable


def test_more_than_the_first_buffer_holds() -> None:
    tensors = np.random.default_rng(0).bytes(1_000_000)
    for wire in (with_length(tensors, json_bytes=0), chunked([tensors])):
        answer = answer_of(wire)
        assert bytes(answer.header) + bytes(answer.tensors) == tensors


@pytest.mark.parametrize("json_bytes", range(1, 18))
def test_tensors_are_aligned_and_read_only(json_bytes: int) -> None:
    body = b" " * json_bytes + np.arange(4, dtype=np.float64).tobytes()
    for wire in (
        with_length(body, json_bytes=json_bytes),
        chunked([body], f"inference-header-content-length: {json_bytes}\r\n"),
    ):
        array = np.frombuffer(answer_of(wire).tensors, np.float64)
        assert array.tolist() == [0, 1, 2, 3]
        assert array.flags.aligned
        assert not array.flags.writeable


def test_without_a_header_length_all_of_it_is_json() -> None:
    answer = answer_of(with_length(JSON))
    assert (bytes(answer.header), bytes(answer.tensors)) == (JSON, b"")


def test_one_answer_after_another() -> None:
    _, reader = read(with_length(b"one"))
    assert not reader.started
    wire = with_length(b"two")
    reader.buffer()[: len(wire)] = wire
    assert reader.received(len(wire) - 1) is None
    assert reader.started
    reader.buffer()[:1] = wire[-1:]
    answer = reader.received(1)
    assert answer is not None
    assert bytes(answer.header) == b"two"


def test_announcements_are_passed_over() -> None:
    assert answer_of(b"HTTP/1.1 100 Continue\r\n\r\n" + with_length(b"x")).status == 200


def test_an_answer_without_a_body() -> None:
    assert answer_of(b"HTTP/1.1 204 No Content\r\n\r\n").status == 204


@pytest.mark.parametrize(
    "wire",
    [
        with_length(b"x", "Connection: close\r\n"),
        with_length(b"x").replace(b"1.1", b"1.0", 1),
        with_length(b"x") + b"HTTP/1.1 200 OK\r\n",
        chunked([b"x"]) + b"x",
    ],
)
def test_a_connection_that_cannot_be_kept(wire: bytes) -> None:
    assert not answer_of(wire).reusable


@pytest.mark.parametrize(
    ("wire", "fact"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "it begins with 'SSH"),
        (b"HTTP/2 200 OK\r\n\r\n", "it begins with"),
        (b"HTTP/1.1 99 OK\r\n\r\n", "it begins with"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "does not say how long"),
        (b"HTTP/1.1 101 Upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "given twice"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", "are taken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "chunked alone"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "chunked alone",
        ),
        (with_length(JSON, json_bytes=8), "its header has 8 bytes"),
        (chunked([]).replace(b"0\r\n", b"x\r\n"), "not a chunk's length"),
        (chunked([]).replace(b"0\r\n", b"-1\r\n"), "not a chunk's length"),
        (chunked([b"abc"]).replace(b"abc", b"abcd"), "longer than it says"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "more than"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "its head has more"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"y" * 9000, "a line betw"),
    ],
)
def test_what_is_not_an_answer_is_refused(wire: bytes, fact: str) -> None:
    with pytest.raises(MalformedAnswer, match=fact):
        read(wire)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(wire: bytes) -> None:
    with suppress(MalformedAnswer):
        read(b"HTTP/1.1 200 OK\r\n" + wire)


def test_an_answer_stays_as_it_is_while_the_next_one_comes() -> None:
    answer, reader = read(with_length(b"one"))
    assert answer is not None
    wire = with_length(b"two")
    reader.buffer()[: len(wire)] = wire
    reader.received(len(wire))
    assert bytes(answer.header) == b"one"
