"""What a call does about failures, in a world with a clock and servers of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan_world import (
    REPLY,
    TOOK_S,
    Server,
    World,
    dead,
    down,
    not_found,
    refusing,
    unavailable,
    well,
)
from plansmith_client import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    PlansmithClientError,
    Retry,
    SequenceStep,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.calls import Call, ModelReadyCall, ServerReadyCall
from plansmith_client.deadline import Deadline
from plansmith_client.management.calls import LoadCall
from plansmith_client.resilience.attempts import Send, attempts


def test_a_call_that_is_answered_is_sent_once() -> None:
    world = World([well])
    assert world.ask(world.call()) == REPLY
    assert len(world.sent) == 1


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("no", status="INVALID_ARGUMENT"),
        ServerFault("no", status="INTERNAL"),
        DeadlineExceeded("no"),
        not_found(),
        unavailable("Exceeds maximum queue size"),
        PlansmithClientError("closed"),
    ],
)
def test_what_another_attempt_cannot_mend_is_raised_at_once(error: PlansmithClientError) -> None:
    world = World([refusing(error)])
    with pytest.raises(type(error)) as caught:
        world.ask(world.call())
    assert caught.value is error
    assert len(world.sent) == 1


def test_what_changes_something_is_sent_once() -> None:
    world = World([refusing(unavailable())])
    world.ask(ready(world))
    for call in (
        world.call(sequence=SequenceStep(id=1, start=True)),
        LoadCall(deadline=Deadline(9, clock=lambda: world.now), model="m"),
    ):
        with pytest.raises(ServerUnavailable):
            world.ask(call)
    assert len(world.inferences) == 2


def test_without_a_policy_nothing_is_sent_again() -> None:
    world = World([refusing(unavailable())], retry=None)
    with pytest.raises(ServerUnavailable):
        world.ask(world.call())
    assert len(world.sent) == 1


def test_a_connection_that_broke_is_tried_again() -> None:
    world = World([refusing(unavailable(), times=2)])
    assert world.ask(world.call()) == REPLY
    assert len(world.inferences) == 3


def test_no_call_is_sent_more_often_than_allowed() -> None:
    world = World([refusing(unavailable())], retry=Retry(attempts=3))
    with pytest.raises(ServerUnavailable):
        world.ask(world.call())
    assert len(world.inferences) == 3


def ready(world: World) -> ServerReadyCall:
    return ServerReadyCall(deadline=Deadline(5, clock=lambda: world.now))


def test_a_restart_is_waited_for() -> None:
    world = World([down(1001, 1020)])
    assert world.ask(world.call()) == REPLY
    world.now = 1001
    assert world.ask(world.call(timeout_s=30)) == REPLY
    assert 1020 <= world.now < 1022
    # The one before, the one that found it gone, the one after.
    assert len(world.inferences) == 3
    waits = [after - before for before, after in zip(world.probes, world.probes[1:], strict=False)]
    assert max(waits) < 1.1


def test_the_wait_ends_with_the_deadline() -> None:
    world = World([down(1001, 1e9)])
    world.ask(world.call())
    world.now = 1001
    with pytest.raises(
        ServerUnavailable, match=r"cannot be reached, for 5\.\d+ s: connection"
    ) as c:
        world.ask(world.call(timeout_s=5))
    assert world.now == pytest.approx(1006, abs=2 * TOOK_S)
    assert isinstance(c.value.__cause__, ServerUnavailable)
    assert (c.value.status, c.value.retriable) == ("UNAVAILABLE", True)


def test_who_never_answered_is_waited_for_shortly_and_found_later() -> None:
    world = World([down(0, 1010)])
    for _ in range(3):
        with pytest.raises(ServerUnavailable):
            world.ask(world.call())
    assert world.now < 1001.5
    world.now = 1011
    assert world.ask(world.call()) == REPLY


def test_a_dead_server_is_probed_by_one_for_all() -> None:
    world = World([down(1001, 1e9)])
    world.ask(world.call())
    world.now = 1001
    for _ in range(50):
        with pytest.raises(ServerUnavailable):
            world.ask(world.call(timeout_s=0.05))
    # 3 s or so; the callers' own attempts end with the first probe.
    assert len(world.inferences) <= 3
    assert len(world.probes) <= 2 + 5 + (world.now - 1001) / 0.9


def test_another_endpoint_takes_over_at_once() -> None:
    world = World([dead, well])
    for _ in range(20):
        assert world.ask(world.call()) == REPLY
    assert world.inferences.count(0) == 1
    assert world.now < 1000 + 22 * TOOK_S


def test_the_budget_ends_retries_of_a_server_that_only_seems_well() -> None:
    world = World([refusing(unavailable())], retry=Retry(budget_floor_per_s=1, budget_share=0.1))
    for _ in range(100):
        with pytest.raises(ServerUnavailable):
            world.ask(world.call())
    assert len(world.inferences) <= 100 + 10 + 10 + (world.now - 1000)


@pytest.mark.parametrize("asked", [True, False])
def test_a_full_queue_is_waited_for_when_asked(asked: bool) -> None:
    error = unavailable("m: Exceeds maximum queue size")
    world = World([refusing(error, times=20)], retry=Retry(queue_full=asked))
    if asked:
        assert world.ask(world.call()) == REPLY
    else:
        with pytest.raises(ServerUnavailable, match="queue size"):
            world.ask(world.call())
    assert len(world.inferences) == (21 if asked else 1)
    assert world.probes == []


def test_a_server_on_its_way_down_is_waited_for() -> None:
    """It says that it is not ready, and refuses calls, for longer than the attempts last."""

    def stopping(call: Call[Any], now: float) -> Any:
        if now >= 1010:
            return well(call, now)
        if isinstance(call, ServerReadyCall):
            return False
        raise unavailable("is stopping")

    world = World([stopping])
    assert world.ask(world.call()) == REPLY
    assert world.now < 1012


def test_a_model_that_is_loaded_after_a_restart_is_waited_for() -> None:
    def restarted(call: Call[Any], now: float) -> Any:
        if now >= 1005 and now < 1015 and not isinstance(call, ServerReadyCall):
            raise not_found()
        return down(1001, 1005)(call, now)

    world = World([restarted])
    world.ask(world.call())
    world.now = 1002
    assert world.ask(world.call(timeout_s=60)) == REPLY
    assert world.now >= 1015


def test_a_model_that_was_taken_away_is_known_to_be_after_one_call() -> None:
    gone: list[bool] = []

    def answer(call: Call[Any], now: float) -> Any:
        if gone and not isinstance(call, ServerReadyCall):
            raise not_found()
        return well(call, now)

    world = World([answer])
    world.ask(world.call())
    gone.append(True)
    for expected in (Retry().attempts, 1, 1):
        before = len(world.inferences)
        with pytest.raises(ModelNotFound):
            world.ask(world.call())
        assert len(world.inferences) - before == expected
    assert world.now < 1002


def test_health_is_asked_of_each_until_one_is_well() -> None:
    world = World([dead, well, well])
    assert world.ask(ready(world)) is True
    assert [place for place, _, _ in world.sent] == [0, 1]
    world = World([dead, dead])
    with pytest.raises(ServerUnavailable):
        world.ask(ready(world))
    assert len(world.sent) == 2


def test_a_model_that_one_endpoint_does_not_know_is_looked_for_at_the_next() -> None:
    def strange(_call: Call[Any], _now: float) -> Any:
        raise not_found()

    def asked(*servers: Server) -> bool:
        world = World(list(servers))
        deadline = Deadline(5, clock=lambda: world.now)
        return world.ask(ModelReadyCall(deadline=deadline, model="m"))

    assert asked(strange, lambda *_: True)
    with pytest.raises(ModelNotFound):
        asked(strange, strange)


def test_a_frozen_endpoint_leaves_the_others_their_share_of_the_time() -> None:
    world = World([dead, well])
    world.ask(ready(world))
    first, second = (call.deadline for _, call, _ in world.sent)
    assert (first.timeout_s, second.timeout_s) == (2.5, 5)


@pytest.mark.parametrize("overtaken", [True, False])
def test_an_endpoint_that_was_overtaken_has_not_answered(overtaken: bool) -> None:
    world = World([well, well])
    plan = attempts(world.call(), world.fleet)
    step = next(plan)
    assert isinstance(step, Send)
    member = world.fleet._members[step.place]
    member.circuit.failed(world.now)
    step.overtaken = overtaken
    with pytest.raises(StopIteration):
        plan.send(REPLY)
    assert (member.circuit.suspect, member.outstanding) == (overtaken, 0)


OUTCOMES = st.sampled_from(
    [
        None,
        unavailable(),
        unavailable("Exceeds maximum queue size"),
        not_found(),
        ServerFault("no", status="INTERNAL"),
        DeadlineExceeded("late", status="DEADLINE_EXCEEDED"),
    ]
)


@given(
    script=st.lists(st.tuples(st.integers(0, 2), OUTCOMES), max_size=60),
    count=st.integers(1, 3),
    timeout_s=st.floats(0.05, 20),
    queue_full=st.booleans(),
    sequence=st.booleans(),
)
def test_whatever_servers_do(
    script: list[tuple[int, PlansmithClientError | None]],
    count: int,
    timeout_s: float,
    queue_full: bool,
    sequence: bool,
) -> None:
    """It ends in time, with the reply or an error of ours, and leaves nothing in flight."""
    left = list(script)

    def answer(call: Call[Any], now: float) -> Any:
        kind, error = left.pop() if left else (0, None)
        if error is not None:
            raise error
        return kind != 1 if isinstance(call, ServerReadyCall) else well(call, now)

    world = World([answer] * count, retry=Retry(queue_full=queue_full))
    fields = {"sequence": SequenceStep(id=1, start=True)} if sequence else {}
    for _ in range(3):
        call = world.call(timeout_s, **fields)
        begun = len(world.sent)
        with suppress(ServerUnavailable, ModelNotFound, ServerFault, DeadlineExceeded):
            assert world.ask(call) == REPLY
        mine = [one for _, one, _ in world.sent[begun:] if one is call]
        assert len(mine) <= 1 or not sequence
        assert all(when <= call.deadline.started + timeout_s for _, _, when in world.sent[begun:])
        assert call.deadline.elapsed_s() <= timeout_s + 2 * TOOK_S
        assert [one.outstanding for one in world.fleet._members] == [0] * count or count == 1
        assert not any(one.circuit.probing for one in world.fleet._members)


def test_a_server_that_lets_go_of_its_models_before_it_restarts_is_waited_for() -> None:
    """It takes long to stop; until then it answers, and says that it is not ready."""

    def restarted(call: Call[Any], now: float) -> Any:
        if not 1001 <= now < 1010:
            return well(call, now)
        if now > 1009:
            return dead(call, now)
        if isinstance(call, ServerReadyCall):
            return False
        raise not_found()

    world = World([restarted])
    world.ask(world.call())
    world.now = 1001
    assert world.ask(world.call(timeout_s=60)) == REPLY
    assert world.now < 1015
