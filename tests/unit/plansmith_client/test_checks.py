"""What the checks let through, and what they say about the rest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.checks import checked_inputs, checked_limit, checked_outputs, only
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.errors import InvalidInput
from plansmith_client.tensors import ModelMetadata, TensorMetadata


def model(*inputs: TensorMetadata, limit: int = 8) -> ModelMetadata:
    return ModelMetadata(
        name="m", version=3, versions=(3,), inputs=inputs, outputs=(), max_batch_size=limit
    )


IMAGE = TensorMetadata(name="image", dtype="UINT8", shape=(-1, 4, 5))
WORDS = TensorMetadata(name="words", dtype="BYTES", shape=(-1, -1))


def refused(metadata: ModelMetadata, **arrays: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        checked_inputs(metadata, arrays)
    assert (caught.value.model, caught.value.version) == ("m", 3)
    return caught.value


def words(*items: object) -> np.ndarray:
    return np.array([items], dtype=object)


dims = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@given(dims, st.integers(1, 8), st.data())
def test_any_fitting_array_passes(item: tuple[int, ...], batch: int, data: st.DataObject) -> None:
    free = data.draw(st.tuples(*[st.booleans()] * len(item)))
    shape = tuple(-1 if any_size else size for size, any_size in zip(item, free, strict=True))
    spec = TensorMetadata(name="x", dtype="INT16", shape=(-1, *shape))
    array = np.arange(batch * int(np.prod(item)), dtype=np.int16).reshape(batch, *item)
    (tensor,) = checked_inputs(model(spec), {"x": array})
    assert (tensor.name, tensor.dtype, tensor.shape) == ("x", "INT16", array.shape)
    assert tensor.content.tobytes() == array.tobytes()


@given(dims, dims)
def test_only_the_models_shape_passes(wanted: tuple[int, ...], given_: tuple[int, ...]) -> None:
    spec = TensorMetadata(name="x", dtype="FP32", shape=wanted)
    array = np.zeros(given_, np.float32)
    if wanted == given_:
        checked_inputs(model(spec, limit=0), {"x": array})
    else:
        assert refused(model(spec, limit=0), x=array).tensor == "x"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5), np.uint8), "one item still has a batch axis, send image[None]"),
        (np.zeros((1, 5, 4), np.uint8), "[N, 4, 5] with 1 <= N <= 8"),
        (np.zeros((1, 4, 5, 1), np.uint8), "is [1, 4, 5, 1], the model takes [N, 4, 5]"),
        (np.zeros((0, 4, 5), np.uint8), "has 0 items in its batch, the model takes 1 to 8"),
        (np.zeros((9, 4, 5), np.uint8), "has 9 items in its batch, the model takes 1 to 8"),
        (np.zeros((1, 4, 5)), "send image.astype('uint8') if its values are meant so"),
        (np.zeros((1, 4, 5), np.int8), "is int8, the model takes uint8 (UINT8)"),
        ([[0]], "is a list, not a NumPy array: np.asarray(..., 'uint8')"),
        (
            SimpleNamespace(__cuda_array_interface__={}),
            "not a NumPy array: copy it into a tensor of client.cuda_shared_memory",
        ),
    ],
)
def test_message_tells_given_expected_and_fix(array: Any, message: str) -> None:
    error = refused(model(IMAGE), image=array)
    assert message in str(error)
    assert str(error).startswith("m: input image ")
    assert error.tensor == "image"


def test_byte_order_is_part_of_the_dtype() -> None:
    spec = TensorMetadata(name="x", dtype="FP32", shape=(3,))
    assert ".astype('float32')" in str(refused(model(spec, limit=0), x=np.zeros(3, ">f4")))


def test_names() -> None:
    array = np.zeros((1, 4, 5), np.uint8)
    unknown = refused(model(IMAGE), imgae=array)
    assert str(unknown) == "m: has image, no input 'imgae' (nearest: 'image')"
    assert unknown.tensor == "imgae"
    missing = refused(model(IMAGE, WORDS), image=array)
    assert str(missing) == "m: input words is missing; inputs given: image"
    assert missing.tensor == "words"


def test_batches_must_agree() -> None:
    error = refused(
        model(IMAGE, WORDS),
        image=np.zeros((2, 4, 5), np.uint8),
        words=words(b"a"),
    )
    assert "batches differ (image 2, words 1)" in str(error)


def test_bytes_take_bytes_and_str_only() -> None:
    (tensor,) = checked_inputs(model(WORDS), {"words": words(b"a\0", "é")})
    assert tensor.content.tobytes() == b"\2\0\0\0a\0\2\0\0\0\xc3\xa9"
    assert "holds a NoneType" in str(refused(model(WORDS), words=words(b"a", None)))
    # NumPy's own bytes and str lose trailing zeros.
    for kind in ("S3", "U3"):
        error = refused(model(WORDS), words=np.array([["a"]], kind))
        assert ".astype('object')" in str(error)


def test_the_place_of_an_item_that_is_no_text_is_told() -> None:
    error = refused(model(WORDS), words=np.array([[b"a", "b"], ["c", 4]], dtype=object))
    assert "holds a int at [1, 1], BYTES holds bytes or str" in str(error)


def test_too_much_for_one_message() -> None:
    two, three = np.zeros((2, 4, 5), np.uint8), np.zeros((3, 4, 5), np.uint8)
    checked_inputs(model(IMAGE), {"image": two}, limit_bytes=59)
    with pytest.raises(InvalidInput, match="60 bytes of input, one request holds 59"):
        checked_inputs(model(IMAGE), {"image": three}, limit_bytes=59)
    # Two letters of two bytes each, and their length.
    checked_inputs(model(WORDS), {"words": words("éé")}, limit_bytes=8)
    with pytest.raises(InvalidInput, match="8 bytes of input, one request holds 7"):
        checked_inputs(model(WORDS), {"words": words("éé")}, limit_bytes=7)


def test_three_gigabytes_are_refused_before_any_copy() -> None:
    spec = TensorMetadata(name="x", dtype="UINT8", shape=(-1,))
    # One byte of memory, seen three thousand million times; encoding it would make them all.
    array = np.broadcast_to(np.zeros(1, np.uint8), 3_000_000_000)
    error = refused(model(spec, limit=0), x=array)
    assert "3000000000 bytes of input, one request holds 2147418112" in str(error)


@pytest.mark.parametrize(
    ("given_", "wanted", "triton"),
    [
        ("u1", "f4", "FP32"),
        ("i2", "f4", "FP32"),
        ("i4", "f8", "FP64"),
        ("f2", "f4", "FP32"),
        (">f4", "<f4", "FP32"),
        ("?", "i8", "INT64"),
        ("u2", "i4", "INT32"),
    ],
)
def test_safe_casts_are_made_when_asked(given_: str, wanted: str, triton: str) -> None:
    spec = TensorMetadata(name="x", dtype=triton, shape=(3,))
    array = np.array([0, 1, 1]).astype(given_)
    refused(model(spec, limit=0), x=array)
    (tensor,) = checked_inputs(model(spec, limit=0), {"x": array}, casting="safe")
    assert tensor.content.tobytes() == np.array([0, 1, 1], wanted).tobytes()


@pytest.mark.parametrize(
    ("given_", "triton"),
    # The first two NumPy calls safe: 2**53 + 1 is no float64, and an int is no text.
    [("i8", "FP64"), ("i8", "BYTES"), ("f8", "FP32"), ("i4", "FP32"), ("i4", "INT16")],
)
def test_casts_that_lose_bits_are_refused(given_: str, triton: str) -> None:
    spec = TensorMetadata(name="x", dtype=triton, shape=(3,))
    with pytest.raises(InvalidInput, match="that cast can lose bits"):
        checked_inputs(model(spec, limit=0), {"x": np.zeros(3, given_)}, casting="safe")


def test_numpy_text_is_cast_to_bytes_when_asked() -> None:
    array = np.array([["é", "ab"]])
    (tensor,) = checked_inputs(model(WORDS), {"words": array}, casting="safe")
    assert tensor.content.tobytes() == b"\2\0\0\0\xc3\xa9\2\0\0\0ab"


@pytest.mark.parametrize(("url", "limit_bytes"), [("h:1", 2147418112), ("http://h:1", 67043328)])
def test_a_request_is_as_long_as_the_protocol_allows(url: str, limit_bytes: int) -> None:
    assert checked_limit(None, parse_endpoint(url)) == limit_bytes
    assert checked_limit(5, parse_endpoint(url)) == 5
    # The server's limit over HTTP is its own to raise; protobuf's is not.
    assert (checked_limit(2**40, parse_endpoint(url)) == 2**40) is url.startswith("http")


def test_only() -> None:
    assert only(model(IMAGE), "input") is IMAGE
    extra = TensorMetadata(name="extra", dtype="FP32", shape=(-1,), optional=True)
    assert only(model(extra, IMAGE), "input") is IMAGE
    with pytest.raises(InvalidInput, match=r"2 inputs \(image, words\), not one: .*image=\.\.\."):
        only(model(IMAGE, WORDS), "input")


def test_a_text_that_has_no_utf_8_is_refused() -> None:
    """As the names of files that are no UTF-8 are in Python."""
    error = refused(model(WORDS), words=words("a", "\udcff"))
    assert "input words holds a str that has no UTF-8" in str(error)
    assert error.tensor == "words"


def test_an_array_in_the_place_of_arrays_by_name_is_refused() -> None:
    given_: Any = np.zeros((1, 4, 5), np.uint8)
    with pytest.raises(InvalidInput, match="m: inputs is a ndarray, not arrays by name: give"):
        checked_inputs(model(IMAGE), given_)


def test_a_text_in_the_place_of_outputs_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"outputs is a text, .*: give \['scores'\]"):
        checked_outputs(model(IMAGE), "scores")
