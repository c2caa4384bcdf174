"""Publishing: whole or not at all, whatever happens in between; nothing published ever changes."""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plansmith import warm_up
from plansmith.errors import PlansmithError
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import (
    CONFIG_FILE,
    ModelFolder,
    clear_unfinished,
    digest,
    publish,
    serve,
)
from plansmith.versions import events, keeping, promotion
from plansmith.versions.disk import replace_text

# All that publishing and clearing up ask of the operating system.
OPERATIONS: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("mkdir", "open", "fdopen", "sendfile", "write", "fsync", "chmod")),
    *((os, name) for name in ("rename", "replace", "unlink", "rmdir", "scandir", "listdir")),
    (io, "open"),
    (builtins, "open"),
)
ARTIFACTS = ("model.xml", "model.bin")


def warm_up_file(version: int) -> str:
    return f"warmup/{version:032x}.bin"


def config_of(version: int) -> str:
    """A config that serves `version`, warmed up with a file of its own."""
    return f"""\
name: "tiny"
version_policy {{ specific {{ versions: [ {version} ] }} }}
model_warmup {{
  batch_size: 1
  inputs {{
    key: "x"
    value {{ input_data_file: "{Path(warm_up_file(version)).name}" }}
  }}
}}
"""


def writing_configs(folder: Path) -> Callable[[Manifest], dict[str, str]]:
    """Gives the configs of a version, and writes on the way what it is to be warmed up with."""

    def configs(found: Manifest) -> dict[str, str]:
        warm_up.write_files(folder, {warm_up_file(found.version): b"a row"})
        text = config_of(found.version)
        return {"configs/cpu.pbtxt": text, CONFIG_FILE: text}

    return configs


def publish_next(folder: Path, **options: Any) -> Manifest:
    """Publishes one more version; its artifacts are those beside the folder."""
    place = ModelFolder(path=folder)

    def describe(version: int, files: tuple[FileDigest, ...]) -> Manifest:
        first = place.latest("cpu")
        assert first is not None
        built = replace(first.on("cpu"), artifacts=files)
        return replace(first, version=version, builds=(built,))

    artifacts = files_in(folder.parent / f"artifacts of {folder.name}")
    return publish(place, artifacts, describe, writing_configs(folder), **options)


def publish_and_thin(folder: Path) -> None:
    publish_next(folder, keep_versions=1)


def roll_back(folder: Path) -> None:
    """Serves version 1 again."""
    place = ModelFolder(path=folder)
    texts = place.kept_configs(1)
    promotion.promote(place, 1, texts, None, kind="rolled back")


CHANGES: dict[str, Callable[[Path], object]] = {
    "publish": publish_next,
    "publish and thin": publish_and_thin,
    "roll back": roll_back,
}


def files_in(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ARTIFACTS}


def served(folder: Path) -> int:
    (version,) = re.findall(r"versions: \[ (\d+) \]", (folder / CONFIG_FILE).read_text())
    return int(version)


def leftovers(folder: Path) -> list[Path]:
    return [*folder.rglob(".unfinished-*"), *folder.rglob(".removed-*")]


def warm_ups(folder: Path) -> set[str]:
    return {f"warmup/{path.name}" for path in (folder / "warmup").iterdir()}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def assert_complete(folder: Path, version: int) -> None:
    """The version's artifacts are those of its manifest, byte by byte."""
    place = folder / str(version)
    found = ModelFolder(path=folder).manifest(version)
    assert found.version == version
    assert files_below(place) == {"manifest.json", *(file.path for file in found.files)}
    assert {"configs/cpu.pbtxt", "configs/config.pbtxt", *ARTIFACTS} <= files_below(place)
    for file in found.files:
        assert digest(place / file.path, file.path) == file


@pytest.fixture
def published(tmp_path: Path, manifest_of: Callable[..., Manifest]) -> Path:
    """A model's folder with version 1, and beside it the artifacts of the next."""
    artifacts = tmp_path / "artifacts of tiny"
    artifacts.mkdir()
    for name in ARTIFACTS:
        (artifacts / name).write_text(f"{name} of version 1\n")
    (tmp_path / "tiny").mkdir()
    place = ModelFolder(path=tmp_path / "tiny")
    publish(place, files_in(artifacts), manifest_of, writing_configs(place.path))
    (artifacts / "model.bin").write_text("model.bin of a later version\n")
    return tmp_path / "tiny"


@contextmanager
def failing_at(step: int, fail: Callable[[object], None]) -> Generator[list[str], None, None]:
    """Operation number `step` calls `fail` instead of being done; yields the names of all."""
    seen: list[str] = []

    def counted(name: str, operation: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            seen.append(name)
            if len(seen) == step + 1:
                fail(args[0])
            return operation(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in OPERATIONS:
            patch.setattr(module, name, counted(name, getattr(module, name)))
        yield seen


def raising(error: type[BaseException], code: int | None) -> Callable[[object], None]:
    def fail(subject: object) -> None:
        raise error() if code is None else OSError(code, os.strerror(code), str(subject))

    return fail


def copies(published: Path, step: int) -> Path:
    """A copy of the folder, and of the artifacts beside it, for one step."""
    copy = published.with_name(f"tiny at {step}")
    shutil.copytree(published, copy)
    shutil.copytree(
        published.with_name("artifacts of tiny"), copy.with_name(f"artifacts of {copy.name}")
    )
    return copy


def assert_as_if_nothing_had_happened(folder: Path, original: Path, step: str) -> None:
    """What was served is untouched, what is served is whole, and the next build goes through."""
    before, versions = served(original), ModelFolder(path=folder).versions()
    assert served(folder) in versions, step
    if before in versions or served(folder) == before:
        assert contents(folder / str(before)) == contents(original / str(before)), step
    for version in versions:
        assert_complete(folder, version)
        assert warm_up_file(version) in warm_ups(folder), step
    new = publish_next(folder).version
    assert served(folder) == new, step
    assert_complete(folder, new)
    assert leftovers(folder) == [], step
    there = ModelFolder(path=folder).versions()
    assert warm_ups(folder) == {warm_up_file(version) for version in there}, step
    assert events.read(folder)[-1].version == new, step


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


@pytest.fixture
def twice(published: Path) -> Path:
    """The same with version 2, which is served."""
    publish_next(published)
    return published


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ("publish", KeyboardInterrupt, None),
        ("publish", OSError, errno.EROFS),
        ("publish and thin", OSError, errno.ENOSPC),
        ("roll back", KeyboardInterrupt, None),
        ("roll back", OSError, errno.ENOSPC),
    ],
)
def test_what_fails_at_any_step_leaves_the_version_before(
    twice: Path, change: str, error: type[BaseException], code: int | None
) -> None:
    for step in itertools.count():
        folder = copies(twice, step)
        with (
            failing_at(step, raising(error, code)) as seen,
            suppress(PlansmithError, KeyboardInterrupt),
        ):
            CHANGES[change](folder)
        assert_as_if_nothing_had_happened(folder, twice, f"step {step}: {seen[step:][:1]}")
        if len(seen) <= step:
            break
    assert {"replace", "fsync", "write"} <= set(seen)


def test_a_rollback_that_cannot_write_leaves_every_config_as_it_was(
    twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(twice)
    replace_file, done = os.replace, list[object]()

    def once(*args: Any) -> None:
        # The second config of two: the first is in place already.
        done.append(args)
        if len(done) == 2:
            raising(OSError, errno.EROFS)(args[1])
        replace_file(*args)

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(PlansmithError, match="Read-only file system; what was served before stays"):
        roll_back(twice)
    assert contents(twice) == before


@pytest.mark.parametrize("name", ["sendfile", "rename", "mkdir"])
def test_before_the_configs_are_replaced_the_version_before_is_served(
    published: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, name, lambda *_, **__: raising(OSError, errno.ENOSPC)("a file"))
    with pytest.raises(PlansmithError, match="No space left on device; nothing was published"):
        publish_next(published)
    monkeypatch.undo()
    assert served(published) == 1
    assert ModelFolder(path=published).versions() == (1,)


def die_at_every_step(published: str, change: str) -> None:
    """For a child process: changes copies, killed by SIGKILL one operation later each time."""
    for step in itertools.count():
        folder = copies(Path(published), step)
        if (child := os.fork()) == 0:
            with failing_at(step, lambda _: os.kill(os.getpid(), signal.SIGKILL)):
                CHANGES[change](folder)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            return


@pytest.mark.parametrize("change", ["publish and thin", "roll back"])
def test_a_process_killed_at_any_step_leaves_the_version_before(twice: Path, change: str) -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['die_at_every_step'](*sys.argv[2:])"
    subprocess.run([sys.executable, "-c", code, __file__, str(twice), change], check=True)
    folders = sorted(twice.parent.glob("tiny at *"))
    assert len(folders) > 10
    assert any(leftovers(folder) for folder in folders), "a kill leaves what was not finished"
    for folder in folders:
        assert_as_if_nothing_had_happened(folder, twice, folder.name)


def test_what_looks_at_a_version_before_it_is_served_finds_it_complete(published: Path) -> None:
    seen: list[int] = []

    def look(found: Manifest) -> None:
        assert_complete(published, found.version)
        assert served(published) == 1
        seen.append(found.version)

    publish_next(published, admit=look)
    assert (seen, served(published)) == ([2], 2)


@pytest.mark.parametrize("error", [PlansmithError("off by 3"), KeyboardInterrupt()])
def test_a_version_that_is_not_admitted_is_gone_and_the_error_goes_on(
    published: Path, error: BaseException
) -> None:
    before = contents(published)

    def refuse(_: Manifest) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        publish_next(published, admit=refuse)
    assert caught.value is error
    after = contents(published)
    after.pop(events.FILE_NAME)
    before.pop(events.FILE_NAME)
    assert after == before
    assert leftovers(published) == []
    assert publish_next(published).version == 2


def test_a_version_whose_build_was_killed_while_it_was_looked_at_is_removed(
    published: Path,
) -> None:
    if (child := os.fork()) == 0:
        publish_next(published, admit=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(child, 0)
    place = ModelFolder(path=published)
    assert (place.versions(), served(published)) == ((1, 2), 1)
    assert events.held(events.read(published)) == {2}
    clear_unfinished(place)
    assert place.versions() == (1,)


def test_a_staged_version_is_complete_and_no_config_names_it(published: Path) -> None:
    publish_next(published, stage=True)
    assert_complete(published, 2)
    assert served(published) == 1
    assert events.held(events.read(published)) == {2}


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


def test_a_text_is_replaced_at_once_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "configs" / "cpu.pbtxt"
    replace_text(path, "old")
    monkeypatch.setattr(os, "fsync", raising(OSError, errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


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
