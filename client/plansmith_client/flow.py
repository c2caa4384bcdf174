"""The conversation with the server, written once for both clients.

A flow is a generator: it yields a call and receives its reply, or has the call's error thrown in.
It does no I/O itself; `drivers` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plansmith_client.batching import pieces
from plansmith_client.calls import (
    ConfigCall,
    InferCall,
    MetadataCall,
    OutputTensor,
)
from plansmith_client.checks import (
    GRPC_MESSAGE_BYTES,
    Casting,
    check_answers_once,
    check_ranks,
    checked_outputs,
    named_inputs,
    only,
)
from plansmith_client.classification import Ranked, class_count, ranked
from plansmith_client.conversation import Flow, ask, explained, shown_config
from plansmith_client.credentials import Header
from plansmith_client.datatypes import decode
from plansmith_client.deadline import Deadline, Timeout, deadline_of
from plansmith_client.description import described
from plansmith_client.errors import InvalidInput, ModelNotFound, ServerFault
from plansmith_client.fitting import Fitting
from plansmith_client.given import is_given_as
from plansmith_client.insight.observer import Observer
from plansmith_client.insight.records import CallRecord
from plansmith_client.memory.into import filled, with_into
from plansmith_client.results import Answer, Result
from plansmith_client.sequences import SequenceState, SequenceStep
from plansmith_client.slotted import slotted
from plansmith_client.tensors import Array, ModelMetadata

# Of one client, by model and version. Dict operations are atomic, so threads may share it.
MetadataCache: TypeAlias = dict[tuple[str, int | None], ModelMetadata]
Outputs: TypeAlias = tuple[OutputTensor, ...]
Inputs: TypeAlias = "Mapping[str, Array]"
# What a call was given: an array without a name, and those with one.
Fed: TypeAlias = "tuple[Array | None, Inputs]"


@slotted()
class ModelFlows:
    """The flows of one model; `Model` documents their arguments, results and errors."""

    name: str
    version: int | None
    timeout_s: float
    cache: MetadataCache
    casting: Casting | None = None
    limit_bytes: int = GRPC_MESSAGE_BYTES
    observer: Observer = field(default_factory=Observer)
    _fitting: Fitting = field(init=False)

    def __post_init__(self) -> None:
        # Read-only to type checkers.
        object.__setattr__(self, "_fitting", Fitting(self.casting, self.limit_bytes))

    def metadata(self, timeout: Timeout | None) -> Flow[ModelMetadata]:
        known = self.cache.get((self.name, self.version))
        return known or (yield from self._fetch(self.deadline(timeout)))

    def infer(
        self,
        arrays: Inputs,
        outputs: Sequence[str] | None,
        timeout: Timeout | None,
        sequence: SequenceStep | None = None,
        into: Inputs | None = None,
    ) -> Flow[Result]:
        deadline, record = self.deadline(timeout), self.record()

        def request(metadata: ModelMetadata) -> InferCall:
            check_answers_once(metadata)
            names = checked_outputs(metadata, outputs)
            call = self.inference(deadline, record, metadata, arrays, names, sequence)
            return call if into is None else with_into(call, metadata, into)

        with record:
            answer = yield from self._infer(request, deadline, record)
            return decoded(answer) if into is None else filled(answer, into, self.name)

    def call(
        self,
        array: Array | None,
        named: Inputs,
        deadline: Deadline,
        record: CallRecord,
        sequence: SequenceStep | None = None,
    ) -> Flow[Answer]:
        """The array of a model with one output, else a Result. It ends `record`."""
        has_one_output = False

        def request(metadata: ModelMetadata) -> InferCall:
            nonlocal has_one_output
            has_one_output = len(metadata.outputs) == 1
            check_answers_once(metadata)
            arrays = named_inputs(metadata, array, named)
            return self.inference(deadline, record, metadata, arrays, (), sequence)

        with record:
            answer = yield from self._infer(request, deadline, record)
            return self.only_array(answer) if has_one_output else decoded(answer)

    def sequence_step(
        self,
        state: SequenceState[Fed],
        fed: Fed,
        timeout: Timeout | None,
        *,
        end: bool,
    ) -> Flow[Answer]:
        """As `call`, for the next step of a sequence, whose state is kept in `state`."""
        with state.taking(fed, end=end) as step:
            deadline, record = self.deadline(timeout), self.record()
            return (yield from self.call(*fed, deadline, record, step))

    def pieces(self, array: Array | None, named: Inputs, deadline: Deadline) -> Flow[list[Inputs]]:
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
        """The call to stream the answers of; `decoded` makes arrays of each.

        Its record is ended by whoever takes them.
        """
        deadline, record = self.deadline(timeout), self.record(is_stream=True)

        def request(metadata: ModelMetadata) -> InferCall:
            names = checked_outputs(metadata, outputs)
            return self.inference(deadline, record, metadata, arrays, names, sequence)

        try:
            return (yield from self._prepare(request, deadline, record))
        except BaseException as error:
            record.end(error)
            raise

    def classify(self, array: Array, top: int, timeout: Timeout | None) -> Flow[list[list[Ranked]]]:
        if not is_given_as(top, int, np.integer) or top < 1:
            fault = f"k {top!r} is not a whole number of at least 1"
            raise InvalidInput(fault, model=self.name, version=self.version)
        deadline, record = self.deadline(timeout), self.record()

        def request(metadata: ModelMetadata) -> InferCall:
            check_answers_once(metadata)
            output = only(metadata, "output")
            check_ranks(metadata, output)
            arrays = named_inputs(metadata, array, {})
            count = class_count(output, metadata.max_batch_size)
            call = self.inference(deadline, record, metadata, arrays, (output.name,), None)
            return replace(call, class_count=count)

        with record:
            logits = self.only_array((yield from self._infer(request, deadline, record)))
            return ranked(logits, top, model=self.name)

    def deadline(self, timeout: Timeout | None) -> Deadline:
        return Deadline(self.timeout_s) if timeout is None else deadline_of(timeout, self.timeout_s)

    def record(self, *, is_stream: bool = False) -> CallRecord:
        """Of a call that begins now."""
        return self.observer.begin(self.name, self.version, is_stream=is_stream)

    def inference(
        self,
        deadline: Deadline,
        record: CallRecord,
        metadata: ModelMetadata,
        arrays: Inputs,
        outputs: tuple[str, ...],
        sequence: SequenceStep | None,
    ) -> InferCall:
        """The call. Raises InvalidInput where `arrays` are not what `metadata` say."""
        record.encoding()
        call = InferCall(
            deadline=deadline,
            model=self.name,
            version=self.version,
            headers=record.headers,
            record=record,
            inputs=self._fitting.inputs(metadata, arrays),
            outputs=outputs,
            sequence=sequence,
        )
        # Without inputs, where all may be left out, the server says whether that will do.
        if metadata.max_batch_size and call.inputs:
            record.batch_size = call.inputs[0].shape[0]
        return call

    def only_array(self, answer: Outputs) -> NDArray[Any]:
        """That of the only output. Raises ServerFault where there is another number of them."""
        if len(answer) != 1:
            names = ", ".join(one.name for one in answer) or "none"
            raise ServerFault(f"{self.name}: one output asked for, got {names}", model=self.name)
        (one,) = answer
        return decode(one.content, one.dtype, one.shape)

    def refused(self, error: InvalidInput | ModelNotFound, deadline: Deadline) -> Flow[NoReturn]:
        """Raises `error`, of an inference that passed our checks, with what may be known of it."""
        # The model is no longer the one we know.
        self.forget()
        if isinstance(error, ModelNotFound):
            yield from explained(error, deadline)
        raise error

    def forget(self) -> None:
        """Drops what is known of the model: it is no longer so."""
        self.cache.pop((self.name, self.version), None)

    def _infer(
        self,
        request: Callable[[ModelMetadata], InferCall],
        deadline: Deadline,
        record: CallRecord,
    ) -> Flow[Outputs]:
        """The answer to what `request` makes: see `_prepare`."""
        call = self._known(request)
        if call is None:
            call = request((yield from self._fetch(deadline, record.headers)))
        try:
            answer: Outputs = yield call
            return answer
        except (InvalidInput, ModelNotFound) as error:
            return (yield from self.refused(error, deadline))

    def _prepare(
        self,
        request: Callable[[ModelMetadata], InferCall],
        deadline: Deadline,
        record: CallRecord,
    ) -> Flow[InferCall]:
        """`request` makes the call from the metadata and raises InvalidInput if nothing fits."""
        return self._known(request) or request((yield from self._fetch(deadline, record.headers)))

    def _known(self, request: Callable[[ModelMetadata], InferCall]) -> InferCall | None:
        """What `request` makes of the metadata that are known, if they are, and it fits them."""
        known = self.cache.get((self.name, self.version))
        if known is None:
            return None
        try:
            return request(known)
        except InvalidInput:
            # They may be of a model that has been replaced since: they are asked for again.
            self.forget()
            return None

    def _fetch(self, deadline: Deadline, headers: tuple[Header, ...] = ()) -> Flow[ModelMetadata]:
        asked: dict[str, Any] = {
            "deadline": deadline,
            "model": self.name,
            "version": self.version,
            "headers": headers,
        }
        try:
            served = yield from ask(MetadataCall(**asked))
        except ModelNotFound as error:
            return (yield from explained(error, deadline))
        config = yield from shown_config(ConfigCall(**asked))
        metadata = described(self.name, self.version, served, config)
        self.cache[self.name, self.version] = metadata
        return metadata


def decoded(answer: Outputs) -> Result:
    """The arrays by name: read-only and over the answer's bytes; for BYTES new ones of bytes."""
    return Result((one.name, decode(one.content, one.dtype, one.shape)) for one in answer)
