"""What a server is asked about shared memory, and when, with hand-made replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plansmith_client.calls import Call, InferCall
from plansmith_client.drivers import run
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.management.calls import ServerMetadataCall
from plansmith_client.memory.calls import (
    RegionsCall,
    RegisterCall,
    UnregisterCall,
)
from plansmith_client.memory.naming import Process, this_process
from plansmith_client.memory.posix import SHARED_MEMORY
from plansmith_client.memory.session import Session
from region_server import LARGE_BYTES, Clock, Server, call, infer, is_by_reference

TOO_LARGE = (
    "shared memory size specified with the request for output 'y' (1 bytes) should be at least 2 "
    "bytes to hold the results"
)


def test_a_slot_is_registered_once_and_the_server_asked_what_it_is(
    session: Session, server: Server
) -> None:
    for fill in range(3):
        assert infer(session, server, call(fill)) == bytes([fill]) * LARGE_BYTES
    assert server.count(ServerMetadataCall) == 1
    # The input's slot, and from the third call on the answer's.
    assert server.count(RegisterCall) == 2
    assert server.last().references.placed() == {"y"}
    assert server.last().outputs == ("y",)


@pytest.mark.parametrize(
    ("version", "extensions", "told"),
    [
        ("2.50.0", ("system_shared_memory",), "may let go of memory in use, 2.51 or newer"),
        ("unknown", ("system_shared_memory",), "may let go of memory in use"),
        ("2.51.0", (), "has no system_shared_memory"),
    ],
)
def test_a_server_that_cannot_or_is_not_safe_is_not_used(
    session_of: Callable[..., Session],
    server: Server,
    version: str,
    extensions: tuple[str, ...],
    told: str,
) -> None:
    server.version, server.extensions = version, extensions
    session = session_of()
    infer(session, server, call())
    assert not is_by_reference(server.last())
    assert not session.takes(call())
    with pytest.raises(InvalidInput, match=told):
        infer(session_of(mode=True), server, call())
    assert server.count(RegisterCall) == 0


def test_newer_servers_are(session: Session, server: Server) -> None:
    server.version = "3.0"
    infer(session, server, call())
    assert is_by_reference(server.last())


def test_after_a_refusal_it_is_not_asked_again(session: Session, server: Server) -> None:
    server.faults[RegisterCall] = [InvalidInput("no", status="INVALID_ARGUMENT")]
    infer(session, server, call())
    assert not is_by_reference(server.last())
    assert not session.takes(call())


def test_one_that_cannot_be_reached_is_after_a_while(
    session: Session, server: Server, clock: Clock
) -> None:
    server.faults[ServerMetadataCall] = [ServerUnavailable("gone", status="UNAVAILABLE")]
    for _ in range(2):
        infer(session, server, call())
        assert not is_by_reference(server.last())
    assert server.count(ServerMetadataCall) == 1
    clock.now = 60
    infer(session, server, call())
    assert is_by_reference(server.last())


def test_a_registration_whose_answer_was_lost_counts(session: Session, server: Server) -> None:
    lost = ServerUnavailable("reset", status="UNAVAILABLE")
    registering = server.answer

    def register_and_lose(asked: Call[Any]) -> Any:
        answer = registering(asked)
        if isinstance(asked, RegisterCall):
            raise lost
        return answer

    server.answer = register_and_lose  # pyright: ignore[reportAttributeAccessIssue]
    infer(session, server, call())
    assert is_by_reference(server.last())


def test_what_a_restarted_server_lost_is_registered_again(session: Session, server: Server) -> None:
    for _ in range(3):
        infer(session, server, call())
    server.open.clear()
    assert infer(session, server, call(9)) == bytes([9]) * LARGE_BYTES
    assert is_by_reference(server.last())


def test_one_that_forgets_again_gets_tensors_over_the_wire(
    session: Session, server: Server
) -> None:
    """Two servers behind one address: what is registered at the one the other does not know."""
    server.faults[InferCall] = [ModelNotFound("no such region", status="NOT_FOUND")] * 5
    known = server.answer
    server.answer = lambda asked: () if isinstance(asked, RegionsCall) else known(asked)  # pyright: ignore
    with pytest.raises(ModelNotFound):
        infer(session, server, call())
    assert server.count(InferCall) == 3
    assert not is_by_reference(server.last())
    assert not session.takes(call())


def test_a_model_that_is_not_there_is_the_callers_error(session: Session, server: Server) -> None:
    server.faults[InferCall] = [ModelNotFound("no model", status="NOT_FOUND")]
    with pytest.raises(ModelNotFound):
        infer(session, server, call())
    assert server.count(InferCall) == 1
    assert session.takes(call())


def test_an_answer_larger_than_expected_is_asked_for_again(
    session: Session, server: Server
) -> None:
    for _ in range(3):
        infer(session, server, call())
    server.faults[InferCall] = [ServerFault(TOO_LARGE, status="INTERNAL")]
    assert infer(session, server, call(2)) == bytes([2]) * LARGE_BYTES
    assert server.last().references.outputs == ()
    infer(session, server, call())
    assert server.last().references.outputs == ()


@pytest.mark.parametrize(
    ("error", "is_back"),
    [
        (ServerFault("model's own", status="INTERNAL"), True),
        (InvalidInput("refused", status="INVALID_ARGUMENT"), True),
        # Never sent.
        (DeadlineExceeded("late"), True),
        (DeadlineExceeded("late", status="DEADLINE_EXCEEDED"), False),
        (ServerUnavailable("reset", status="UNAVAILABLE"), False),
        (PlansmithClientError("closed or cancelled"), False),
    ],
)
def test_a_slot_serves_again_only_if_the_server_is_done(
    session: Session, server: Server, error: PlansmithClientError, *, is_back: bool
) -> None:
    server.faults[InferCall] = [error]
    with pytest.raises(type(error)):
        infer(session, server, call())
    (used,) = server.open
    infer(session, server, call())
    assert (server.last().references.inputs[0].region == used) is is_back  # pyright: ignore


def test_a_left_slot_serves_again_when_the_server_lets_go_of_it(
    session: Session, server: Server, clock: Clock
) -> None:
    server.faults[InferCall] = [DeadlineExceeded("late", status="DEADLINE_EXCEEDED")]
    with pytest.raises(DeadlineExceeded):
        infer(session, server, call())
    (left,) = server.open
    server.in_use = {left}
    for second in range(1, 4):
        clock.now = second
        infer(session, server, call())
        assert server.last().references.inputs[0].region != left  # pyright: ignore
    # Once for each second.
    assert server.count(UnregisterCall) == 3
    server.in_use = set()
    clock.now = 10
    assert infer_region(session, server) == left
    registered = [one.region for one in server.asked if isinstance(one, RegisterCall)]
    assert registered.count(left) == 2


def infer_region(session: Session, server: Server) -> str:
    infer(session, server, call())
    part = server.last().references.inputs[0]
    assert part is not None
    return part.region


def test_closing_a_flow_in_the_middle_leaves_its_slot(session: Session, server: Server) -> None:
    """As a cancelled task does."""
    steps = session.infer(call())
    asked = next(steps)
    while not isinstance(asked, InferCall):
        asked = steps.send(server.send(asked))
    steps.close()
    (left,) = server.open
    assert infer_region(session, server) != left


def test_what_the_dead_and_closed_clients_left_is_let_go_of(
    session: Session, server: Server
) -> None:
    here = this_process()
    dead = Process(
        user_id=here.user_id, namespace=here.namespace, process_id=2**22 + 1, begun=1
    ).new_name()
    stranger = Process(user_id=here.user_id + 1, namespace=1, process_id=1, begun=1).new_name()
    closed, there = here.new_name(), here.new_name()
    (SHARED_MEMORY / there).touch()
    server.open = dict.fromkeys((dead, stranger, closed, there, "theirs"), "/x")
    try:
        infer(session, server, call())
    finally:
        (SHARED_MEMORY / there).unlink()
    assert {stranger, there, "theirs"} < set(server.open)
    assert not {dead, closed} & set(server.open)


def test_closing_has_the_server_let_go_of_everything(session: Session, server: Server) -> None:
    for _ in range(3):
        infer(session, server, call())
    assert len(server.open) == 2
    run(session.close(), server)
    assert not server.open
    assert not session.takes(call())


def test_closing_asks_a_server_that_is_gone_once(session: Session, server: Server) -> None:
    for _ in range(3):
        infer(session, server, call())
    server.faults[UnregisterCall] = [ServerUnavailable("gone", status="UNAVAILABLE")]
    run(session.close(), server)
    assert server.count(UnregisterCall) == 1
