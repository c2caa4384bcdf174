"""The client for ordinary code, threads and gevent; `async_client` is its twin for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from plansmith_client import flow
from plansmith_client.calls import Transport
from plansmith_client.classification import Ranked
from plansmith_client.deadline import checked_timeout
from plansmith_client.errors import InvalidInput, PlansmithClientError
from plansmith_client.tensors import ModelMetadata


class Client:
    """A connection to one Triton server. Safe to use from several threads.

    `url`: `host:port` of the server's gRPC port, without `http://`.
    `timeout_s`: seconds a call may take in all, unless it says otherwise; `math.inf`: no limit.
    The constructor does no network work. Raises InvalidInput for a url or time that cannot be, and
    MissingExtra if gRPC is not installed.
    Under gevent call `grpc.experimental.gevent.init_gevent()` before making one.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self._url = checked_url(url)
        self._timeout_s = checked_timeout(timeout_s)
        self._cache: flow.MetadataCache = {}
        # Imported here, so that a protocol loads only when a url asks for it.
        from plansmith_client._grpc import GrpcTransport

        self._transport: Transport = GrpcTransport(url)

    def is_ready(self, *, timeout_s: float | None = None) -> bool:
        """Whether the server is live and ready; False too if it cannot be reached in time."""
        limit_s = self._timeout_s if timeout_s is None else checked_timeout(timeout_s)
        return run(flow.is_ready(limit_s), self._transport)

    def model(self, name: str, version: int | None = None) -> Model:
        """A model by name; `version` None leaves the choice to the server. No network work."""
        flows = flow.ModelFlows(
            name=name, version=version, timeout_s=self._timeout_s, cache=self._cache
        )
        return Model(flows, self._transport)

    def close(self) -> None:
        """Ends the connection; calls in flight raise PlansmithClientError. Safe to repeat."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"


class Model:
    """A served model, from `Client.model`.

    Every method takes `timeout_s`: seconds for all it has to do, None for the client's. Each can
    raise DeadlineExceeded, ServerUnavailable, ModelNotFound and ServerFault. The server's
    description of the model is fetched on the first call and kept by the client; it is fetched
    again when a call does not fit it, since the model may have been replaced.
    """

    def __init__(self, flows: flow.ModelFlows, transport: Transport) -> None:
        self._flows = flows
        self._transport = transport

    @property
    def name(self) -> str:
        return self._flows.name

    @property
    def version(self) -> int | None:
        return self._flows.version

    def metadata(self, *, timeout_s: float | None = None) -> ModelMetadata:
        """What the model takes and gives, as last fetched."""
        return run(self._flows.metadata(timeout_s), self._transport)

    def infer(
        self,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> dict[str, NDArray[Any]]:
        """The outputs by name; all of them, or those named in `outputs`.

        `inputs`: for each input an array of exactly its dtype and shape, with the batch axis first
        (`1 <= N <= max_batch_size`) if the model batches; nothing is cast. A BYTES input is an
        object array of bytes, or of str, which is sent as UTF-8. The arrays are read only until
        this returns; one that is not contiguous is copied.
        The results are the caller's and read-only (`.copy()` to write); BYTES come as a writable
        object array of bytes.
        Raises InvalidInput, naming the tensor, before anything is sent if a name, dtype or shape
        is wrong, or if the server refuses the request.
        """
        return run(self._flows.infer(inputs, outputs, timeout_s), self._transport)

    def __call__(self, array: NDArray[Any], *, timeout_s: float | None = None) -> NDArray[Any]:
        """The only output for the only input; as `infer` in all else.

        Raises InvalidInput if the model has more than one of either.
        """
        return run(self._flows.infer_one(array, timeout_s), self._transport)

    def classify(
        self, array: NDArray[Any], *, top: int = 5, timeout_s: float | None = None
    ) -> list[list[Ranked]]:
        """For each item of the batch its `top` likeliest classes, best first.

        The only output has to be logits: the probabilities are their softmax over all classes, in
        float64. Labels come from the server (`label_filename`). A model without a batch axis gives
        a list of one item. Raises as `__call__`, and ServerFault for logits that are NaN or +inf.
        """
        return run(self._flows.classify(array, top, timeout_s), self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, version={self.version})"


def run(steps: flow.Flow[flow.ResultT], transport: Transport) -> flow.ResultT:
    """The flow's result: sends each call it yields and hands back the reply, or the error."""
    try:
        call = next(steps)
        while True:
            try:
                reply = transport.send(call)
            except PlansmithClientError as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as stop:
        return stop.value


def checked_url(url: str) -> str:
    """`url` itself. Raises InvalidInput for none and for one of another protocol."""
    if not url or url.startswith(("http://", "https://")):
        raise InvalidInput(f"url {url!r}: give host:port of the gRPC port, such as localhost:8001")
    return url
