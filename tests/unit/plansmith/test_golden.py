"""The check of served answers: it fails for answers that are off, and for those that are none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from plansmith.data.samples import Samples
from plansmith.findings import Report, ServedCheck
from plansmith.golden import MAX_SAMPLES, check_served
from plansmith.stages import Golden

CLASSES = 4


class Silent:
    """A step that tells nobody."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


class Served:
    """Stands for a client and its model: answers each row by its number, plus `error` in row 7."""

    def __init__(self, answers: np.ndarray, error: float) -> None:
        self.answers = answers.copy()
        self.answers[7, 2] += error
        self.sizes: set[int] = set()

    def model(self, _name: str) -> Served:
        return self

    def metadata(self) -> Any:
        return SimpleNamespace(max_batch_size=8)

    def infer(self, feed: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
        self.sizes.add(len(feed["image"]))
        return {outputs[0]: self.answers[feed["image"]]}


def checked(report: Report, error: float) -> tuple[ServedCheck, Served]:
    answers = np.random.default_rng(0).normal(size=(MAX_SAMPLES + 5, CLASSES)).astype(np.float32)
    golden = Golden(
        onnx_file=Path(),
        file=Path(),
        samples=Samples(arrays={"image": np.arange(len(answers))}, sha256=""),
        answers=answers,
        pictures={},
        picture_answers=answers[:0],
    )
    served = Served(answers, error)
    client: Any = served
    return check_served(client, report.manifest, golden, Silent()), served


def test_the_references_own_answers_pass_at_every_batch_size(sample_report: Report) -> None:
    found, served = checked(sample_report, 0.0)
    assert (found.passed, found.count, found.max_abs_deviation) == (True, MAX_SAMPLES, 0.0)
    assert {1, 3, 8} <= served.sizes


@pytest.mark.parametrize("error", [5.0, -5.0, np.inf, np.nan])
def test_one_wrong_value_in_one_row_fails_the_check(sample_report: Report, error: float) -> None:
    found, _ = checked(sample_report, error)
    assert not found.passed
