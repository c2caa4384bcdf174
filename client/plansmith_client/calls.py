"""The calls a conversation can make, their replies, and the transports that carry them.

Nothing here knows a protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from numpy.typing import NDArray

from plansmith_client.cancellation import Cancellation
from plansmith_client.credentials import Header
from plansmith_client.deadline import Deadline
from plansmith_client.insight.records import UNRECORDED, CallRecord
from plansmith_client.sequences import SequenceStep
from plansmith_client.slotted import slotted
from plansmith_client.tensors import TensorMetadata

if TYPE_CHECKING:
    from plansmith_client.memory.cuda_tensors import CudaTensor
    from plansmith_client.memory.device_inputs import DeviceInput

ReplyT = TypeVar("ReplyT")


@slotted()
class Call(Generic[ReplyT]):
    """One question to the server; `ReplyT` is what a transport answers it with.

    `model` is empty where the server itself is asked; a `version` of None leaves the choice to it.
    `headers`: to be sent beside the client's own, with every attempt. `record`: where transports
    note each attempt, and what repeats the call says so (`retried`, `hedged`).
    """

    deadline: Deadline
    model: str = ""
    version: int | None = None
    headers: tuple[Header, ...] = field(default=(), repr=False)
    record: CallRecord = field(default=UNRECORDED, repr=False, compare=False)


class HealthCall(Call[bool]):
    """Is it well? Over HTTP a refusal is the answer "no"."""

    __slots__ = ()


class ServerLiveCall(HealthCall):
    """Does the server run?"""

    __slots__ = ()


class ServerReadyCall(HealthCall):
    """Is the server ready for requests?"""

    __slots__ = ()


class ModelReadyCall(HealthCall):
    """Is the model ready for requests?"""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataReply:
    versions: tuple[int, ...]
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class MetadataCall(Call[MetadataReply]):
    """Which versions are there, what do they take and give?"""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigReply:
    max_batch_size: int
    optional_inputs: frozenset[str]
    decoupled: bool = False
    stateful: bool = False


class ConfigCall(Call[ConfigReply]):
    """What the metadata does not tell: batch limit, optional inputs, streams, sequences."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """One version in the server's repository.

    `state`: "READY", "UNAVAILABLE", "LOADING", "UNLOADING" or, of a model that was never loaded,
    empty. `version` is None where the server has none to tell; `reason`: why it is not ready.
    """

    model: str
    version: int | None
    state: str
    reason: str


class IndexCall(Call[tuple[IndexEntry, ...]]):
    """Which models are in the server's repository? `model` stays empty."""

    __slots__ = ()


@slotted()
class InputTensor:
    """`content`: uint8 `[bytes]`, as it goes over the wire; often the caller's own memory."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: NDArray[Any]


# What a call has for an input.
Input: TypeAlias = "InputTensor | DeviceInput"


@slotted()
class OutputTensor:
    """`content` is the tensor as it came over the wire, read-only.

    Empty where the server has written it into shared memory; `placed`: into the caller's own.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes | memoryview
    placed: bool = False


@slotted(hashed=True)
class RegionPart:
    """So many bytes of shared memory, in a region by the name that the server has it under."""

    region: str
    offset_bytes: int
    size_bytes: int


@slotted(hashed=True)
class References:
    """What of an inference goes through shared memory.

    `inputs`: for each input where the server reads it, None where it is sent. `outputs`: by name,
    where the server writes it.
    """

    inputs: tuple[RegionPart | None, ...] = ()
    outputs: tuple[tuple[str, RegionPart], ...] = ()

    def regions(self) -> set[str]:
        """The names of all that are referred to."""
        parts = (*self.inputs, *(part for _, part in self.outputs))
        return {part.region for part in parts if part is not None}

    def placed(self) -> frozenset[str]:
        """The outputs whose content does not come with the answer."""
        return frozenset(name for name, _ in self.outputs)


NO_REFERENCES = References()


@slotted()
class InferCall(Call[tuple[OutputTensor, ...]]):
    """An inference. No `outputs` means all; `class_count` > 0 asks for that many "value:index".

    `into`: by output, the caller's memory for it, uint8 `[bytes]`, or a GPU's. A transport that has
    the server write there says so in the answer; what it sends on has `references`, which are all
    that the protocols' messages look at.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...] = ()
    class_count: int = 0
    sequence: SequenceStep | None = None
    into: tuple[tuple[str, NDArray[Any] | CudaTensor], ...] = field(default=(), compare=False)
    references: References = NO_REFERENCES


class ManagementCall(Call[ReplyT]):
    """What few programs ask for: `package` has these calls, and a protocol's messages for them.

    Imported with the first of them. `changes_server`: it is more than a question.
    """

    package: ClassVar[str] = "plansmith_client.management"
    changes_server: ClassVar[bool] = False

    __slots__ = ()


def is_repeatable(call: Call[Any]) -> bool:
    """Whether it does the same, done twice; a step of a sequence does not, nor a model's load."""
    if isinstance(call, InferCall):
        # Nor is the caller's memory written twice: who comes second might come too late.
        return call.sequence is None and not call.into
    return not (isinstance(call, ManagementCall) and call.changes_server)


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
