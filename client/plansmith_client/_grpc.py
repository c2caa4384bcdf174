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


class GrpcTransport:
    """Calls over one channel, which connects on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        self._endpoint = endpoint
        self._url = endpoint.url
        self._access = access
        self._closed = False
        credentials = _credentials(endpoint, access)
        self._channel = (
            _grpc.secure_channel(endpoint.address, credentials, options=_OPTIONS)
            if credentials
            else _grpc.insecure_channel(endpoint.address, options=_OPTIONS)
        )
        self._methods = _methods(self._channel)

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        if self._closed:
            raise closed(self._url)
        headers = self._access.headers()
        body, timeout_s = prepare(call, self._url)
        method: Any = self._methods[type(call)]
        with self._told(call):
            if cancellation is None:
                reply = method(body, timeout=timeout_s, metadata=headers)
            else:
                pending = method.future(body, timeout=timeout_s, metadata=headers)
                with cancellation.ending_with(pending.cancel):
                    reply = pending.result()
        return DECODE[type(call)](reply)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        if self._closed:
            raise closed(self._url)
        headers = self._access.headers()
        body, timeout_s = prepare(call, self._url)
        with self._told(call):
            open_stream = self._channel.stream_stream(_STREAM_METHOD)
            replies = open_stream(iter([body]), timeout=timeout_s, metadata=headers)
            try:
                fault: ServerFault | None = None
                for reply in replies:
                    answer = decode_streamed(reply, call)
                    if isinstance(answer, ServerFault):
                        fault = fault or answer
                    elif answer and fault is None:
                        yield answer
                # At the end, not at once: Triton 2.51 waits in vain, when it is stopped, for a
                # stream that was cancelled after an error.
                if fault is not None:
                    raise fault
            finally:
                replies.cancel()

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

    def close(self) -> None:
        self._closed = True
        self._channel.close()


class AsyncGrpcTransport:
    """The same in one event loop. The channel is made there, on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        self._endpoint = endpoint
        self._url = endpoint.url
        self._access = access
        self._closed = False
        self._credentials = _credentials(endpoint, access)
        self._channel: Any = None
        self._methods: dict[type[Call[Any]], Callable[..., Any]] = {}

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        if self._closed:
            raise closed(self._url)
        self._open()
        headers = self._access.headers()
        body, timeout_s = prepare(call, self._url)
        with self._told(call):
            reply = await self._methods[type(call)](body, timeout=timeout_s, metadata=headers)
        return DECODE[type(call)](reply)

    async def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        if self._closed:
            raise closed(self._url)
        headers = self._access.headers()
        body, timeout_s = prepare(call, self._url)
        open_stream = self._open().stream_stream(_STREAM_METHOD)
        replies = open_stream(iter([body]), timeout=timeout_s, metadata=headers)
        try:
            with self._told(call):
                fault: ServerFault | None = None
                async for reply in replies:
                    answer = decode_streamed(reply, call)
                    if isinstance(answer, ServerFault):
                        fault = fault or answer
                    elif answer and fault is None:
                        yield answer
                if fault is not None:
                    raise fault
        finally:
            replies.cancel()

    @contextmanager
    def _told(self, call: Call[Any]) -> Generator[None]:
        """gRPC's errors as the client's own."""
        try:
            yield
        except _grpc.RpcError as error:
            if self._closed:
                raise closed(self._url) from error
            raise _translated(error, call, self._url) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            # Closing the channel looks like a cancellation to the calls in flight.
            if self._closed and not (task and task.cancelling()):
                raise closed(self._url) from error
            raise

    def _open(self) -> Any:
        """The channel, made on first need."""
        if self._channel is None:
            address, credentials = self._endpoint.address, self._credentials
            self._channel = (
                _grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
                if credentials
                else _grpc.aio.insecure_channel(address, options=_OPTIONS)
            )
            self._methods = _methods(self._channel)
        return self._channel

    async def close(self) -> None:
        self._closed = True
        if self._channel is not None:
            await self._channel.close()


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
