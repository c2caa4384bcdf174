"""One realistic report for the tests of the page and of its JSON, unit and browser alike."""

from __future__ import annotations

import pytest

import sample_answers
import sample_manifest
from plansmith.findings import Report, ServedCheck
from plansmith.load_result import Arrivals
from sample_answers import prediction_of
from sample_load import load_of

CATS = ("tabby, tabby cat", "tiger cat", "Egyptian cat", "lynx, catamount", "doormat, welcome mat")
CUPS = ("espresso", "cup", "coffee mug", "eggnog", "consomme")
ROCKETS = ("missile", "projectile, missile", "space shuttle", "obelisk", "lighthouse, beacon light")


@pytest.fixture(scope="session")
def sample_report() -> Report:
    """efficientnet_lite0 version 3, served and loaded on the CPU, with nothing left unmeasured.

    It was built for TensorRT-RTX too, on a machine without a GPU: there nothing was timed.
    """
    return Report(
        manifest=sample_manifest.efficientnet(),
        target="cpu",
        loads=(
            load_of(Arrivals(kind="closed", concurrency=16, rate_per_s=None), 31.0, 0.17, failed=0),
            load_of(Arrivals(kind="open", concurrency=None, rate_per_s=200.0), 7.5, 0.5, failed=1),
        ),
        predictions=(
            prediction_of("chelsea", CATS, (281, "tabby, tabby cat")),
            prediction_of("coffee", CUPS, (281, "espresso")),
            prediction_of("rocket", ROCKETS, (282, "projectile, missile")),
        ),
        served_check=ServedCheck(
            count=300,
            batch_sizes=(1, 4, 8),
            max_abs_deviation=0.0021,
            tolerance=0.05,
            passed=True,
            top1_agreement=298 / 300,
        ),
        models=sample_answers.served_models(),
        showcase=sample_answers.showcase(),
        created_utc="2026-11-24 09:41 UTC",
        server="Triton 2.51.0, embedded (development)",
    )
