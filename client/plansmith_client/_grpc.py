"""gRPC through tritonclient's messages: the only file that knows gRPC, imported on first need."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import Any

from plansmith_client._messages import DECODE, SERVICE, decode_streamed, prepare
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
from plansmith_client.cancellation import Cancellation
from plansmith_client.credentials import NO_ACCESS, TLS, Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.errors import PlansmithClientError, ServerFault
from plansmith_client.statuses import closed, denied, refusal

# It has no types: taken as Any here, so that no other file meets it. Where it is missing,
# `_messages` has told so.
_grpc: Any = importlib.import_module("grpc")

_OPTIONS = (
    # Lifts gRPC's own 4 MB; protobuf's 2 GB stay, and checks.py says so before sending.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC waits 1 s to 120 s before it tries a lost server again, and refuses calls meanwhile.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Finds a peer that is gone without a word. No more often than every 300 s: servers take pings
    # at shorter intervals for an attack by default, and close the connection
    # (--grpc-http2-min-recv-ping-interval-without-data).
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

# Not with the header triton_grpc_error, which asks for statuses in place of texts: a model's error
# so sent ends Triton 2.51 with a segmentation fault (infer_handler.h, HandleCancellation).
_STREAM_METHOD = SERVICE + "ModelStreamInfer"


class _Base:
    """What the transports for threads and for asyncio do alike around a call."""

    def __init__(self, endpoint: Endpoint, access: Access) -> None:
        self._url = endpoint.url
        self._address = endpoint.address
        self._access = access
        self._credentials = _credentials(endpoint, access)
        self._closed = False

    def _channel_of(self, kind: Any) -> Any:
        """A channel that connects on the first call; `kind` is grpc or grpc.aio."""
        if self._credentials:
            return kind.secure_channel(self._address, self._credentials, options=_OPTIONS)
        return kind.insecure_channel(self._address, options=_OPTIONS)

    def _prepared(self, call: Call[Any]) -> tuple[bytes, dict[str, Any]]:
        """The message, and the arguments that it is sent with. Raises as a transport's `send`."""
        if self._closed:
            raise closed(self._url)
        headers = self._access.headers()
        body, timeout_s = prepare(call, self._url)
        return body, {"timeout": timeout_s, "metadata": headers}

    @contextmanager
    def _told(self, call: Call[Any]) -> Generator[None]:
        """gRPC's errors as the client's own."""
        try:
            yield
        except _grpc.RpcError as error:
            if self._closed:
                raise closed(self._url) from error
            raise _translated(error, call, self._url) from error
        except _grpc.FutureCancelledError as error:
            # Asked for, by `cancellation` or by closing.
            raise closed(self._url) if self._closed else _cancelled(call) from error
        except ValueError as error:
            # What a channel says that another thread closed since we looked.
            if self._closed:
                raise closed(self._url) from error
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            # Closing the channel looks like a cancellation to asyncio's calls in flight.
            if self._closed and not (task and task.cancelling()):
                raise closed(self._url) from error
            raise


class GrpcTransport(_Base):
    """Calls over one channel, which connects on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        self._channel = self._channel_of(_grpc)
        self._methods = _methods(self._channel)

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        body, how = self._prepared(call)
        method: Any = self._methods[type(call)]
        with self._told(call):
            if cancellation is None:
                reply = method(body, **how)
            else:
                pending = method.future(body, **how)
                with cancellation.ending_with(pending.cancel):
                    reply = pending.result()
        return DECODE[type(call)](reply)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        body, how = self._prepared(call)
        with self._told(call):
            replies = self._channel.stream_stream(_STREAM_METHOD)(iter([body]), **how)
            answers = _StreamedAnswers(call)
            try:
                for reply in replies:
                    if answer := answers.read(reply):
                        yield answer
                answers.end()
            finally:
                replies.cancel()

    def close(self) -> None:
        self._closed = True
        self._channel.close()


class AsyncGrpcTransport(_Base):
    """The same in one event loop. The channel is made there, on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        self._channel: Any = None
        self._methods: dict[type[Call[Any]], Callable[..., Any]] = {}

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        body, how = self._prepared(call)
        self._open()
        with self._told(call):
            reply = await self._methods[type(call)](body, **how)
        return DECODE[type(call)](reply)

    async def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        body, how = self._prepared(call)
        channel = self._open()
        with self._told(call):
            replies = channel.stream_stream(_STREAM_METHOD)(iter([body]), **how)
            answers = _StreamedAnswers(call)
            try:
                async for reply in replies:
                    if answer := answers.read(reply):
                        yield answer
                answers.end()
            finally:
                replies.cancel()

    def _open(self) -> Any:
        """The channel, made on first need."""
        if self._channel is None:
            self._channel = self._channel_of(_grpc.aio)
            self._methods = _methods(self._channel)
        return self._channel

    async def close(self) -> None:
        self._closed = True
        if self._channel is not None:
            await self._channel.close()


class _StreamedAnswers:
    """What the replies of one stream say. The first fault among them is told at the end.

    Not at once: Triton 2.51 waits in vain, when it is stopped, for a stream that was cancelled
    after an error.
    """

    def __init__(self, call: InferCall) -> None:
        self._call = call
        self._fault: ServerFault | None = None

    def read(self, reply: bytes) -> tuple[OutputTensor, ...]:
        """The answer in it; nothing where there is none, or a fault was before it."""
        found = decode_streamed(reply, self._call)
        if isinstance(found, ServerFault):
            self._fault = self._fault or found
            return ()
        return found if self._fault is None else ()

    def end(self) -> None:
        """Raises the fault, if there was one."""
        if self._fault is not None:
            raise self._fault


def _methods(channel: Any) -> dict[type[Call[Any]], Callable[..., Any]]:
    """Bytes in, bytes out: (de)serialising is done here, where its errors are seen."""
    return {call: channel.unary_unary(SERVICE + name) for call, name in _METHOD_NAMES.items()}


def _credentials(endpoint: Endpoint, access: Access) -> Any:
    """For a secure channel, None for another. Raises InvalidInput for files that cannot be used."""
    if not endpoint.secure:
        return None
    tls = access.tls or TLS()
    # gRPC looks at the files only when it connects, and does not say which is wrong.
    tls.context()
    return _grpc.ssl_channel_credentials(tls.read("ca"), tls.read("key"), tls.read("certificate"))


def _cancelled(call: Call[Any]) -> PlansmithClientError:
    return PlansmithClientError(f"{call.model}: the call was cancelled", model=call.model)


def _translated(error: Any, call: Call[Any], url: str) -> PlansmithClientError:
    status, details = error.code().name, error.details() or "no details"
    if status == "UNAVAILABLE" and (reason := _no_access(details)):
        return denied(call, url, reason, status)
    return refusal(call, url, status, details)


def _no_access(details: str) -> str | None:
    """Why we are not let in, or do not trust, where gRPC's status does not tell.

    By text, for there is nothing else: gRPC 1.85 has UNAVAILABLE for a certificate that it refuses,
    and Triton 2.51 for a restricted protocol.
    """
    if any(mark in details for mark in _UNTRUSTED):
        return f"its certificate is not trusted: {details}"
    return details if details.startswith("This protocol is restricted") else None


_UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")


_METHOD_NAMES: dict[type[Call[Any]], str] = {
    ServerReadyCall: "ServerReady",
    MetadataCall: "ModelMetadata",
    ConfigCall: "ModelConfig",
    IndexCall: "RepositoryIndex",
    InferCall: "ModelInfer",
}
