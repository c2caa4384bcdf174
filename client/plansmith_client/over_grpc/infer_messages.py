"""gRPC messages of an inference: what is said of the tensors by protobuf, the tensors by hand.

A tensor's bytes are copied once on their way out, from the caller's memory into the message, and
not at all on their way in, where they stay in the message that gRPC gives. tritonclient and
protobuf copy them three times each way. What describes the tensors is the same from call to call,
so it is written and read once and kept.

Wire format: Protocol Buffers documentation, "Encoding". A field begins with its number and wire
type in one byte, up to number 15; wire type 2 has a length and so many bytes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from plansmith_client.calls import (
    NO_REFERENCES,
    InferCall,
    Input,
    OutputTensor,
    References,
    RegionPart,
)
from plansmith_client.datatypes import aligned, checked_size
from plansmith_client.errors import ServerFault
from plansmith_client.over_grpc.layouts import Place, keep, read_alike
from plansmith_client.over_grpc.protobuf import pb
from plansmith_client.sequences import SequenceStep
from plansmith_client.statuses import failed

_DELIMITED = 2
_RAW_INPUT = bytes([pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | _DELIMITED])
_RAW_OUTPUT = pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | _DELIMITED
_PARAMETERS = pb.ModelInferRequest.PARAMETERS_FIELD_NUMBER << 3 | _DELIMITED
_STREAMED = pb.ModelStreamInferResponse.INFER_RESPONSE_FIELD_NUMBER << 3 | _DELIMITED
_INT64 = pb.InferParameter.INT64_PARAM_FIELD_NUMBER << 3
# Longer ones are not worth keeping.
_KEPT_BYTES = 4096
_LONG_US = 1_000_000

_NOTHING = memoryview(b"")
# Name, dtype and shape of each.
_Described: TypeAlias = tuple[tuple[str, str, tuple[int, ...]], ...]


def infer_message(call: InferCall, remaining_s: float | None) -> bytes:
    """A ModelInferRequest.

    A message may be written in pieces one after another: Protocol Buffers encoding, "Last One Wins"
    and "Field Order".
    """
    references = call.references
    inputs = tuple([(one.name, one.dtype, one.shape) for one in call.inputs])
    # Without references, as nearly always, None in their place: it has a hash at once.
    referred = None if references is NO_REFERENCES else references
    pieces: list[Any] = [
        _description(call.model, call.version, inputs, call.outputs, call.class_count, referred)
    ]
    if remaining_s is not None:
        # Lets the server drop it from its queue; microseconds, at least one, for 0 means none. Long
        # ones in whole milliseconds, which are alike from call to call.
        value_us = max(1, int(remaining_s * 1e6))
        pieces.append(_timeout(value_us if value_us < _LONG_US else value_us // 1000 * 1000))
    if call.sequence is not None:
        pieces.append(_sequence(call.sequence))
    sent = _sent(call) if references.inputs else call.inputs
    for tensor in sent:
        pieces += (_raw_input(tensor.content.size), tensor.content)
    return b"".join(pieces)


def _sent(call: InferCall) -> list[Input]:
    """The inputs that go with the message; of others it has no raw contents."""
    pairs = zip(call.inputs, call.references.inputs, strict=True)
    return [tensor for tensor, part in pairs if part is None]


@lru_cache(maxsize=1024)
def _description(
    model: str,
    version: int | None,
    inputs: _Described,
    outputs: tuple[str, ...],
    class_count: int,
    referred: References | None,
) -> bytes:
    """What is the same from call to call: which tensors are sent, which are wanted."""
    references = referred or NO_REFERENCES
    request = pb.ModelInferRequest(model_name=model, model_version=version_text(version))
    for name, dtype, shape in inputs:
        request.inputs.add(name=name, datatype=dtype, shape=shape)
    for tensor, part in zip(request.inputs, references.inputs, strict=False):
        if part is not None:
            _refer(tensor.parameters, part)
    placed = dict(references.outputs)
    for name in outputs:
        output = request.outputs.add(name=name)
        if name in placed:
            _refer(output.parameters, placed[name])
        elif class_count:
            output.parameters["classification"].int64_param = class_count
    return request.SerializeToString()


def _refer(parameters: Any, part: RegionPart) -> None:
    """Triton's names: docs/protocol/extension_shared_memory.md, beside that of sequences."""
    parameters["shared_memory_region"].string_param = part.region
    parameters["shared_memory_offset"].int64_param = part.offset_bytes
    parameters["shared_memory_byte_size"].int64_param = part.size_bytes


@lru_cache(maxsize=1024)
def _timeout(value_us: int) -> bytes:
    """An entry of the map `parameters`: a key, field 1, and an InferParameter, field 2."""
    value = varint(value_us)
    entry = b"\x0a\x07timeout\x12" + bytes((len(value) + 1, _INT64)) + value
    return bytes((_PARAMETERS, len(entry))) + entry


def _sequence(step: SequenceStep) -> bytes:
    """Triton's names: docs/protocol/extension_sequence.md of triton-inference-server/server."""
    request = pb.ModelInferRequest()
    if isinstance(step.id, str):
        request.parameters["sequence_id"].string_param = step.id
    else:
        request.parameters["sequence_id"].int64_param = step.id
    request.parameters["sequence_start"].bool_param = step.start
    request.parameters["sequence_end"].bool_param = step.end
    return request.SerializeToString()


@lru_cache(maxsize=1024)
def _raw_input(size: int) -> bytes:
    """What stands before a tensor of `size` bytes."""
    return _RAW_INPUT + varint(size)


def varint(value: int) -> bytes:
    """Protocol Buffers encoding of an unsigned integer: seven bits a byte, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def version_text(version: int | None) -> str:
    """As the protocol has it; empty leaves the choice to the server."""
    return "" if version is None else str(version)


def decode_infer(reply: bytes, placed: Container[str] = ()) -> tuple[OutputTensor, ...]:
    """The outputs, over the bytes of `reply`; those `placed` in shared memory are empty.

    Raises ServerFault, ValueError and DecodeError.
    """
    if not placed and (alike := read_alike(reply)) is not None:
        return alike
    split = _split(reply, 0)
    if split is None:
        return _outputs(pb.ModelInferResponse.FromString(reply), placed)
    outputs = _joined(split.description, split.contents(reply), placed)
    if not placed:
        keep(len(reply), tuple(_places(reply, split, outputs)))
    return outputs


def _places(reply: bytes, split: _Split, outputs: Iterable[OutputTensor]) -> Iterator[Place]:
    end = 0
    for (first, last), one in zip(split.tensors, outputs, strict=True):
        yield Place(reply[end:first], first, last, one.name, one.dtype, one.shape)
        end = last


def decode_streamed(
    reply: bytes, call: InferCall, url: str
) -> tuple[OutputTensor, ...] | ServerFault:
    """The answer, without outputs where there is none in it; or what went wrong, as a text."""
    if reply and reply[0] == _STREAMED:
        size, first = _length(reply, 1)
        if first + size == len(reply) and (split := _split(reply, first)) is not None:
            return _joined(split.description, split.contents(reply))
    message = pb.ModelStreamInferResponse.FromString(reply)
    if message.error_message:
        return failed(call, url, message.error_message)
    return _outputs(message.infer_response)


class _Split(NamedTuple):
    """What comes before an answer's tensors, and where each begins and ends."""

    description: bytes
    tensors: list[tuple[int, int]]

    def contents(self, reply: bytes) -> list[memoryview]:
        whole = memoryview(reply)
        return [whole[first:last] for first, last in self.tensors]


def _split(reply: bytes, begin: int) -> _Split | None:
    """A ModelInferResponse from `begin` on.

    None for what is not laid out so, as protobuf's own writers do: it is left to protobuf to read.
    """
    at, end = begin, len(reply)
    try:
        while at < end and (tag := reply[at]) != _RAW_OUTPUT:
            if tag & 0x87 != _DELIMITED:
                return None
            size, at = _length(reply, at + 1)
            at += size
        description, tensors = reply[begin:at], list[tuple[int, int]]()
        while at < end:
            if reply[at] != _RAW_OUTPUT:
                return None
            size, first = _length(reply, at + 1)
            at = first + size
            tensors.append((first, at))
    except IndexError:
        return None
    return _Split(description, tensors) if at == end else None


def _length(reply: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends. Raises IndexError where `reply` ends before it."""
    value, shift = reply[at] & 0x7F, 7
    while reply[at] > 0x7F:
        at += 1
        value |= (reply[at] & 0x7F) << shift
        shift += 7
    return value, at + 1


def _joined(
    description: bytes, tensors: list[memoryview], placed: Container[str] = ()
) -> tuple[OutputTensor, ...]:
    read = _kept if len(description) <= _KEPT_BYTES else _described
    model, outputs = read(description)
    if placed and len(tensors) < len(outputs):
        # Triton 2.51 has an empty one for what it wrote elsewhere; no protocol asks for it.
        sent = iter(tensors)
        tensors = [_NOTHING if name in placed else next(sent, _NOTHING) for name, *_ in outputs]
    if len(outputs) != len(tensors):
        raise _unlike(model, len(outputs), len(tensors))
    found: list[OutputTensor] = []
    for (name, dtype, shape), sent in zip(outputs, tensors, strict=True):
        content = sent
        if name not in placed:
            checked_size(len(sent), dtype, shape)
            content = aligned(sent, dtype)
        found.append(OutputTensor(name=name, dtype=dtype, shape=shape, content=content))
    return tuple(found)


def _described(description: bytes) -> tuple[str, _Described]:
    """The model's name, and its outputs."""
    message = pb.ModelInferResponse.FromString(description)
    outputs = tuple((one.name, one.datatype, tuple(one.shape)) for one in message.outputs)
    return message.model_name, outputs


_kept = lru_cache(maxsize=256)(_described)


def _outputs(message: Any, placed: Container[str] = ()) -> tuple[OutputTensor, ...]:
    """Of a message that protobuf has read, and copied."""
    contents = [memoryview(content) for content in message.raw_output_contents]
    message.ClearField("raw_output_contents")
    return _joined(message.SerializeToString(), contents, placed)


def _unlike(model: str, outputs: int, contents: int) -> ServerFault:
    # The protocol allows typed contents too; Triton answers raw requests raw.
    return ServerFault(
        f"{model}: {outputs} outputs with {contents} raw contents; is this server Triton?",
        model=model,
    )
