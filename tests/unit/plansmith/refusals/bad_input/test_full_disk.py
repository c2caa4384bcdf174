"""A disk that is full is one clear error, and what was finished before is kept."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.job import prepare
from plansmith.manifest import Manifest
from plansmith.measure import Plan
from plansmith.pipeline import stage_keys
from plansmith.progress import PlainProgress

Edit = Callable[[str, str], None]
Refuse = Callable[..., str]

PLAN = Plan(rounds=1, seconds=0.01)


@contextmanager
def files_of_at_most(size_bytes: int) -> Generator[None, None, None]:
    """The kernel lets no file grow beyond: as a full disk, real writes fail half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on stderr: pytest keeps it in a file, which must not grow beyond either."""
    monkeypatch.setattr(PlainProgress, "note", lambda *_: None)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")


@pytest.mark.parametrize("call", ["mkdir", "sendfile", "fsync", "rename"])
def test_a_disk_that_is_full_while_publishing(
    refused: Refuse,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    edit: Edit,
    build_again: Callable[[], Manifest],
) -> None:
    edit("p99_ms = 100", "p99_ms = 50")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_space)
        message = refused(PlansmithError)
    assert "No space left on device; nothing was published, the previous version stays" in message
    assert build_again().version == 2


def test_a_disk_that_is_full_before_the_cache_has_a_folder(
    folder: Path, refused: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(folder / "evaluation.npy", np.load(folder / "evaluation.npy")[::-1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", no_space)
        message = refused(PlansmithError)
    assert "cannot write the cache: No space left on device; free space or name another" in message


STAGES = ("data", "export", "clean", "reference", "cpu: quantize", "cpu: compile", "cpu: measure")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_in_the_middle_of_a_stage(
    folder: Path,
    refused: Refuse,
    cache: Cache,
    stage: str,
    edit: Edit,
    build_again: Callable[[], Manifest],
) -> None:
    # Another build, of which the cache has all but this stage.
    edit("p99_ms = 100", "p99_ms = 50")
    one = next(key for key in stage_keys(prepare(folder, None, PLAN)) if key.stage == stage)
    cache.drop(stage, one.key)
    with files_of_at_most(10):
        message = refused(PlansmithError)
    assert message.startswith(str(cache.root))
    assert message.endswith(
        f" during {stage}; free space and build again: finished stages are kept"
    )
    assert build_again().version == 2
