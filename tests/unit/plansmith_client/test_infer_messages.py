"""Answers by gRPC: what is read here by hand is what protobuf reads, or is left to it."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from plansmith_client.calls import InferCall
from plansmith_client.datatypes import decode as array_of
from plansmith_client.deadline import Deadline
from plansmith_client.errors import PlansmithClientError, ServerFault
from plansmith_client.over_grpc.infer_messages import decode_infer, decode_streamed
from plansmith_client.over_grpc.messages import decode

CALL = InferCall(deadline=Deadline(math.inf), model="m", inputs=())
URL = "grpc://host:8001"
# The sizes at which a length takes one more byte.
sizes = st.sampled_from([0, 1, 127, 128, 255, 16383, 16384, 2097152])


def response(contents: list[bytes], name: str = "y", dtype: str = "UINT8") -> Any:
    made = service_pb2.ModelInferResponse(model_name="m", model_version="1", id="a" * 200)
    made.parameters["triton_final_response"].bool_param = True
    for place, content in enumerate(contents):
        made.outputs.add(name=f"{name}{place}", datatype=dtype, shape=[1, len(content)])
        made.raw_output_contents.append(content)
    return made


@given(st.lists(sizes, max_size=3), st.sampled_from(["y", "y" * 200, "y" * 5000]))
def test_reads_what_protobuf_writes(lengths: list[int], name: str) -> None:
    contents = [bytes([place]) * length for place, length in enumerate(lengths)]
    outputs = decode_infer(response(contents, name).SerializeToString())
    assert [bytes(one.content) for one in outputs] == contents
    assert [one.name for one in outputs] == [f"{name}{place}" for place in range(len(contents))]
    assert [one.shape for one in outputs] == [(1, length) for length in lengths]


lengths = st.lists(st.integers(0, 3), min_size=1, max_size=3)


@given(
    st.lists(
        st.tuples(lengths, st.sampled_from(["y", "z", "yy"]), st.sampled_from(["UINT8", "INT8"])),
        max_size=8,
    )
)
def test_answers_of_one_length_are_each_read_as_they_are(
    answers: list[tuple[list[int], str, str]],
) -> None:
    """Where the tensors are is remembered by an answer's length."""
    for lengths_, name, dtype in answers * 2:
        contents = [bytes([place + 65]) * length for place, length in enumerate(lengths_)]
        outputs = decode_infer(response(contents, name, dtype).SerializeToString())
        assert [(one.name, one.dtype, one.shape, bytes(one.content)) for one in outputs] == [
            (f"{name}{place}", dtype, (1, len(content)), content)
            for place, content in enumerate(contents)
        ]


def test_a_stream_s_answer_is_read_alike() -> None:
    streamed = service_pb2.ModelStreamInferResponse(infer_response=response([b"ab", b"c" * 300]))
    found = decode_streamed(streamed.SerializeToString(), CALL, "there:1")
    assert not isinstance(found, ServerFault)
    assert [bytes(one.content) for one in found] == [b"ab", b"c" * 300]


def test_a_tensor_is_not_copied_out_of_the_message() -> None:
    reply = response([b"ab"]).SerializeToString()
    (output,) = decode_infer(reply)
    assert isinstance(output.content, memoryview)
    assert output.content.obj is reply


@pytest.mark.parametrize("name", ["y", "yy", "yyy", "yyyy"])
def test_an_array_is_aligned_wherever_its_bytes_come_to_lie(name: str) -> None:
    values = np.arange(3, dtype=np.float64)
    made = service_pb2.ModelInferResponse(model_name="m")
    made.outputs.add(name=name, datatype="FP64", shape=[3])
    made.raw_output_contents.append(values.tobytes())
    (output,) = decode_infer(made.SerializeToString())
    array = array_of(output.content, output.dtype, output.shape)
    assert array.flags.aligned
    assert not array.flags.writeable
    assert array.tolist() == [0, 1, 2]


def test_fields_in_another_order_are_left_to_protobuf() -> None:
    """A message may have its fields in any order: Protocol Buffers encoding, "Field Order"."""
    made = response([b"ab"])
    tensors = service_pb2.ModelInferResponse(raw_output_contents=made.raw_output_contents)
    made.ClearField("raw_output_contents")
    (output,) = decode_infer(tensors.SerializeToString() + made.SerializeToString())
    assert (output.name, bytes(output.content)) == ("y0", b"ab")


def test_fields_of_a_later_protocol_are_passed_over() -> None:
    # Number 1000 as a varint, number 15 with four bytes.
    unknown = bytes([0xC0, 0x3E, 7]) + bytes([15 << 3 | 5, 1, 2, 3, 4])
    (output,) = decode_infer(unknown + response([b"ab"]).SerializeToString())
    assert (output.name, bytes(output.content)) == ("y0", b"ab")


@given(st.data())
def test_a_cut_or_changed_answer_is_an_error_of_this_package_and_no_other(
    data: st.DataObject,
) -> None:
    reply = bytearray(response([b"ab", b"cd"]).SerializeToString())
    place = data.draw(st.integers(0, len(reply) - 1))
    if data.draw(st.booleans()):
        del reply[place:]
    else:
        reply[place] = data.draw(st.integers(0, 255))
    # ServerFault, or for a dtype that NumPy has no type for PlansmithClientError itself.
    with suppress(PlansmithClientError):
        decode(CALL, bytes(reply), URL)


@pytest.mark.parametrize("reply", [b"\x32", b"\x0a\xff", b"no message", b"\x32\x05ab"])
def test_what_is_no_message_is_a_fault(reply: bytes) -> None:
    with pytest.raises(ServerFault, match="the answer of grpc://host:8001 cannot be read"):
        decode(CALL, reply, URL)


def test_a_tensor_of_another_length_than_its_shape_is_a_fault() -> None:
    made = response([b"abc"])
    made.outputs[0].shape[:] = [1, 4]
    with pytest.raises(ServerFault, match=r"3 bytes for UINT8 \[1, 4\]"):
        decode(CALL, made.SerializeToString(), URL)


def test_a_shape_with_sizes_below_zero_is_a_fault() -> None:
    made = response([b"abc"])
    made.outputs[0].shape[:] = [-1, -3]
    with pytest.raises(ServerFault, match=r"3 bytes for UINT8 \[-1, -3\]"):
        decode(CALL, made.SerializeToString(), URL)


def test_what_fails_within_a_stream_says_where() -> None:
    streamed = service_pb2.ModelStreamInferResponse(error_message="below zero")
    found = decode_streamed(streamed.SerializeToString(), CALL, "there:1")
    assert isinstance(found, ServerFault)
    assert (found.endpoint, found.reason) == ("there:1", "below zero")
    assert found.elapsed_s is not None
