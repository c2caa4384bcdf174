"""The client's reference is what its docstrings say, and they say something of everything."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import plansmith_client
from plansmith_client import management

SCRIPT = Path(__file__).parents[2] / "docs" / "reference.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_current(script: ModuleType) -> None:
    assert script.REFERENCE.read_text() == script.reference(), "run python docs/reference.py"


def test_it_has_every_public_name_and_method(script: ModuleType) -> None:
    headings = set(script.REFERENCE.read_text().splitlines())
    for module in (plansmith_client, management):
        for name in module.__all__:
            assert name.startswith("Async") or f"## {name}" in headings
    wanted = ("Client.model", "Model", "Model.stream", "ModelSequence.stream", "Client.index")
    assert {f"### {name}" for name in wanted} <= headings


@pytest.mark.parametrize(
    "member",
    [getattr(module, name) for module in (plansmith_client, management) for name in module.__all__],
)
def test_everything_public_says_what_it_is(member: type) -> None:
    # Without a docstring a dataclass has one made of its fields.
    assert member.__doc__
    assert not member.__doc__.startswith(f"{member.__name__}(")
