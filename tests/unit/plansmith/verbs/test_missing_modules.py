"""What a verb lacks is told with the extra that brings it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from plansmith.cli import main
from plansmith.extras import BASE, EXTRAS

ROOT = Path(__file__).parents[4]
PROJECT = tomllib.loads((ROOT / "build" / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """Distributions that `requirements` name, as PyPI normalises them."""
    found = (re.match(r"[\w.-]+", one) for one in requirements)
    return {re.sub(r"[-_.]+", "-", one[0]).lower() for one in found if one}


def test_what_is_told_to_install_brings_the_module() -> None:
    extras, installed = PROJECT["optional-dependencies"], packages_distributions()
    for module in (*EXTRAS, *BASE):
        brought = names(extras[EXTRAS[module]] if module in EXTRAS else PROJECT["dependencies"])
        # Not installed everywhere: then its name is the distribution's.
        assert brought & names(installed.get(module, [module])), module


def test_a_missing_module_of_the_package_itself_names_no_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxslim'", name="onnxslim.core")

    monkeypatch.setattr("plansmith.verbs.verify.run", lacks)
    assert main(["verify"]) == 3
    assert capsys.readouterr().err == (
        "plansmith verify: no module onnxslim.core: pip install plansmith\n"
    )
