"""The replies of a stream, read one by one."""

from __future__ import annotations

from plansmith_client.calls import InferCall, OutputTensor
from plansmith_client.errors import ServerFault
from plansmith_client.over_grpc.infer_messages import decode_streamed
from plansmith_client.over_grpc.protobuf import SERVICE

# Not with the header triton_grpc_error, which asks for statuses in place of texts: a model's error
# so sent ends Triton 2.51 with a segmentation fault (infer_handler.h, HandleCancellation).
STREAM_METHOD = SERVICE + "ModelStreamInfer"


class StreamedAnswers:
    """What the replies of one stream say. The first fault among them is told at the end.

    Not at once: Triton 2.51 waits in vain, when it is stopped, for a stream that was cancelled
    after an error.
    """

    def __init__(self, call: InferCall, url: str) -> None:
        self._call = call
        self._url = url
        self._fault: ServerFault | None = None

    def read(self, reply: bytes) -> tuple[OutputTensor, ...]:
        """The answer in it; nothing where there is none, or a fault was before it."""
        found = decode_streamed(reply, self._call, self._url)
        if isinstance(found, ServerFault):
            self._fault = self._fault or found
            return ()
        return found if self._fault is None else ()

    def end(self) -> None:
        """Raises the fault, if there was one."""
        if self._fault is not None:
            raise self._fault
