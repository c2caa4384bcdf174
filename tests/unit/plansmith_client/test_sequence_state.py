"""Where a sequence is after steps that answer, fail, are streamed or left: any order of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plansmith_client.errors import InvalidInput, PlansmithClientError, ServerUnavailable
from plansmith_client.sequences import SequenceState


class Sequences(RuleBasedStateMachine):
    """What the server holds of one sequence, next to what the client takes it to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.state: SequenceState[int] = SequenceState(7)
        self.answered: list[int] = []
        self.ended = self.lost = False

    @property
    def over(self) -> bool:
        return self.ended or self.lost

    @precondition(lambda self: not self.over)
    @rule(inputs=st.integers(), end=st.booleans(), streamed=st.booleans())
    def a_step_is_answered(self, inputs: int, end: bool, streamed: bool) -> None:
        with self.state.taking(inputs, end=end, streamed=streamed) as step:
            assert (step.id, step.start, step.end) == (7, not self.answered, end)
        self.answered.append(inputs)
        self.ended = end
        assert self.state.last_streamed is streamed

    @precondition(lambda self: not self.over)
    @rule(end=st.booleans(), streamed=st.booleans())
    def a_step_is_refused_before_it_is_sent(self, end: bool, streamed: bool) -> None:
        with (
            pytest.raises(InvalidInput),
            self.state.taking(0, end=end, streamed=streamed),
        ):
            raise InvalidInput("a wrong array")

    @precondition(lambda self: not self.over)
    @rule(
        error=st.sampled_from(
            [
                ServerUnavailable("gone"),
                InvalidInput("refused", status="INVALID_ARGUMENT"),
                KeyboardInterrupt(),
                GeneratorExit(),
            ]
        ),
        streamed=st.booleans(),
    )
    def a_step_fails_on_its_way(self, error: BaseException, streamed: bool) -> None:
        with suppress(type(error)), self.state.taking(0, end=False, streamed=streamed):
            raise error
        # The first can be made again: the server forgets what an id had before.
        self.lost = bool(self.answered)
        if isinstance(error, PlansmithClientError):
            assert error.retriable is False

    @precondition(lambda self: not self.over)
    @rule(inputs=st.integers())
    def no_step_is_made_while_one_is_streamed(self, inputs: int) -> None:
        with (
            self.state.taking(inputs, end=False, streamed=True),
            pytest.raises(PlansmithClientError, match="still streamed"),
        ):
            self.state.step(end=False)
        self.answered.append(inputs)

    @precondition(lambda self: self.over)
    @rule(end=st.booleans())
    def nothing_follows_what_is_over(self, end: bool) -> None:
        with pytest.raises(PlansmithClientError, match="has ended" if self.ended else "is lost"):
            self.state.step(end=end)

    @invariant()
    def it_is_open_while_the_server_holds_it(self) -> None:
        assert self.state.is_open is (bool(self.answered) and not self.over)
        assert self.state.last == (self.answered[-1] if self.answered else None)


TestSequences = Sequences.TestCase


def test_a_sequence_that_is_over_says_of_which_model() -> None:
    state = SequenceState[int](7, "sum", 2)
    with state.taking(1, end=True):
        pass
    with pytest.raises(PlansmithClientError, match="sequence 7 has ended") as caught:
        state.step(end=False)
    assert (caught.value.model, caught.value.version) == ("sum", 2)


def test_an_id_may_be_one_of_numpy_s_integers() -> None:
    id_: Any = np.int64(7)
    assert type(SequenceState[int](id_).id) is int


@pytest.mark.parametrize("id_", [1.5, b"x", None])
def test_an_id_that_is_neither_number_nor_text_is_refused(id_: Any) -> None:
    with pytest.raises(InvalidInput, match=r"id is .*, no whole number and no text"):
        SequenceState[int](id_)
