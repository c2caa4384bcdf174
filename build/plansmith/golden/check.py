"""One served model against golden answers: each row alone, in mixed batches, step by step.

Nothing here knows whether the server is the embedded one: `model` is a client's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.findings import ServedCheck
from plansmith.golden.file import GoldenAnswers
from plansmith.progress import Step

if TYPE_CHECKING:
    from plansmith_client import Model, ModelMetadata

Answer = Mapping[str, NDArray[Any]]


def batch_sizes(max_batch_size: int) -> tuple[int, ...]:
    """The sizes to mix: the smallest, the largest, and an odd one that fits no fixed shape."""
    return tuple(sorted({1, max(1, max_batch_size), min(3, max(1, max_batch_size))}))


def check_model(
    model: Model, answers: GoldenAnswers, step: Step, *, max_deviation: float | None = None
) -> ServedCheck:
    """Every row of `answers` through the server, compared with what it is to be.

    A stateless model gets the rows one by one, then in batches of mixed sizes, in which rows of one
    shape go together. A model with `sequence` gets its sequences one after another, then in pairs
    whose steps take turns, each under an id of its own. A decoupled model is asked by stream.
    `max_deviation` stands in for that of `answers`. Raises the client's errors where the server
    does not answer.
    """
    metadata = model.metadata()
    allowed = answers.max_deviation if max_deviation is None else max_deviation
    judge = _Judge(answers, allowed)
    sizes = (1,)
    if answers.sequence is not None:
        rounds = _check_sequences(model, metadata, answers, judge)
    elif metadata.decoupled or answers.responses is not None:
        rounds = _check_streams(model, metadata, answers, judge)
    else:
        sizes = batch_sizes(metadata.max_batch_size or 0)
        rounds = _check_batches(model, metadata, answers, judge, sizes)
    for size in rounds:
        step.update(judge.compared, 2 * answers.count, f"batch {size}")
    return ServedCheck(
        count=answers.count,
        batch_sizes=sizes,
        max_abs_deviation=judge.worst,
        tolerance=allowed,
        passed=not judge.fault,
        top1_agreement=judge.agreement,
        fault=judge.fault,
    )


def _check_batches(
    model: Model,
    metadata: ModelMetadata,
    answers: GoldenAnswers,
    judge: _Judge,
    sizes: tuple[int, ...],
) -> Iterator[int]:
    """The size of each batch, after it was compared."""
    names = list(answers.outputs)
    rows = range(answers.count)
    alone = [[row] for row in rows]
    mixed = _pieces(answers, sizes) if len(sizes) > 1 else ()
    for piece in (*alone, *mixed):
        found = model.infer(_feed(metadata, answers, piece), names)
        for place, row in enumerate(piece):
            judge.compare(row, [_one(metadata, found, place)])
        yield len(piece)


def _check_streams(
    model: Model, metadata: ModelMetadata, answers: GoldenAnswers, judge: _Judge
) -> Iterator[int]:
    """One for each row, after what it streamed was compared."""
    names = list(answers.outputs)
    for row in range(answers.count):
        streamed = model.stream(_feed(metadata, answers, [row]), names)
        judge.compare(row, [_one(metadata, found, 0) for found in streamed])
        yield 1


def _check_sequences(
    model: Model, metadata: ModelMetadata, answers: GoldenAnswers, judge: _Judge
) -> Iterator[int]:
    """One for each step, after its answer was compared."""
    from plansmith_client import SequenceStep

    assert answers.sequence is not None
    names = list(answers.outputs)
    sequences = [
        np.flatnonzero(answers.sequence == one).tolist()
        for one in dict.fromkeys(answers.sequence.tolist())
    ]
    rounds = [[one] for one in sequences]
    if (metadata.max_batch_size or 0) > 1:
        # Fewer slots than that, and the second sequence would wait for the first to end.
        rounds += [sequences[at : at + 2] for at in range(0, len(sequences) - 1, 2)]
    for together in rounds:
        # Ids that the server's other callers will not have.
        ids = [secrets.randbits(62) + 1 for _ in together]
        for which, time in _in_turns([len(one) for one in together]):
            row, last = together[which][time], len(together[which]) - 1
            feed = _feed(metadata, answers, [row])
            at = SequenceStep(id=ids[which], start=time == 0, end=time == last)
            if metadata.decoupled:
                found = list(model.stream(feed, names, sequence=at))
            else:
                found = [model.infer(feed, names, sequence=at)]
            judge.compare(row, [_one(metadata, one, 0) for one in found])
            yield 1


def _in_turns(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """(which, step) of sequences of these lengths whose steps take turns."""
    for time in range(max(lengths)):
        yield from ((which, time) for which, length in enumerate(lengths) if time < length)


def _pieces(answers: GoldenAnswers, sizes: tuple[int, ...]) -> Iterator[list[int]]:
    """Batches of `sizes`, in turn, of all rows; only rows of the same shapes go together."""

    def shapes(row: int) -> tuple[tuple[int, ...], ...]:
        return tuple(column[row].shape for column in answers.inputs.values())

    turn = cycle(sizes)
    for _, alike in groupby(sorted(range(answers.count), key=shapes), key=shapes):
        rest = list(alike)
        while rest:
            size = next(turn)
            yield rest[:size]
            rest = rest[size:]


def _feed(
    metadata: ModelMetadata, answers: GoldenAnswers, rows: list[int]
) -> dict[str, NDArray[Any]]:
    if metadata.max_batch_size == 0:
        (row,) = rows
        return {name: column[row] for name, column in answers.inputs.items()}
    return {
        name: np.stack([column[row] for row in rows]) for name, column in answers.inputs.items()
    }


def _one(metadata: ModelMetadata, found: Answer, place: int) -> Answer:
    """What was answered to one row of a batch."""
    if metadata.max_batch_size == 0:
        return found
    return {name: array[place] for name, array in found.items()}


@dataclass
class _Judge:
    """What was seen so far: the worst deviation, the first fault, how often best classes agree."""

    answers: GoldenAnswers
    allowed: float
    worst: float = 0.0
    fault: str = ""
    compared: int = 0
    agreeing: int = 0

    @property
    def agreement(self) -> float | None:
        return self.agreeing / self.compared if self.answers.scores and self.compared else None

    def compare(self, row: int, found: list[Answer]) -> None:
        self.compared += 1
        place = self.answers.answers_to(row)
        expected = [
            {name: column[at] for name, column in self.answers.outputs.items()}
            for at in range(place.start, place.stop)
        ]
        if len(found) != len(expected):
            self._tell(row, f"{len(found)} answers instead of {len(expected)}")
            return
        scores = self.answers.scores
        agrees = bool(scores)
        for one, reference in zip(found, expected, strict=True):
            for name, answer in reference.items():
                self._compare_tensor(row, name, one[name], answer)
            if scores:
                agrees = agrees and one[scores].argmax() == reference[scores].argmax()
        self.agreeing += bool(agrees)

    def _compare_tensor(
        self, row: int, name: str, found: NDArray[Any], expected: NDArray[Any]
    ) -> None:
        if found.shape != expected.shape:
            self.worst = np.inf
            self._tell(row, f"{name} is {list(found.shape)} instead of {list(expected.shape)}")
            return
        if expected.dtype.kind in "bO" or found.dtype.kind in "bO":
            if not np.array_equal(found, expected):
                self._tell(row, f"{name} differs")
            return
        off = _deviation(found, expected)
        # Not max(): it would pass over a NaN, which must fail the check.
        self.worst = float(np.maximum(self.worst, off))
        if not off <= self.allowed:
            self._tell(row, f"{name} is off by {off:.3g}")

    def _tell(self, row: int, what: str) -> None:
        self.fault = self.fault or f"row {row}: {what}"


def _deviation(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference; equal infinities differ by nothing, NaN from everything by NaN."""
    differs = found != expected
    if not differs.any():
        return 0.0
    apart = np.abs(found[differs].astype(np.float64) - expected[differs].astype(np.float64))
    # Large integers that differ may be the same double.
    least = 1.0 if "f" not in (found.dtype.kind, expected.dtype.kind) else 0.0
    return float(np.maximum(apart.max(), least))
