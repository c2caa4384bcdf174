"""What Triton takes for a version, and which config it reads of a model for a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from plansmith.repository import config_for, version_folders


def test_versions_are_folders_with_a_number_in_its_order(tmp_path: Path) -> None:
    for name in ("10", "9", "02", "0", "v3", "configs", ".unfinished-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").touch()
    assert [one.name for one in version_folders(tmp_path)] == ["9", "10"]


@pytest.mark.parametrize(
    ("there", "read"),
    [
        (("config.pbtxt", "configs/cpu.pbtxt"), "configs/cpu.pbtxt"),
        (("config.pbtxt", "configs/tensorrt.pbtxt"), "config.pbtxt"),
        (("configs/tensorrt.pbtxt",), None),
    ],
)
def test_a_target_without_a_config_of_its_own_has_the_models(
    there: tuple[str, ...], read: str | None, tmp_path: Path
) -> None:
    (tmp_path / "configs").mkdir()
    for name in there:
        (tmp_path / name).touch()
    assert config_for(tmp_path, "cpu") == read
