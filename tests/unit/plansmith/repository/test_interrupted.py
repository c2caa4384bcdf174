"""Whatever fails or is killed at any step, the version before is served, whole."""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from model_versions import (
    assert_complete,
    contents,
    leftovers,
    publish_next,
    raising,
    served,
    warm_up_file,
    warm_ups,
)
from plansmith.errors import PlansmithError
from plansmith.repository import ModelFolder
from plansmith.versions import events, promotion
from plansmith.versions.disk import replace_text

# All that publishing and clearing up ask of the operating system.
OPERATIONS: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("mkdir", "open", "fdopen", "sendfile", "write", "fsync", "chmod")),
    *((os, name) for name in ("rename", "replace", "unlink", "rmdir", "scandir", "listdir")),
    (io, "open"),
    (builtins, "open"),
)


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
    subprocess.run(
        [sys.executable, "-c", code, __file__, str(twice), change],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    folders = sorted(twice.parent.glob("tiny at *"))
    assert len(folders) > 10
    assert any(leftovers(folder) for folder in folders), "a kill leaves what was not finished"
    for folder in folders:
        assert_as_if_nothing_had_happened(folder, twice, folder.name)


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
