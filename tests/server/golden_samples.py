"""Golden answers of small models, right and spoilt: an echo, words, sums of sequences, counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plansmith.golden import file
from plansmith.golden.file import GoldenAnswers, column


def keep(repository: Path, name: str, answers: GoldenAnswers) -> None:
    """As the golden answers of version 1 of the model `name`."""
    file.write(repository / name / "1" / file.FILE_NAME, answers)


def echoed(error: float = 0.0) -> GoldenAnswers:
    """x_out = x, but for the `error` in the middle of row 7."""
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    y = x.copy()
    y[7, 1] += error
    return GoldenAnswers(inputs={"x": column(x)}, outputs={"x_out": column(y)}, max_deviation=1e-3)


def ragged() -> GoldenAnswers:
    """Numbers and words, of one to three of each."""
    words = [[b"a"], [b"", b"\0x"], [b"b", "é".encode(), b"c"]] * 3
    rows = [np.array(row, object) for row in words]
    numbers = [np.arange(3, dtype=np.int64)] * len(rows)
    return GoldenAnswers(
        inputs={"words": tuple(rows), "numbers": tuple(numbers)},
        outputs={"words_out": tuple(rows), "numbers_out": tuple(numbers)},
        max_deviation=0.0,
    )


def summed() -> GoldenAnswers:
    """The sums so far of three sequences, one after the other."""
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    sequence = np.repeat([5, 7, 6], [3, 5, 4])
    sums = [x[sequence == one].cumsum(axis=0) for one in (5, 7, 6)]
    return GoldenAnswers(
        inputs={"x": column(x)},
        outputs={"sum": column(np.concatenate(sums))},
        sequence=sequence,
        max_deviation=0.0,
    )


def counted() -> GoldenAnswers:
    """3, 0 and 1 responses: how many are left."""
    counts = np.array([3, 0, 1])
    left = [np.array([3]), np.array([2]), np.array([1]), np.array([1])]
    return GoldenAnswers(
        inputs={"count": column(counts[:, None])},
        outputs={"left": tuple(left)},
        responses=counts,
        max_deviation=0.0,
    )


def spoilt(name: str) -> GoldenAnswers:
    """The answers to the model `name` with one that it does not give."""
    if name == "echo":
        return echoed(2.0)
    if name == "pair":
        right = ragged()
        words = list(right.outputs["words_out"])
        words[1] = np.array([b"", b"\0y"], object)
        outputs = {**right.outputs, "words_out": tuple(words)}
        return GoldenAnswers(inputs=right.inputs, outputs=outputs, max_deviation=0.0)
    if name == "sum":
        right = summed()
        sums = list(right.outputs["sum"])
        sums[4] = sums[4] + 1
        return GoldenAnswers(
            inputs=right.inputs,
            outputs={"sum": tuple(sums)},
            sequence=right.sequence,
            max_deviation=0.0,
        )
    right = counted()
    return GoldenAnswers(
        inputs=right.inputs,
        outputs={"left": right.outputs["left"][:3]},
        responses=np.array([2, 0, 1]),
        max_deviation=0.0,
    )
