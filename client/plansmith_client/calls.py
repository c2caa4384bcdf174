"""The calls a conversation can make, their replies, and the transports that carry them.

Nothing here knows a protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from plansmith_client.cancellation import Cancellation
from plansmith_client.deadline import Deadline
from plansmith_client.sequences import SequenceStep
from plansmith_client.tensors import TensorMetadata

ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[ReplyT]):
    """One question to the server; `ReplyT` is what a transport answers it with.

    `model` is empty where the server itself is asked; a `version` of None leaves the choice to it.
    """

    deadline: Deadline
    model: str = ""
    version: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerReadyCall(Call[bool]):
    """Is the server ready for requests?"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataReply:
    versions: tuple[int, ...]
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataCall(Call[MetadataReply]):
    """Which versions are there, what do they take and give?"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigReply:
    max_batch_size: int
    optional_inputs: frozenset[str]
    decoupled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigCall(Call[ConfigReply]):
    """What the metadata does not tell: batch limit, optional inputs, answers by stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """One version in the server's repository; `state` is "READY", "UNAVAILABLE" or empty.

    `version` is None where the server has none to tell; `reason`: why it is not ready.
    """

    model: str
    version: int | None
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexCall(Call[tuple[IndexEntry, ...]]):
    """Which models are in the server's repository? `model` stays empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTensor:
    """`content`: uint8 `[bytes]`, as it goes over the wire; often the caller's own memory."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputTensor:
    """`content` is the tensor as it came over the wire, read-only."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes | memoryview


@dataclass(frozen=True, kw_only=True, slots=True)
class InferCall(Call[tuple[OutputTensor, ...]]):
    """An inference. No `outputs` means all; `class_count` > 0 asks for that many "value:index"."""

    inputs: tuple[InputTensor, ...]
    outputs: tuple[str, ...] = ()
    class_count: int = 0
    sequence: SequenceStep | None = None


def is_repeatable(call: Call[Any]) -> bool:
    """Whether it does the same, done twice; a step of a sequence does not."""
    return not (isinstance(call, InferCall) and call.sequence is not None)


class Transport(Protocol):
    """Carries calls in the calling thread. Safe to use from several threads."""

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        """The reply. Raises this package's errors, and no others, for what went wrong.

        `cancellation`: when another thread asks for it the call ends early, at the server too if
        the protocol can say so; what is raised then does not matter, for nobody waits for it.
        """
        ...

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        """Every answer, as it comes; raises as `send`. Closed early, the call is cancelled."""
        ...

    def close(self) -> None:
        """Ends the connection and the calls in flight; safe to repeat."""
        ...


class AsyncTransport(Protocol):
    """Carries calls in one event loop; cancelling the task cancels its call."""

    async def send(self, call: Call[ReplyT]) -> ReplyT: ...

    def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]: ...

    async def close(self) -> None: ...
