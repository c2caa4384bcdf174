"""Publishing: a version is complete and served; nothing published ever changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_versions import assert_complete, contents, leftovers, publish_next, served
from plansmith.repository import CONFIG_FILE, ModelFolder, serve


def test_a_first_version_is_complete_and_served(published: Path) -> None:
    assert ModelFolder(path=published).versions() == (1,)
    assert_complete(published, 1)
    assert served(published) == 1
    assert leftovers(published) == []


def test_the_next_version_is_served_and_the_one_before_stays(published: Path) -> None:
    before = contents(published / "1")
    assert publish_next(published).version == 2
    assert served(published) == 2
    assert_complete(published, 2)
    assert contents(published / "1") == before


def test_a_server_of_another_user_can_read_all_of_it(published: Path) -> None:
    assert (published / "1").stat().st_mode & 0o777 == 0o755
    for path in [published / CONFIG_FILE, *(published / "1").rglob("*")]:
        assert path.stat().st_mode & 0o044 == 0o044


def test_folders_that_are_no_versions_are_not_counted(published: Path) -> None:
    (published / "7").mkdir()  # no manifest
    (published / "configs" / "8").mkdir()
    (published / "latest").mkdir()
    assert ModelFolder(path=published).versions() == (1,)
    assert ModelFolder(path=published / "never built").versions() == ()
    assert ModelFolder(path=published / "never built").latest() is None


def test_a_version_of_another_schema_counts_but_is_passed_over(published: Path) -> None:
    publish_next(published)
    newest = published / "2" / "manifest.json"
    newest.write_text(newest.read_text().replace('"schema": 2', '"schema": 1'))
    place = ModelFolder(path=published)
    latest = place.latest()
    assert latest is not None
    assert latest.version == 1
    assert place.versions() == (1, 2)
    assert publish_next(published).version == 3


def test_a_folder_of_another_schema_alone_has_no_latest_version(published: Path) -> None:
    only = published / "1" / "manifest.json"
    only.write_text('{"schema": 1, "model": "tiny"}')
    assert ModelFolder(path=published).latest() is None
    assert ModelFolder(path=published).latest("cpu") is None


def test_the_newest_version_of_a_target_is_the_last_that_has_it(published: Path) -> None:
    publish_next(published)
    newest = published / "2" / "manifest.json"
    newest.write_text(newest.read_text().replace('"target": "cpu"', '"target": "tensorrt"'))
    place = ModelFolder(path=published)
    found = [place.latest(target) for target in (None, "cpu", "tensorrt", "xla")]
    assert [one and one.version for one in found] == [2, 1, 2, None]


@pytest.mark.parametrize(
    ("text", "serves"),
    [
        ("version_policy { specific { versions: [ 12 ] } }", True),
        ("version_policy { specific { versions: 12 } }", True),
        ("version_policy { specific { versions: [ 11, 12 ] } }", True),
        ("version_policy { specific { versions: [ 1, 2, 112 ] } }", False),
        ("max_batch_size: 12", True),  # no policy: the server takes the latest
        (None, False),
    ],
)
def test_a_config_serves_the_versions_that_it_names(
    tmp_path: Path, text: str | None, serves: bool
) -> None:
    if text is not None:
        serve(ModelFolder(path=tmp_path), {CONFIG_FILE: text})
    assert ModelFolder(path=tmp_path).serves(12, CONFIG_FILE) == serves
