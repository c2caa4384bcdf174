"""What is replayed: rows of recorded requests or golden answers, and when an answer differs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.golden.file import GoldenAnswers

Tensors: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Rows of a model that keeps no state: tensors by input name, without the batch axis.

    `answers` are those stored for each row, None where the served version has to be asked.
    """

    rows: tuple[Tensors, ...]
    answers: tuple[Tensors, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Sameness:
    """When two answers count as the same: of `scores` the best class, else every number.

    `scores` names an output of class scores; its best class is looked at alone. Without it numbers
    may be `max_deviation` apart, bytes and booleans not at all.
    """

    scores: str | None
    max_deviation: float

    def compare(self, found: Tensors, expected: Tensors) -> tuple[float, bool]:
        """How far apart the numbers are at most, and whether the answers differ.

        Only the outputs that `expected` has are looked at. NaN differs from everything.
        """
        worst, differs = 0.0, False
        for name, reference in expected.items():
            answer = found.get(name)
            if answer is None or answer.shape != reference.shape:
                return np.inf, True
            if answer.dtype.kind in "bO" or reference.dtype.kind in "bO":
                differs = differs or not np.array_equal(answer, reference)
                continue
            apart = np.abs(answer.astype(np.float64) - reference.astype(np.float64))
            # Not max(): it would pass over a NaN.
            off = float(apart.max(initial=0.0)) if not np.isnan(apart).any() else np.inf
            worst = max(worst, off)
            if self.scores is None:
                differs = differs or not off <= self.max_deviation
            elif name == self.scores:
                differs = differs or off == np.inf or answer.argmax() != reference.argmax()
        return worst, differs


def thinned(replay: Replay, count: int) -> Replay:
    """`count` rows of it, evenly spread, or all where it has no more."""
    total = len(replay.rows)
    if total <= count:
        return replay
    kept = [at * total // count for at in range(count)]
    answers = replay.answers
    return Replay(
        rows=tuple(replay.rows[at] for at in kept),
        answers=None if answers is None else tuple(answers[at] for at in kept),
    )


def from_golden(golden: GoldenAnswers, place: Path) -> Replay:
    """The rows and answers of a version's golden answers.

    Raises UnusableInput for those of a model that keeps state or answers in streams: steps of a
    sequence cannot be sent to two models in any order.
    """
    if golden.sequence is not None or golden.responses is not None:
        raise UnusableInput(
            f"{place}: is of a model that keeps state or streams; such a model cannot be compared "
            "by replay: publish it without --shadow and --canary, its golden answers are checked"
        )
    rows = range(golden.count)
    return Replay(
        rows=tuple({name: column[at] for name, column in golden.inputs.items()} for at in rows),
        answers=tuple({name: column[at] for name, column in golden.outputs.items()} for at in rows),
    )


def read_recorded(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Replay:
    """Rows from an .npz: an array for each input, and for each output or for none.

    The first axis is that of the rows. Raises UnusableInput, naming the array.
    """
    try:
        # Never unpickles: a data file must not be able to run code.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UnusableInput(f"{path}: not a readable .npz of requests: {error}") from error
    missing = [name for name in inputs if name not in arrays]
    if missing:
        raise UnusableInput(
            f"{path}: has no array for the input {missing[0]!r}; it has {', '.join(arrays) or '-'}"
        )
    stored = [name for name in outputs if name in arrays]
    counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in (*inputs, *stored)}
    if len(set(counts.values())) != 1 or not next(iter(counts.values())):
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UnusableInput(f"{path}: needs as many rows, and at least one, in each array: {told}")
    rows = range(next(iter(counts.values())))
    return Replay(
        rows=tuple({name: arrays[name][at] for name in inputs} for at in rows),
        answers=tuple({name: arrays[name][at] for name in stored} for at in rows)
        if stored
        else None,
    )
