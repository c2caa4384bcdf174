"""Arrays to bytes and back; the expected bytes are NumPy's or written by hand."""

from __future__ import annotations

import sys
import weakref
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plansmith_client.datatypes import decode, encode, numpy_dtype
from plansmith_client.errors import PlansmithClientError, ServerFault

NAMES = {
    "BOOL": "?",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


@given(st.sampled_from(sorted(NAMES)), st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
    array = data.draw(hnp.arrays(np.dtype(NAMES[name]), shapes))
    content = encode(array)
    assert content.dtype == np.uint8
    assert content.tobytes() == array.tobytes()
    back = decode(content.tobytes(), name, array.shape)
    assert back.dtype == numpy_dtype(name) == array.dtype
    np.testing.assert_array_equal(back, array)


def test_bfloat16_is_two_bytes_on_the_wire() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = np.array([[1.5, -2]], bfloat16)
    # bfloat16 is the upper half of a float32: 0x3FC00000 and 0xC0000000.
    assert encode(array).tobytes() == b"\xc0\x3f\x00\xc0"
    np.testing.assert_array_equal(decode(b"\xc0\x3f\x00\xc0", "BF16", (1, 2)), array)


def test_bfloat16_is_its_bits_where_it_has_no_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    numpy_dtype.cache_clear()
    try:
        back = decode(b"\xc0\x3f\x00\xc0", "BF16", (2,))
        assert back.dtype == np.uint16
        assert back.tolist() == [0x3FC0, 0xC000]
        assert encode(back).tobytes() == b"\xc0\x3f\x00\xc0"
    finally:
        numpy_dtype.cache_clear()


def test_memory_is_shared_where_it_can_be() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.shares_memory(encode(array), array)
    turned = array.transpose(2, 0, 1)
    assert not np.shares_memory(encode(turned), array)
    assert encode(turned).tobytes() == turned.tobytes()


def test_decoded_array_lies_over_the_message_and_is_read_only() -> None:
    content = np.arange(6, dtype=np.int64).tobytes()
    array = decode(content, "INT64", (2, 3))
    assert np.shares_memory(array, np.frombuffer(content, np.uint8))
    assert not array.flags.writeable


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_bytes_round_trip(items: list[bytes]) -> None:
    array = np.empty((len(items), 1), dtype=object)
    array[:, 0] = items
    content = encode(array).tobytes()
    assert content == b"".join(len(item).to_bytes(4, "little") + item for item in items)
    assert decode(content, "BYTES", array.shape).tolist() == [[item] for item in items]


@pytest.mark.parametrize(
    ("content", "shape"),
    [(b"\5\0\0\0ab", (1,)), (b"\2\0\0", (1,)), (b"\2\0\0\0ab", (2,)), (b"", (1,))],
)
def test_bytes_that_are_not_what_they_should_be_are_the_servers_fault(
    content: bytes, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ServerFault, match=r"not the BYTES \[\d\]"):
        decode(content, "BYTES", shape)


def test_unknown_datatype() -> None:
    with pytest.raises(PlansmithClientError, match="datatype FP4 has no NumPy type"):
        numpy_dtype("FP4")


def test_an_array_keeps_the_very_memory_it_was_given() -> None:
    """Not its owner alone: who lends memory out sees by that when it comes back."""
    view = np.arange(8, dtype=np.uint8)[:]
    lent = weakref.ref(view)
    array = decode(view.data.toreadonly(), "FP32", (2,))
    del view
    assert lent() is not None
    del array
    assert lent() is None


class Colour(str, Enum):  # noqa: UP042 - not a StrEnum, whose `str` is its value
    RED = "red"


def test_texts_of_subclasses_are_sent_as_they_are() -> None:
    """What `str` makes of them is a repr, or a name."""
    items = np.array([np.bytes_(b"a"), np.str_("\xe9"), Colour.RED], object)
    assert encode(items).tobytes() == b"\1\0\0\0a\2\0\0\0\xc3\xa9\3\0\0\0red"
