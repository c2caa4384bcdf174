"""What a build makes of versions that are held back: it does not serve them by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.cache import Cache
from plansmith.integrity.version import Demand
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import Built, build, built
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder
from plansmith.versions import promotion

pytestmark = pytest.mark.usefixtures("quick_builds")
Run = Callable[..., Built]


def roll_back(folder: Path, version: int) -> None:
    place = ModelFolder(path=folder)
    texts = promotion.check(place, version, Demand())
    promotion.promote(place, version, texts, None, kind="rolled back")


def current(folder: Path) -> int | None:
    return ModelFolder(path=folder).current


def test_a_build_without_changes_does_not_undo_a_rollback(
    model_folder: Path, run: Run, edit: Callable[[str, str], None]
) -> None:
    run()
    edit("p99_ms = 100", "p99_ms = 50")
    assert built(run()).version == 2
    roll_back(model_folder, 1)
    again = run()
    assert (again.changed, again.current) == (False, ("cpu",))
    assert current(model_folder) == 1
    edit("p99_ms = 50", "p99_ms = 40")
    assert built(run()).version == 3
    assert current(model_folder) == 3


def test_a_staged_build_is_complete_and_served_when_it_is_published(
    model_folder: Path, run: Run, warm: Cache, edit: Callable[[str, str], None]
) -> None:
    run()
    edit("p99_ms = 100", "p99_ms = 50")
    job = prepare(model_folder, None, Plan(rounds=1, seconds=0.01))
    staged = build(job, warm, PlainProgress(), stage=True)
    assert (built(staged).version, staged.staged) == (2, True)
    assert current(model_folder) == 1
    assert not run().changed
    assert current(model_folder) == 1
    assert promotion.newest(ModelFolder(path=model_folder)) == 2


def test_the_files_of_a_version_that_was_rolled_back_from_are_not_taken_along(
    two_targets: Path, run: Run, edit: Callable[[str, str], None]
) -> None:
    run()
    edit("p99_ms = 100", "p99_ms = 50")
    run()
    roll_back(two_targets, 1)
    third = built(run(target="tensorrt-rtx", force=True))
    assert third.targets == ("tensorrt-rtx",)
    assert ModelFolder(path=two_targets).served()["configs/cpu.pbtxt"] == (1,)
