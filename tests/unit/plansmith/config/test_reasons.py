"""Comments carry the figures that a value was chosen for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from plansmith.config import reasons
from plansmith.manifest import Manifest, TargetBuild, Trial


@pytest.fixture
def build(manifest_of: Callable[..., Manifest], trial_of: Callable[..., Trial]) -> TargetBuild:
    found = manifest_of(1, ()).on("cpu")
    chosen = replace(trial_of("s2", 612.0, verdict="chosen"), reason="fastest: 2.6x the reference")
    others = (trial_of("s1", 420.0), trial_of("s1-b4", 431.4), trial_of("s1-gone", None))
    return replace(found, trials=(*others, chosen))


def test_the_chosen_variant_is_told_with_its_reason_and_its_machine(build: TargetBuild) -> None:
    assert reasons.why_chosen(build) == (
        "s2 was chosen: fastest: 2.6x the reference (a CPU, 2 cores, 2026-11-24)"
    )


def test_a_tuned_value_is_told_beside_the_fastest_otherwise(build: TargetBuild) -> None:
    assert reasons.against(build, "2 streams", {"s1", "s1-b4", "s1-gone"}) == (
        "2 streams: 612 samples/s; the fastest otherwise, s1-b4: 431 (a CPU, 2 cores, 2026-11-24)"
    )


@pytest.mark.parametrize("rivals", [set(), {"s1-gone"}, {"unknown"}])
def test_what_was_not_measured_is_not_told(build: TargetBuild, rivals: set[str]) -> None:
    assert reasons.against(build, "2 streams", rivals) is None
