"""The conversation with the server, written once for both clients.

A flow is a generator: it yields a call and receives its reply, or has the call's error thrown in.
It does no I/O itself; `client.run` and `async_client.run` drive it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from numpy.typing import NDArray

from plansmith_client.calls import (
    Call,
    ConfigCall,
    InferCall,
    MetadataCall,
    OutputTensor,
    ReplyT,
    ServerReadyCall,
)
from plansmith_client.checks import checked_inputs, checked_outputs, only
from plansmith_client.classification import Ranked, class_count, ranked
from plansmith_client.datatypes import decode
from plansmith_client.deadline import Deadline, checked_timeout, start
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.tensors import ModelMetadata

ResultT = TypeVar("ResultT")
Flow: TypeAlias = Generator[Call[Any], Any, ResultT]
# Of one client, by model and version. Dict operations are atomic, so threads may share it.
MetadataCache: TypeAlias = dict[tuple[str, int | None], ModelMetadata]
Outputs: TypeAlias = tuple[OutputTensor, ...]


def is_ready(timeout_s: float) -> Flow[bool]:
    """Whether the server takes requests; False too if it does not answer in time."""
    try:
        return (yield from _ask(ServerReadyCall(deadline=start(timeout_s))))
    except (ServerUnavailable, DeadlineExceeded):
        return False


@dataclass(frozen=True, kw_only=True)
class ModelFlows:
    """The flows of one model; `Model` documents their arguments, results and errors."""

    name: str
    version: int | None
    timeout_s: float
    cache: MetadataCache

    def metadata(self, timeout_s: float | None) -> Flow[ModelMetadata]:
        known = self.cache.get((self.name, self.version))
        return known or (yield from self._fetch(self._deadline(timeout_s)))

    def infer(
        self,
        arrays: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None,
        timeout_s: float | None,
    ) -> Flow[dict[str, NDArray[Any]]]:
        deadline = self._deadline(timeout_s)

        def request(metadata: ModelMetadata) -> InferCall:
            names = checked_outputs(metadata, outputs)
            return self._call(deadline, metadata, arrays, names)

        answer = yield from self._infer(request, deadline)
        return {one.name: decode(one.content, one.dtype, one.shape) for one in answer}

    def infer_one(self, array: NDArray[Any], timeout_s: float | None) -> Flow[NDArray[Any]]:
        deadline = self._deadline(timeout_s)

        def request(metadata: ModelMetadata) -> InferCall:
            output, name = only(metadata, "output").name, only(metadata, "input").name
            return self._call(deadline, metadata, {name: array}, (output,))

        answer = self._only_answer((yield from self._infer(request, deadline)))
        return decode(answer.content, answer.dtype, answer.shape)

    def classify(
        self, array: NDArray[Any], top: int, timeout_s: float | None
    ) -> Flow[list[list[Ranked]]]:
        if top < 1:
            raise InvalidInput(
                f"top {top} is not at least 1", model=self.name, version=self.version
            )
        deadline = self._deadline(timeout_s)

        def request(metadata: ModelMetadata) -> InferCall:
            output = only(metadata, "output")
            name = only(metadata, "input").name
            count = class_count(output, metadata.max_batch_size)
            call = self._call(deadline, metadata, {name: array}, (output.name,))
            return replace(call, class_count=count)

        answer = self._only_answer((yield from self._infer(request, deadline)))
        return ranked(decode(answer.content, answer.dtype, answer.shape), top, model=self.name)

    def _infer(
        self, request: Callable[[ModelMetadata], InferCall], deadline: Deadline
    ) -> Flow[Outputs]:
        """`request` makes the call from the metadata and raises InvalidInput if nothing fits."""
        key = (self.name, self.version)
        known, call = self.cache.get(key), None
        if known is not None:
            try:
                call = request(known)
            except InvalidInput:
                # What is known may be of a model that has been replaced since: ask again first.
                self.cache.pop(key, None)
        if call is None:
            call = request((yield from self._fetch(deadline)))
        try:
            return (yield from _ask(call))
        except (InvalidInput, ModelNotFound):
            # It passed our checks, so the model is no longer the one we know.
            self.cache.pop(key, None)
            raise

    def _fetch(self, deadline: Deadline) -> Flow[ModelMetadata]:
        asked: dict[str, Any] = {
            "deadline": deadline,
            "model": self.name,
            "version": self.version,
        }
        served = yield from _ask(MetadataCall(**asked))
        config = yield from _ask(ConfigCall(**asked))
        metadata = ModelMetadata(
            name=self.name,
            version=self.version,
            versions=served.versions,
            inputs=tuple(
                replace(one, optional=one.name in config.optional_inputs) for one in served.inputs
            ),
            outputs=served.outputs,
            max_batch_size=config.max_batch_size,
        )
        self.cache[self.name, self.version] = metadata
        return metadata

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return start(self.timeout_s if timeout_s is None else checked_timeout(timeout_s))

    def _call(
        self,
        deadline: Deadline,
        metadata: ModelMetadata,
        arrays: Mapping[str, NDArray[Any]],
        outputs: tuple[str, ...],
    ) -> InferCall:
        return InferCall(
            deadline=deadline,
            model=self.name,
            version=self.version,
            inputs=checked_inputs(metadata, arrays),
            outputs=outputs,
        )

    def _only_answer(self, answer: Outputs) -> OutputTensor:
        if len(answer) != 1:
            names = ", ".join(one.name for one in answer) or "none"
            raise ServerFault(f"{self.name}: one output asked for, got {names}", model=self.name)
        return answer[0]


def _ask(call: Call[ReplyT]) -> Flow[ReplyT]:
    reply: ReplyT = yield call
    return reply
