"""gRPC in an event loop: as `transport`, with grpc.aio."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from plansmith_client.calls import Call, InferCall, OutputTensor, ReplyT
from plansmith_client.credentials import NO_ACCESS, Access
from plansmith_client.endpoints import Endpoint
from plansmith_client.over_grpc.channels import LARGE_BYTES, Channels
from plansmith_client.over_grpc.messages import decode
from plansmith_client.over_grpc.methods import Methods
from plansmith_client.over_grpc.streamed import STREAM_METHOD, StreamedAnswers
from plansmith_client.statuses import expired

# It has no types: taken as Any here, so that no other file meets it. Where it is missing,
# `protobuf` has told so.
_grpc: Any = importlib.import_module("grpc")


class AsyncGrpcTransport(Channels):
    """The same in one event loop. The channel is made there, on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        self._channel: Any = None
        self._methods: dict[type[Call[Any]], Callable[..., Any]] = {}

    async def send(self, call: Call[ReplyT]) -> ReplyT:
        body, timeout_s, headers = self._prepared(call)
        self._open()
        attempt = call.record.sent(self._url, len(body))
        try:
            pending = self._methods[type(call)](body, timeout=timeout_s, metadata=headers)
            if len(body) < LARGE_BYTES:
                reply = await pending
            else:
                reply = await self._in_time(pending, call)
        except BaseException as error:
            self._tell(error, call)
            raise
        attempt.answered(len(reply))
        return decode(call, reply, self._url)

    async def stream(self, call: InferCall) -> AsyncGenerator[tuple[OutputTensor, ...]]:
        body, timeout_s, headers = self._prepared(call)
        channel = self._open()
        attempt = call.record.sent(self._url, len(body))
        replies: Any = None
        try:
            replies = channel.stream_stream(STREAM_METHOD)(
                iter([body]), timeout=timeout_s, metadata=headers
            )
            answers = StreamedAnswers(call, self._url)
            async for reply in replies:
                attempt.answered(len(reply))
                if answer := answers.read(reply):
                    yield answer
            answers.end()
        except BaseException as error:
            self._tell(error, call)
            raise
        finally:
            if replies is not None:
                replies.cancel()

    async def _in_time(self, pending: Any, call: Call[Any]) -> Any:
        """As `GrpcTransport._in_time`."""
        try:
            async with asyncio.timeout(call.deadline.remaining_s()):
                return await pending
        except TimeoutError as error:
            raise expired(call, self._url, "DEADLINE_EXCEEDED") from error

    def _open(self) -> Any:
        """The channel, made on first need."""
        if self._channel is None:
            self._channel = self._channel_of(_grpc.aio)
            self._methods = Methods(self._channel)
        return self._channel

    async def close(self) -> None:
        self._closed = True
        channel, self._channel = self._channel, None
        self._methods = {}
        if channel is not None:
            # grpc.aio's thread ends with the last channel that anyone holds, closed or not.
            await channel.close()
