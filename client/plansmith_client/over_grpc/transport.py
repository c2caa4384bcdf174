"""gRPC through tritonclient's messages, in the calling thread."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

from plansmith_client.calls import Call, InferCall, OutputTensor, ReplyT
from plansmith_client.cancellation import Cancellation
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


class GrpcTransport(Channels):
    """Calls over one channel, which connects on the first call."""

    def __init__(self, endpoint: Endpoint, access: Access = NO_ACCESS) -> None:
        super().__init__(endpoint, access)
        self._channel = self._channel_of(_grpc)
        self._methods = Methods(self._channel)
        self._pending: set[Any] = set()

    def send(self, call: Call[ReplyT], cancellation: Cancellation | None = None) -> ReplyT:
        body, timeout_s, headers = self._prepared(call)
        method: Any = self._methods[type(call)]
        attempt = call.record.sent(self._url, len(body))
        try:
            if cancellation is None and len(body) < LARGE_BYTES:
                reply = method(body, timeout=timeout_s, metadata=headers)
            else:
                reply = self._in_time(
                    method.future(body, timeout=timeout_s, metadata=headers), call, cancellation
                )
        except BaseException as error:
            self._tell(error, call)
            raise
        attempt.answered(len(reply))
        return decode(call, reply, self._url)

    def stream(self, call: InferCall) -> Generator[tuple[OutputTensor, ...]]:
        body, timeout_s, headers = self._prepared(call)
        attempt = call.record.sent(self._url, len(body))
        replies: Any = None
        try:
            replies = self._channel.stream_stream(STREAM_METHOD)(
                iter([body]), timeout=timeout_s, metadata=headers
            )
            answers = StreamedAnswers(call, self._url)
            for reply in replies:
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

    def _in_time(self, pending: Any, call: Call[Any], cancellation: Cancellation | None) -> Any:
        """The reply that `pending` brings; see LARGE_BYTES."""
        remaining_s = call.deadline.remaining_s()
        ending = cancellation.ending_with(pending.cancel) if cancellation else nullcontext()
        self._pending.add(pending)
        pending.add_done_callback(self._pending.discard)
        try:
            with ending:
                if self._closed:
                    pending.cancel()
                return pending.result(None if remaining_s is None else max(remaining_s, 0))
        except _grpc.FutureTimeoutError as error:
            pending.cancel()
            raise expired(call, self._url, "DEADLINE_EXCEEDED") from error
        except BaseException:
            # An interrupt: nobody waits for it any longer. What has failed is not cancelled by it.
            pending.cancel()
            raise

    def close(self) -> None:
        self._closed = True
        waiting = tuple(self._pending)
        for pending in waiting:
            pending.cancel()
        if waiting:
            # It waits for them in gRPC, which may take it as long as LARGE_BYTES says.
            threading.Thread(target=self._channel.close, daemon=True).start()
        else:
            self._channel.close()
