"""Requests sent to two models at once, in turns: what became of each of them.

The order is drawn, so that neither model always comes first; the same seed gives the same order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from plansmith.errors import UnusableInput
from plansmith.versions.comparison import Outcome
from plansmith.versions.requests import Replay, Sameness, Tensors

if TYPE_CHECKING:
    from plansmith_client import Model

SentT = TypeVar("SentT")
# One row in, its answer out; raises the client's errors.
Ask = Callable[[Tensors], Tensors]
WARM_UP_ROUNDS = 2
_AT_A_TIME = 10_000


@dataclass(frozen=True, kw_only=True)
class Pace:
    """`count` requests, at least 2, `concurrency` of them under way at a time."""

    count: int
    concurrency: int
    seed: int = 0


def asking(model: Model) -> Ask:
    """Sends a row to `model` as a batch of one, if it batches."""
    batches = bool(model.metadata().max_batch_size)

    def ask(row: Tensors) -> Tensors:
        if not batches:
            return model.infer(row)
        answer = model.infer({name: array[None] for name, array in row.items()})
        return {name: array[0] for name, array in answer.items()}

    return ask


def warm_up(replay: Replay, asks: tuple[Ask, ...], pace: Pace) -> None:
    """A few requests to each whose outcome does not count: the first ones are slow."""
    rows = [
        replay.rows[at] for at in islice(_rows(replay, pace), WARM_UP_ROUNDS * pace.concurrency)
    ]
    with ThreadPoolExecutor(pace.concurrency) as pool:
        for ask in asks:
            list(pool.map(partial(_send, ask), rows))


def stored_answers(replay: Replay, served: Ask) -> tuple[Tensors, ...]:
    """Those of `replay`, or what the served version answers to each row now.

    Raises UnusableInput for a row that it does not answer.
    """
    if replay.answers is not None:
        return replay.answers
    answers: list[Tensors] = []
    for place, row in enumerate(replay.rows):
        _, answer, error = _send(served, row)
        if answer is None:
            raise UnusableInput(f"the served version does not answer row {place}: {error}")
        answers.append(answer)
    return tuple(answers)


def send_to_both(
    replay: Replay, served: Ask, candidate: Ask, pace: Pace, sameness: Sameness
) -> list[tuple[Outcome, Outcome]]:
    """(served, candidate) of every request; answers are compared with one another."""
    first = np.random.default_rng(pace.seed).random(pace.count) < 0.5

    def send(row: int, served_first: bool) -> tuple[Outcome, Outcome]:
        if served_first:
            old, new = _send(served, replay.rows[row]), _send(candidate, replay.rows[row])
        else:
            new, old = _send(candidate, replay.rows[row]), _send(served, replay.rows[row])
        return _outcome(row, old, None, sameness), _outcome(row, new, old[1], sameness)

    return list(_each(send, zip(_rows(replay, pace), map(bool, first), strict=True), pace))


def split(
    replay: Replay,
    answers: tuple[Tensors, ...],
    served: Ask,
    candidate: Ask,
    share: float,
    pace: Pace,
    sameness: Sameness,
) -> tuple[list[Outcome], list[Outcome]]:
    """Each request to one of the two, `share` of them to the candidate: (served, candidate).

    The candidate's answers are compared with `answers`, by row.
    """
    # Exactly that many, spread by chance: with few requests a coin would often give it none.
    wanted = pace.count if share == 1 else min(pace.count - 1, max(1, round(share * pace.count)))
    chosen = np.random.default_rng(pace.seed).permutation(pace.count) < wanted

    def send(row: int, to_candidate: bool) -> Outcome:
        if to_candidate:
            return _outcome(row, _send(candidate, replay.rows[row]), answers[row], sameness)
        return _outcome(row, _send(served, replay.rows[row]), None, sameness)

    outcomes = list(_each(send, zip(_rows(replay, pace), map(bool, chosen), strict=True), pace))
    taken = list(zip(outcomes, chosen, strict=True))
    return [one for one, to in taken if not to], [one for one, to in taken if to]


_Sent = tuple[float, Tensors | None, str]


def _each(
    send: Callable[[int, bool], SentT], requests: Iterable[tuple[int, bool]], pace: Pace
) -> Iterator[SentT]:
    """What `send` gives for each of `requests`, in order.

    A pool begins by making a future of everything that it is given: it gets some at a time.
    """
    left = iter(requests)
    with ThreadPoolExecutor(pace.concurrency) as pool:
        while some := list(islice(left, _AT_A_TIME)):
            yield from pool.map(send, *zip(*some, strict=True))


def _rows(replay: Replay, pace: Pace) -> Iterator[int]:
    """Rows in a drawn order, again and again, `count` in all."""
    order = np.random.default_rng(pace.seed + 1).permutation(len(replay.rows))
    return (int(order[at % len(order)]) for at in range(pace.count))


def _send(ask: Ask, row: Tensors) -> _Sent:
    """Milliseconds, the answer or None, and what kept it from coming."""
    from plansmith_client import PlansmithClientError

    start = time.perf_counter()
    try:
        answer, error = ask(row), ""
    except PlansmithClientError as raised:
        answer, error = None, f"{type(raised).__name__}: {' '.join(str(raised).split())}"
    return (time.perf_counter() - start) * 1000, answer, error


def _outcome(row: int, sent: _Sent, expected: Tensors | None, sameness: Sameness) -> Outcome:
    latency_ms, answer, error = sent
    if answer is None or expected is None:
        return Outcome(row=row, latency_ms=latency_ms, error=error)
    deviation, differs = sameness.compare(answer, expected)
    return Outcome(row=row, latency_ms=latency_ms, deviation=deviation, differs=differs)
