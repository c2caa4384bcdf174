"""A served model for ordinary code, threads and gevent; `async_model` is its twin for asyncio."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.batching import joined
from plansmith_client.calls import Transport
from plansmith_client.cancellation import Cancellation
from plansmith_client.classification import Ranked
from plansmith_client.deadline import Timeout
from plansmith_client.direct import answer
from plansmith_client.drivers import run
from plansmith_client.mapping import as_completed, checked_in_flight, in_order
from plansmith_client.model_sequence import ModelSequence
from plansmith_client.results import Answer, Result
from plansmith_client.sequences import SequenceState, SequenceStep
from plansmith_client.slotted import slotted
from plansmith_client.streaming import streamed
from plansmith_client.tensors import Array, ModelMetadata
from plansmith_client.workers import Workers

if TYPE_CHECKING:
    from concurrent.futures import Future

    from plansmith_client.management.config import ModelConfig
    from plansmith_client.management.statistics import ModelStatistics
    from plansmith_client.memory.cuda_tensors import CudaTensor

# One call of many: the only input, or the inputs by name.
Item: TypeAlias = "Array | Mapping[str, Array]"
Items: TypeAlias = Iterable[Item]


@slotted()
class Connection:
    """What the models of one client share: its transport, threads and ids of sequences."""

    transport: Transport
    workers: Workers
    ids: Iterator[int]


class Model:
    """A served model, from `Client.model`.

    Every method takes `timeout_s`: seconds for all it has to do, or a Deadline that several calls
    share; None for the client's own. Each can raise DeadlineExceeded, ServerUnavailable,
    ModelNotFound and ServerFault. The server's description of the model is fetched on the first
    call and kept by the client; it is fetched again when a call does not fit it, since the model
    may have been replaced.
    """

    def __init__(self, flows: flow.ModelFlows, connection: Connection) -> None:
        self._flows = flows
        self._connection = connection
        self._transport = connection.transport

    @property
    def name(self) -> str:
        return self._flows.name

    @property
    def version(self) -> int | None:
        return self._flows.version

    def metadata(self, *, timeout_s: Timeout | None = None) -> ModelMetadata:
        """What the model takes and gives, as last fetched."""
        return run(self._flows.metadata(timeout_s), self._transport)

    def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """Whether it takes requests; False too if it is not there, or nobody answers in time."""
        from plansmith_client.management.flows import model_is_ready

        return run(model_is_ready(self._flows, timeout_s), self._transport)

    def config(self, *, timeout_s: Timeout | None = None) -> ModelConfig:
        """Its configuration as the server has it now."""
        from plansmith_client.management.flows import model_config

        return run(model_config(self._flows, timeout_s), self._transport)

    def statistics(self, *, timeout_s: Timeout | None = None) -> tuple[ModelStatistics, ...]:
        """What the server has counted for each of its versions, or for the one asked for."""
        from plansmith_client.management.flows import model_statistics

        return run(model_statistics(self._flows, timeout_s), self._transport)

    def __call__(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """The output of a model that has one, as an array; of any other a Result with all.

        `array`: the only input, or the only one that may not be left out; else each of `inputs` by
        its name (one called `timeout_s` needs `infer`). As `infer` in all else.
        """
        return answer(self._flows, self._transport, array, inputs, timeout_s)

    def infer(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        into: Mapping[str, NDArray[Any] | CudaTensor] | None = None,
        sequence: SequenceStep | None = None,
        timeout_s: Timeout | None = None,
    ) -> Result:
        """The outputs by name; all of them, or those named in `outputs`.

        `inputs`: for each input an array of exactly its dtype and shape, with the batch axis first
        (`1 <= N <= max_batch_size`) if the model batches; nothing is cast unless the model was
        taken with `casting="safe"`. A BYTES input is an object array of bytes, or of str, which is
        sent as UTF-8. The arrays are read only until this returns; one that is not contiguous is
        copied.
        `into`: by output, the array that it goes to, of exactly its dtype and shape, which is then
        in the result; one in `Client.shared_memory` is written by the server itself. Such a call
        is never sent a second time.
        A CudaTensor may stand wherever an array may, among `inputs` and in `into`; nothing of it
        is cast.
        `sequence`: for a model that keeps state, which of its sequences this continues; `sequence`
        the method counts the steps itself.
        The results are the caller's and read-only (`.copy()` to write); BYTES come as a writable
        object array of bytes.
        Raises InvalidInput, naming the tensor, before anything is sent if a name, dtype, shape or
        size is wrong, or if the server refuses the request.
        """
        steps = self._flows.infer(inputs, outputs, timeout_s, sequence, into)
        return run(steps, self._transport)

    def submit(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Future[Answer]:
        """What calling the model gives, later: its time runs from now on.

        The call is made in one of the client's threads; the arrays may not change until it is
        done. `cancel()` works until the answer is there, and the server is told to stop.
        """
        return self._begin(array, inputs, timeout_s)

    @overload
    def map(
        self,
        items: Items,
        *,
        in_flight: int = 32,
        ordered: Literal[True] = True,
        timeout_s: Timeout | None = None,
    ) -> Generator[Answer]: ...
    @overload
    def map(
        self,
        items: Items,
        *,
        in_flight: int = 32,
        ordered: Literal[False],
        timeout_s: Timeout | None = None,
    ) -> Generator[tuple[int, Answer]]: ...
    def map(
        self,
        items: Items,
        *,
        in_flight: int = 32,
        ordered: bool = True,
        timeout_s: Timeout | None = None,
    ) -> Generator[Any]:
        """What calling the model gives for each of `items`, `in_flight` of them at a time.

        An item is an array or, by name, several. `ordered`: in the order of the items; else as
        they are answered, each as `(place, answer)` with the item's place, counted from 0.
        `items` is read no further than `in_flight` ahead of what was taken. The first call that
        fails raises here; it, the end of `items` failing, and closing this early cancel the rest.
        `timeout_s`: seconds for each item; a Deadline is for all of them.
        `in_flight` beyond the client's `max_workers` waits for a thread.
        """
        checked_in_flight(in_flight)

        def begin(item: Item) -> Future[Answer]:
            return self._begin(*fed(item), timeout_s)

        return (in_order if ordered else as_completed)(items, begin, in_flight)

    def batched(
        self,
        array: NDArray[Any] | CudaTensor | None = None,
        /,
        *,
        in_flight: int = 8,
        timeout_s: Timeout | None = None,
        **inputs: NDArray[Any] | CudaTensor,
    ) -> Answer:
        """As calling the model, for any number of items: sent in pieces, the answers joined.

        A piece has the `max_batch_size` items the model takes, `in_flight` pieces are sent at a
        time, `timeout_s` is for all. Raises InvalidInput too for a model that takes no batches,
        and for answers that cannot be joined since more than their first axes differ.
        """
        deadline = self._flows.deadline(timeout_s)
        checked_in_flight(in_flight)
        pieces = run(self._flows.pieces(array, inputs, deadline), self._transport)
        if len(pieces) == 1:
            return answer(self._flows, self._transport, None, pieces[0], deadline)
        return joined(
            list(self.map(pieces, in_flight=in_flight, timeout_s=deadline)), model=self.name
        )

    def stream(
        self,
        inputs: Mapping[str, NDArray[Any] | CudaTensor],
        outputs: Sequence[str] | None = None,
        *,
        sequence: SequenceStep | None = None,
        timeout_s: Timeout | None = None,
    ) -> Generator[Result]:
        """Every answer of a decoupled model to one request, as it comes; of any other the one.

        Arguments and answers are those of `infer`; `timeout_s` is for all of them together. Nothing
        is checked or sent before the first is asked for. Closing it early cancels the request.
        Raises as `infer`, at whatever answer the fault shows; but what the server says within a
        stream has no status, so that a request it refuses there is a ServerFault too.
        """
        yield from streamed(self._flows, self._transport, inputs, outputs, timeout_s, sequence)

    def sequence(self, id: int | str | None = None) -> ModelSequence:
        """A sequence of a model that keeps state; no network work.

        `id`: None for one that no other sequence of this client has; see SequenceStep.
        """
        ids = self._connection.ids
        state = SequenceState[flow.Fed](next(ids) if id is None else id, self.name, self.version)
        return ModelSequence(self._flows, self._transport, state)

    def classify(
        self,
        array: NDArray[Any] | CudaTensor,
        k: int = 5,
        *,
        top: int | None = None,
        timeout_s: Timeout | None = None,
    ) -> list[list[Ranked]]:
        """For each item of the batch its `k` likeliest classes, best first; `top` is `k` too.

        The only output has to be logits: the probabilities are their softmax over all classes, in
        float64. Labels come from the server (`label_filename`). A model without a batch axis gives
        a list of one item. Raises as `__call__`, InvalidInput too for several outputs and for one
        that is not of numbers, and ServerFault for logits that are NaN or +inf.
        """
        count = k if top is None else top
        return run(self._flows.classify(array, count, timeout_s), self._transport)

    def _begin(
        self, array: Array | None, inputs: flow.Inputs, timeout_s: Timeout | None
    ) -> Future[Answer]:
        deadline = self._flows.deadline(timeout_s)

        def work(cancellation: Cancellation) -> Answer:
            steps = self._flows.call(array, inputs, deadline, self._flows.record())
            return run(steps, self._transport, cancellation)

        return self._connection.workers.begin(work)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version={self.version})"


def fed(item: Item) -> flow.Fed:
    """An item of `map` as a call is given it."""
    return (None, item) if isinstance(item, Mapping) else (item, {})
