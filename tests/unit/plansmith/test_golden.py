"""The check of served answers: it fails for answers that are off, and for those that are none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from plansmith.compare import Fidelity
from plansmith.findings import ServedCheck
from plansmith.golden import MAX_SAMPLES, check_served, tolerance
from plansmith.manifest import FileDigest, Manifest
from plansmith.stages.products import Golden

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


Check = Callable[[float], tuple[ServedCheck, Served]]


@pytest.fixture
def checked(
    golden_of: Callable[..., Golden],
    manifest_of: Callable[[int, tuple[FileDigest, ...]], Manifest],
) -> Check:
    """The check of answers that are off by so much in one value."""
    answers = np.random.default_rng(0).normal(size=(MAX_SAMPLES + 5, CLASSES)).astype(np.float32)
    golden = golden_of({"image": np.arange(len(answers))}, answers)

    def check(error: float) -> tuple[ServedCheck, Served]:
        served = Served(answers, error)
        client: Any = served
        return check_served(client, manifest_of(1, ()), "cpu", golden, Silent()), served

    return check


def test_the_references_own_answers_pass_at_every_batch_size(checked: Check) -> None:
    found, served = checked(0.0)
    assert (found.passed, found.count, found.max_abs_deviation) == (True, MAX_SAMPLES, 0.0)
    assert found.top1_agreement == 1.0
    assert {1, 3, 8} <= served.sizes


@pytest.mark.parametrize("error", [5.0, -5.0, np.inf, np.nan])
def test_one_wrong_value_in_one_row_fails_the_check(checked: Check, error: float) -> None:
    found, _ = checked(error)
    assert not found.passed


def test_answers_may_be_as_far_off_as_the_chosen_variants_were(
    fidelity_of: Callable[..., Fidelity],
) -> None:
    far = fidelity_of(max_abs_deviation=0.25)
    assert tolerance(far) == 0.5
    # FP32, and a variant that was not compared: only the order of sums may differ.
    assert tolerance(fidelity_of(max_abs_deviation=1e-6)) == tolerance(None) == 1e-3


def test_another_best_class_in_one_row_shows_as_agreement(checked: Check) -> None:
    found, _ = checked(5.0)
    # Row 7 is asked for alone and in a batch.
    assert found.top1_agreement == 1 - 2 / (2 * MAX_SAMPLES)
