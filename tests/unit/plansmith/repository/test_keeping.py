"""Old versions and warm-up files go once nothing needs them, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_versions import config_of, publish_next, warm_up_file, warm_ups
from plansmith.repository import ModelFolder, serve
from plansmith.versions import keeping


def test_the_newest_versions_stay_and_those_that_are_served(published: Path) -> None:
    place = ModelFolder(path=published)
    serve(place, {"configs/other.pbtxt": "version_policy { specific { versions: [ 1 ] } }"})
    for _ in range(4):
        publish_next(published, keep_versions=2)
    assert place.versions() == (1, 4, 5)
    publish_next(published, keep_versions=None)
    assert place.versions() == (1, 4, 5, 6)


def test_nothing_is_removed_where_a_config_may_serve_any_version(published: Path) -> None:
    serve(ModelFolder(path=published), {"configs/other.pbtxt": "version_policy { all { } }"})
    for _ in range(3):
        publish_next(published, keep_versions=1)
    assert ModelFolder(path=published).versions() == (1, 2, 3, 4)


def test_the_newest_version_of_each_target_stays(published: Path) -> None:
    publish_next(published)
    publish_next(published)
    for version in (2, 3):
        path = published / str(version) / "manifest.json"
        path.write_text(path.read_text().replace('"target": "cpu"', '"target": "tensorrt"'))
    assert keeping.unneeded(ModelFolder(path=published), 1) == (2,)


def test_warm_up_files_go_with_the_last_config_that_names_them(published: Path) -> None:
    serve(ModelFolder(path=published), {"configs/other.pbtxt": config_of(1)})
    for _ in range(4):
        publish_next(published, keep_versions=2)
    assert ModelFolder(path=published).versions() == (1, 4, 5)
    assert warm_ups(published) == {warm_up_file(1), warm_up_file(4), warm_up_file(5)}


def test_a_warm_up_file_that_a_served_config_names_stays(published: Path) -> None:
    # One that no version keeps a copy of: written by hand.
    text = config_of(2).replace(f"{2:032x}", f"{99:032x}")
    serve(ModelFolder(path=published), {"configs/other.pbtxt": text})
    (published / warm_up_file(99)).write_bytes(b"a row")
    publish_next(published)
    assert (published / warm_up_file(99)).is_file()


def test_warm_up_files_that_no_build_has_named_stay(published: Path) -> None:
    (published / "warmup" / "my own.bin").write_bytes(b"a row")
    publish_next(published)
    assert (published / "warmup" / "my own.bin").is_file()


@pytest.mark.parametrize("text", [b"name: {", b"\xff"])
def test_while_a_config_cannot_be_read_no_warm_up_file_goes(published: Path, text: bytes) -> None:
    (published / warm_up_file(99)).write_bytes(b"a row")
    (published / "configs" / "other.pbtxt").write_bytes(text)
    publish_next(published)
    assert (published / warm_up_file(99)).is_file()
    (published / "configs" / "other.pbtxt").unlink()
    publish_next(published)
    assert not (published / warm_up_file(99)).exists()
