"""Calls to answers: batches by shape, the sequences' own states, each call its own error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plansmith_backend.batches import Arrays, Runner, answer_each
from plansmith_backend.config import ServedConfig
from plansmith_backend.sequences import SequenceId, SequenceStates, StateLost


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request. `given`: the states that Triton brought with it, by name of input."""

    feed: Arrays
    sequence: SequenceId | None = None
    starts: bool = False
    ends: bool = False
    given: Arrays = field(default_factory=Arrays)


class Calls:
    """Answers the calls of one model instance."""

    def __init__(self, config: ServedConfig) -> None:
        self._is_batched = config.is_batched
        self._states: SequenceStates | None = None
        if config.states:
            self._states = SequenceStates(
                config.states,
                is_batched=config.is_batched,
                max_idle_s=config.max_sequence_idle_us / 1e6,
            )

    def answer(self, calls: Sequence[Call], runner: Runner) -> list[Arrays | Exception]:
        """For each call its outputs, or why there are none, in order."""
        if self._states is None:
            feeds = [call.feed for call in calls]
            return answer_each(feeds, runner, is_batched=self._is_batched)
        return self._answer_with_states(calls, runner, self._states)

    def _answer_with_states(
        self, calls: Sequence[Call], runner: Runner, states: SequenceStates
    ) -> list[Arrays | Exception]:
        answers: list[Arrays | Exception] = [{} for _ in calls]
        feeds: dict[int, Arrays] = {}
        for place, call in enumerate(calls):
            try:
                entered = states.enter(call.sequence, starts=call.starts, given=call.given)
                feeds[place] = call.feed | entered
            except StateLost as error:
                answers[place] = error
        if feeds:
            found = answer_each(list(feeds.values()), runner, is_batched=self._is_batched)
            answers = _placed(answers, feeds, found)
        for place, call in enumerate(calls):
            answer = answers[place]
            if place in feeds and not isinstance(answer, Exception):
                states.keep(call.sequence, answer)
            if call.ends:
                states.leave(call.sequence)
        return answers


def _placed(
    answers: Sequence[Arrays | Exception],
    feeds: dict[int, Arrays],
    found: Sequence[Arrays | Exception],
) -> list[Arrays | Exception]:
    placed = list(answers)
    for place, answer in zip(feeds, found, strict=True):
        placed[place] = answer
    return placed
