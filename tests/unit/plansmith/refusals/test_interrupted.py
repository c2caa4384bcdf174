"""Builds that are stopped, or run beside another one: nothing is lost, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import build, stage_keys
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder
from plansmith.stages import source, targets

RTX = "tensorrt-rtx"
PLAN = Plan(rounds=1, seconds=0.01)
DEADLINE_S = 120
# Where the function is that makes a stage's product, and which of its arguments is the folder.
MAKERS = {
    "data": (source, "make_data", 1),
    "export": (source, "make_export", 1),
    "clean": (source, "make_clean", 1),
    "reference": (source, "make_reference", 4),
    "calibration": (source, "make_calibration", 2),
    "prune": (targets, "make_pruned", 2),
    f"{RTX}: quantize": (targets, "make_quantized", 4),
    f"{RTX}: compile": (targets, "make_compiled", 6),
    f"{RTX}: measure": (targets, "make_trials", 5),
}
# Data that waits, in a process of its own, until the test, or the other model's build, lets it go.
WAITING = """\
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def evaluation():
    (HERE / "begun").touch()
    end = time.monotonic() + 120
    while not (HERE / "go").exists():
        assert time.monotonic() < end, "nobody let it go"
        time.sleep(0.01)
    return np.load(HERE / "evaluation.npy")
"""
BUILD = """\
import sys
from pathlib import Path

from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import build, built
from plansmith.progress import PlainProgress

try:
    job = prepare(Path(sys.argv[1]), None, Plan(rounds=1, seconds=0.01))
    built(build(job, Cache(root=Path(sys.argv[2])), PlainProgress()))
except PlansmithError as error:
    sys.exit(f"refused: {error}")
"""


def hidden(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob(".*")]


def await_file(path: Path) -> None:
    end = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def start(folder: Path, cache: Cache) -> subprocess.Popen[str]:
    """A build in a process of its own, as another user of the machine would start it."""
    command = [sys.executable, "-c", BUILD, str(folder), str(cache.root)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the last line of stderr."""
    try:
        _, told = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    return process.returncode, told.splitlines()[-1]


@pytest.fixture
def waiting(
    digits_folder: Callable[..., Path], of_hard_models: Callable[[str], Any]
) -> Callable[[str], Path]:
    """The folder of a model whose evaluation data waits for a file "go" beside it."""

    def write(name: str) -> Path:
        folder = digits_folder(name, "cpu", model=of_hard_models("plain"), more_data="")
        (folder / "source.py").write_text(WAITING)
        recipe = (folder / "recipe.toml").read_text()
        text = recipe.replace('"evaluation.npy"', '"source.py:evaluation"')
        (folder / "recipe.toml").write_text(text)
        return folder

    return write


def test_a_build_that_is_interrupted_in_every_stage_goes_on_where_it_was(
    digits_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = digits_folder(
        "stopped",
        RTX,
        model=None,
        more_data='calibration = "calibration.npy"\ntraining = "source.py:training"',
        more="[prune]\nepochs = 1",
    )
    cache = Cache(root=tmp_path / "cache")
    begun: Counter[str] = Counter()

    def interrupted_at_first(stage: str) -> Callable[..., None]:
        module, name, place = MAKERS[stage]
        make = getattr(module, name)

        def wrapped(*args: Any) -> None:
            begun[stage] += 1
            if begun[stage] == 1:
                (args[place] / "half").write_bytes(b"of a product")
                raise KeyboardInterrupt
            make(*args)

        return wrapped

    for stage, (module, name, _) in MAKERS.items():
        monkeypatch.setattr(module, name, interrupted_at_first(stage))
    job = prepare(folder, None, PLAN)
    assert {key.stage for key in stage_keys(job)} == set(MAKERS)
    for _ in MAKERS:
        with pytest.raises(KeyboardInterrupt):
            build(job, cache, PlainProgress())
        assert ModelFolder(path=folder).versions() == ()
        assert hidden(folder, cache.root) == []
    built = build(job, cache, PlainProgress())
    assert (built.failures, built.manifest and built.manifest.version) == ({}, 1)
    # Each was begun once in vain and once for good: the cache gave it to all builds after that.
    assert begun == dict.fromkeys(MAKERS, 2)
    assert list(cache.root.rglob("half")) == []


def test_of_two_builds_of_one_model_the_second_is_refused_and_the_first_goes_on(
    waiting: Callable[[str], Path], cache: Cache
) -> None:
    folder = waiting("alone")
    first = start(folder, cache)
    await_file(folder / "begun")
    with pytest.raises(PlansmithError, match="another build of this model is running; wait for it"):
        build(prepare(folder, None, PLAN), cache, PlainProgress())
    (folder / "go").touch()
    assert end_of(first)[0] == 0
    assert ModelFolder(path=folder).versions() == (1,)
    assert hidden(folder, cache.root) == []


def test_builds_of_two_models_may_make_one_product_at_the_same_time(
    waiting: Callable[[str], Path], tmp_path: Path
) -> None:
    cache = Cache(root=tmp_path / "cache")
    folders = [waiting("one"), waiting("other")]
    keys = {prepare(folder, None, PLAN).shared.data.key for folder in folders}
    assert len(keys) == 1
    builds = [start(folder, cache) for folder in folders]
    for folder in folders:
        await_file(folder / "begun")
    assert len(hidden(cache.root)) == 2
    for folder in folders:
        (folder / "go").touch()
    ends = [end_of(one) for one in builds]
    assert [code for code, _ in ends] == [0, 0]
    for folder in folders:
        assert ModelFolder(path=folder).versions() == (1,)
        assert hidden(folder, cache.root) == []


def test_what_a_killed_build_left_in_the_cache_is_removed_by_the_next(
    waiting: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, cache = waiting("killed"), Cache(root=tmp_path / "cache")
    killed = start(folder, cache)
    await_file(folder / "begun")
    killed.kill()
    killed.communicate(timeout=DEADLINE_S)
    assert len(hidden(cache.root)) == 1
    (folder / "go").touch()
    built = build(prepare(folder, None, PLAN), cache, PlainProgress())
    assert (built.failures, built.manifest and built.manifest.version) == ({}, 1)
    assert hidden(folder, cache.root) == []
