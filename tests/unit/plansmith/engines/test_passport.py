"""Passports: JSON both ways, and options that no builder takes cannot exist."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plansmith.engines.passport import BuildOptions, EnginePassport


def test_a_passport_survives_json(engine: tuple[Path, EnginePassport]) -> None:
    passport = engine[1]
    assert msgspec.json.decode(msgspec.json.encode(passport), type=EnginePassport) == passport


@pytest.mark.parametrize(
    "options", [{"optimisation_level": 6}, {"optimisation_level": -1}, {"workspace_bytes": 0}]
)
def test_options_that_no_builder_takes_cannot_exist(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"is not between|below 1"):
        BuildOptions(**options)
