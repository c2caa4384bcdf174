"""The command line: what a missing package or module is answered with."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from plansmith.cli import main
from plansmith.extras import EXTRAS

PYPROJECT = Path(__file__).parents[3] / "build" / "pyproject.toml"


def test_every_extra_it_names_is_one_of_the_package() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])


def test_a_missing_module_is_one_line_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "plansmith_client", None)
    assert main(["infer", "m", "photo.jpg"]) == 3
    assert capsys.readouterr().err == (
        'plansmith infer: no module plansmith_client: pip install "plansmith[client]"\n'
    )
