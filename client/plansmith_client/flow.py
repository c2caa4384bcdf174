"""The conversation with the server, written once for both clients.

A flow is a generator: it yields a call and receives its reply, or has the call's error thrown in.
It does no I/O itself; `drivers` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from numpy.typing import NDArray

from plansmith_client.batching import pieces
from plansmith_client.calls import (
    Call,
    ConfigCall,
    IndexCall,
    InferCall,
    MetadataCall,
    OutputTensor,
    ReplyT,
    ServerReadyCall,
)
from plansmith_client.checks import (
    GRPC_MESSAGE_BYTES,
    Casting,
    check_answers_once,
    check_ranks,
    checked_inputs,
    checked_outputs,
    named_inputs,
    only,
)
from plansmith_client.classification import Ranked, class_count, ranked
from plansmith_client.datatypes import decode
from plansmith_client.deadline import Deadline, Timeout, deadline_of
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.results import Answer, Result
from plansmith_client.sequences import SequenceState, SequenceStep
from plansmith_client.suggestions import not_found
from plansmith_client.tensors import ModelMetadata

ResultT = TypeVar("ResultT")
Flow: TypeAlias = Generator[Call[Any], Any, ResultT]
# Of one client, by model and version. Dict operations are atomic, so threads may share it.
MetadataCache: TypeAlias = dict[tuple[str, int | None], ModelMetadata]
Outputs: TypeAlias = tuple[OutputTensor, ...]
Inputs: TypeAlias = Mapping[str, NDArray[Any]]
# What a call was given: an array without a name, and those with one.
Fed: TypeAlias = tuple[NDArray[Any] | None, Inputs]


def is_ready(deadline: Deadline) -> Flow[bool]:
    """Whether the server takes requests; False too if it does not answer in time."""
    try:
        return (yield from _ask(ServerReadyCall(deadline=deadline)))
    except (ServerUnavailable, DeadlineExceeded):
        return False


@dataclass(frozen=True, kw_only=True)
class ModelFlows:
    """The flows of one model; `Model` documents their arguments, results and errors."""

    name: str
    version: int | None
    timeout_s: float
    cache: MetadataCache
    casting: Casting | None = None
    limit_bytes: int = GRPC_MESSAGE_BYTES

    def metadata(self, timeout: Timeout | None) -> Flow[ModelMetadata]:
        known = self.cache.get((self.name, self.version))
        return known or (yield from self._fetch(self.deadline(timeout)))

    def infer(
        self,
        arrays: Inputs,
        outputs: Sequence[str] | None,
        timeout: Timeout | None,
        sequence: SequenceStep | None = None,
    ) -> Flow[Result]:
        deadline = self.deadline(timeout)

        def request(metadata: ModelMetadata) -> InferCall:
            check_answers_once(metadata)
            names = checked_outputs(metadata, outputs)
            return self._call(deadline, metadata, arrays, names, sequence)

        return decoded((yield from self._infer(request, deadline)))

    def call(
        self,
        array: NDArray[Any] | None,
        named: Inputs,
        timeout: Timeout | None,
        sequence: SequenceStep | None = None,
    ) -> Flow[Answer]:
        """The array of a model with one output, else a Result."""
        deadline, has_one_output = self.deadline(timeout), False

        def request(metadata: ModelMetadata) -> InferCall:
            nonlocal has_one_output
            has_one_output = len(metadata.outputs) == 1
            check_answers_once(metadata)
            arrays = named_inputs(metadata, array, named)
            return self._call(deadline, metadata, arrays, (), sequence)

        answer = yield from self._infer(request, deadline)
        return self._only_array(answer) if has_one_output else decoded(answer)

    def sequence_step(
        self,
        state: SequenceState[Fed],
        fed: Fed,
        timeout: Timeout | None,
        *,
        end: bool,
    ) -> Flow[Answer]:
        """As `call`, for the next step of a sequence, whose state is kept in `state`."""
        step = state.step(end=end)
        try:
            answer = yield from self.call(*fed, timeout, step)
        except PlansmithClientError as error:
            state.failed(step, error)
            error.retriable = False
            raise
        except BaseException as error:
            # An interrupt or a cancelled task, which closes this generator.
            state.failed(step, error)
            raise
        state.answered(step, fed)
        return answer

    def pieces(
        self, array: NDArray[Any] | None, named: Inputs, deadline: Deadline
    ) -> Flow[list[Inputs]]:
        """The inputs in pieces of what the model takes at once, and one request holds."""
        metadata = yield from self.metadata(deadline)
        return pieces(metadata, named_inputs(metadata, array, named), self.limit_bytes)

    def open_stream(
        self,
        arrays: Inputs,
        outputs: Sequence[str] | None,
        timeout: Timeout | None,
        sequence: SequenceStep | None = None,
    ) -> Flow[InferCall]:
        """The call to stream the answers of; `decoded` makes arrays of each."""
        deadline = self.deadline(timeout)

        def request(metadata: ModelMetadata) -> InferCall:
            names = checked_outputs(metadata, outputs)
            return self._call(deadline, metadata, arrays, names, sequence)

        return (yield from self._prepare(request, deadline))

    def classify(
        self, array: NDArray[Any], top: int, timeout: Timeout | None
    ) -> Flow[list[list[Ranked]]]:
        if top < 1:
            raise InvalidInput(f"k {top} is not at least 1", model=self.name, version=self.version)
        deadline = self.deadline(timeout)

        def request(metadata: ModelMetadata) -> InferCall:
            check_answers_once(metadata)
            output = only(metadata, "output")
            check_ranks(metadata, output)
            arrays = named_inputs(metadata, array, {})
            count = class_count(output, metadata.max_batch_size)
            call = self._call(deadline, metadata, arrays, (output.name,), None)
            return replace(call, class_count=count)

        logits = self._only_array((yield from self._infer(request, deadline)))
        return ranked(logits, top, model=self.name)

    def deadline(self, timeout: Timeout | None) -> Deadline:
        return deadline_of(timeout, self.timeout_s)

    def forget(self) -> None:
        """Drops what is known of the model: it is no longer so."""
        self.cache.pop((self.name, self.version), None)

    def _infer(
        self, request: Callable[[ModelMetadata], InferCall], deadline: Deadline
    ) -> Flow[Outputs]:
        """The answer to what `request` makes: see `_prepare`."""
        call = yield from self._prepare(request, deadline)
        try:
            return (yield from _ask(call))
        except InvalidInput:
            # It passed our checks, so the model is no longer the one we know.
            self.forget()
            raise
        except ModelNotFound as error:
            self.forget()
            raise (yield from _explained(error, deadline)) from error

    def _prepare(
        self, request: Callable[[ModelMetadata], InferCall], deadline: Deadline
    ) -> Flow[InferCall]:
        """`request` makes the call from the metadata and raises InvalidInput if nothing fits."""
        key = (self.name, self.version)
        known, call = self.cache.get(key), None
        if known is not None:
            try:
                call = request(known)
            except InvalidInput:
                # What is known may be of a model that has been replaced since: ask again first.
                self.forget()
        if call is None:
            call = request((yield from self._fetch(deadline)))
        return call

    def _fetch(self, deadline: Deadline) -> Flow[ModelMetadata]:
        asked: dict[str, Any] = {
            "deadline": deadline,
            "model": self.name,
            "version": self.version,
        }
        try:
            served = yield from _ask(MetadataCall(**asked))
            config = yield from _ask(ConfigCall(**asked))
        except ModelNotFound as error:
            raise (yield from _explained(error, deadline)) from error
        metadata = ModelMetadata(
            name=self.name,
            version=self.version,
            versions=served.versions,
            inputs=tuple(
                replace(one, optional=one.name in config.optional_inputs) for one in served.inputs
            ),
            outputs=served.outputs,
            max_batch_size=config.max_batch_size,
            decoupled=config.decoupled,
        )
        self.cache[self.name, self.version] = metadata
        return metadata

    def _call(
        self,
        deadline: Deadline,
        metadata: ModelMetadata,
        arrays: Inputs,
        outputs: tuple[str, ...],
        sequence: SequenceStep | None,
    ) -> InferCall:
        return InferCall(
            deadline=deadline,
            model=self.name,
            version=self.version,
            inputs=checked_inputs(
                metadata, arrays, casting=self.casting, limit_bytes=self.limit_bytes
            ),
            outputs=outputs,
            sequence=sequence,
        )

    def _only_array(self, answer: Outputs) -> NDArray[Any]:
        if len(answer) != 1:
            names = ", ".join(one.name for one in answer) or "none"
            raise ServerFault(f"{self.name}: one output asked for, got {names}", model=self.name)
        (one,) = answer
        return decode(one.content, one.dtype, one.shape)


def decoded(answer: Outputs) -> Result:
    """The arrays by name: read-only and over the answer's bytes; for BYTES new ones of bytes."""
    return Result((one.name, decode(one.content, one.dtype, one.shape)) for one in answer)


def _explained(refused: ModelNotFound, deadline: Deadline) -> Flow[ModelNotFound]:
    """`refused` with what the server has instead, if it tells before the deadline."""
    try:
        index = yield from _ask(IndexCall(deadline=deadline))
    except PlansmithClientError:
        return refused
    return not_found(refused, index)


def _ask(call: Call[ReplyT]) -> Flow[ReplyT]:
    reply: ReplyT = yield call
    return reply
