"""What conversations with a server are made of: a question and its answer, or what it refuses."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias, TypeVar

from plansmith_client.calls import (
    Call,
    ConfigCall,
    ConfigReply,
    IndexCall,
    ReplyT,
    ServerReadyCall,
)
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.suggestions import not_found

ResultT = TypeVar("ResultT")
# Yields calls, is sent their replies or thrown their errors, and returns what came of it.
Flow: TypeAlias = Generator[Call[Any], Any, ResultT]
# Said of a call that a server does not have; UNKNOWN is what HTTP statuses become that no Triton
# gives, such as 405.
_NO_SUCH_CALL = ("UNIMPLEMENTED", "UNKNOWN")


def ask(call: Call[ReplyT]) -> Flow[ReplyT]:
    reply: ReplyT = yield call
    return reply


def server_is_ready(deadline: Deadline) -> Flow[bool]:
    """Whether the server takes requests; False too if it does not answer in time."""
    try:
        return (yield from ask(ServerReadyCall(deadline=deadline)))
    except (ServerUnavailable, DeadlineExceeded):
        return False


def shown_config(call: ConfigCall) -> Flow[ConfigReply | None]:
    """The model's configuration; None from a server that has none to show, or does not show it."""
    try:
        return (yield from ask(call))
    except (AccessDenied, ModelNotFound):
        # The model is there, as its metadata just told.
        return None
    except ServerFault as error:
        if error.status not in _NO_SUCH_CALL:
            raise
        return None


def explained(refused: ModelNotFound, deadline: Deadline) -> Flow[NoReturn]:
    """Raises `refused` with what the server has instead, if it tells before the deadline."""
    index = None
    with suppress(PlansmithClientError):
        index = yield from ask(IndexCall(deadline=deadline))
    if index is None:
        raise refused
    raise not_found(refused, index) from refused
