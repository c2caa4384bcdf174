"""A complete version whose configs are gone: it is served as it was published, on any machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith import machine
from plansmith.pipeline import Built
from plansmith.verify import verify

Build = Callable[..., Built]


def lose_configs(folder: Path) -> None:
    (folder / "config.pbtxt").unlink()
    shutil.rmtree(folder / "configs")


def test_its_configs_are_those_that_it_keeps_where_this_machine_has_more_cores(
    repository: Path, build_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_model("double")
    before = (repository / "double" / "config.pbtxt").read_text()
    lose_configs(repository / "double")
    here = machine.describe()
    monkeypatch.setattr(machine, "describe", lambda: replace(here, cores=here.cores + 7))
    assert build_model("double").targets == ("cpu",)
    assert (repository / "double" / "config.pbtxt").read_text() == before
    assert verify([repository / "double"]).is_fine


def test_its_warm_up_files_come_back_with_them(repository: Path, build_model: Build) -> None:
    build_model("double")
    lose_configs(repository / "double")
    shutil.rmtree(repository / "double" / "warmup")
    build_model("double")
    assert verify([repository / "double"]).is_fine


def test_where_its_copies_are_gone_they_are_made_anew(repository: Path, build_model: Build) -> None:
    build_model("double")
    before = (repository / "double" / "config.pbtxt").read_text()
    lose_configs(repository / "double")
    shutil.rmtree(repository / "double" / "1" / "configs")
    assert build_model("double").targets == ("cpu",)
    assert (repository / "double" / "config.pbtxt").read_text() == before
