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

from plansmith.errors import PlansmithError
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import CONFIG_FILE, ModelFolder, digest, publish, replace_text, serve

# All that publishing and clearing up ask of the operating system.
OPERATIONS: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("mkdir", "open", "fdopen", "sendfile", "fsync", "chmod")),
    *((os, name) for name in ("rename", "replace", "unlink", "rmdir", "scandir", "listdir")),
    (io, "open"),
    (builtins, "open"),
)
ARTIFACTS = ("model.xml", "model.bin")


def configs_for(found: Manifest) -> dict[str, str]:
    text = f'name: "tiny"\nversion_policy {{ specific {{ versions: [ {found.version} ] }} }}\n'
    return {"configs/cpu.pbtxt": text, CONFIG_FILE: text}


def publish_next(folder: Path) -> Manifest:
    """Publishes one more version; its artifacts are those of version 1 with a line added."""
    first = ModelFolder(path=folder).manifest(1)

    def describe(version: int, files: tuple[FileDigest, ...]) -> Manifest:
        built = replace(first.on("cpu"), artifacts=files)
        return replace(first, version=version, builds=(built,))

    artifacts = files_in(folder.parent / f"artifacts of {folder.name}")
    return publish(ModelFolder(path=folder), artifacts, describe, configs_for)


def files_in(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ARTIFACTS}


def served(folder: Path) -> int:
    (version,) = re.findall(r"versions: \[ (\d+) \]", (folder / CONFIG_FILE).read_text())
    return int(version)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".unfinished-*"))


def assert_complete(folder: Path, version: int) -> None:
    """The version's artifacts are those of its manifest, byte by byte."""
    place = folder / str(version)
    found = ModelFolder(path=folder).manifest(version)
    assert found.version == version
    names = {path.name for path in place.iterdir()}
    artifacts = found.on("cpu").artifacts
    assert names == {"manifest.json", *(file.path for file in artifacts)}
    for file in artifacts:
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
    publish(place, files_in(artifacts), manifest_of, configs_for)
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
    """Version 1 is untouched, what is served is whole, and the next build goes through."""
    for path in (original / "1").iterdir():
        assert (folder / "1" / path.name).read_bytes() == path.read_bytes(), step
    assert served(folder) in (1, 2), step
    for version in ModelFolder(path=folder).versions():
        assert_complete(folder, version)
    new = publish_next(folder).version
    assert served(folder) == new, step
    assert_complete(folder, new)
    assert leftovers(folder) == [], step


def test_a_first_version_is_complete_and_served(published: Path) -> None:
    assert ModelFolder(path=published).versions() == (1,)
    assert_complete(published, 1)
    assert served(published) == 1
    assert leftovers(published) == []


def test_the_next_version_is_served_and_the_one_before_stays(published: Path) -> None:
    before = {path.name: path.read_bytes() for path in (published / "1").iterdir()}
    assert publish_next(published).version == 2
    assert served(published) == 2
    assert_complete(published, 2)
    assert {path.name: path.read_bytes() for path in (published / "1").iterdir()} == before


def test_a_server_of_another_user_can_read_all_of_it(published: Path) -> None:
    assert (published / "1").stat().st_mode & 0o777 == 0o755
    for path in [published / CONFIG_FILE, *(published / "1").iterdir()]:
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
    ("error", "code"),
    [(KeyboardInterrupt, None), (OSError, errno.ENOSPC), (OSError, errno.EACCES)],
    ids=["interrupted", "disk full", "not allowed"],
)
def test_what_fails_at_any_step_leaves_the_version_before(
    published: Path, error: type[BaseException], code: int | None
) -> None:
    for step in itertools.count():
        folder = copies(published, step)
        with (
            failing_at(step, raising(error, code)) as seen,
            suppress(PlansmithError, KeyboardInterrupt),
        ):
            publish_next(folder)
        assert_as_if_nothing_had_happened(folder, published, f"step {step}: {seen[step:][:1]}")
        if len(seen) <= step:
            break
    assert {"mkdir", "rename", "replace", "fsync", "chmod", "open"} <= set(seen)


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


def die_at_every_step(published: str) -> None:
    """For a child process: publishes in copies, killed by SIGKILL one operation later each time."""
    for step in itertools.count():
        folder = copies(Path(published), step)
        if (child := os.fork()) == 0:
            with failing_at(step, lambda _: os.kill(os.getpid(), signal.SIGKILL)):
                publish_next(folder)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            return


def test_a_process_killed_at_any_step_leaves_the_version_before(published: Path) -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['die_at_every_step'](sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, __file__, str(published)], check=True)
    folders = sorted(published.parent.glob("tiny at *"))
    assert len(folders) > 10
    assert any(leftovers(folder) for folder in folders), "a kill leaves what was not finished"
    for folder in folders:
        assert_as_if_nothing_had_happened(folder, published, folder.name)


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
