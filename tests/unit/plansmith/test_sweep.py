"""Shared memory of servers that were killed with their starter: ours goes, others' is let be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plansmith import server

# Above the kernel's largest number of a process.
GONE = 2**22 + 1


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /dev/shm."""
    monkeypatch.setattr(server, "SHARED_MEMORY", tmp_path)
    return tmp_path


def test_only_regions_whose_starter_is_gone_are_removed(memory: Path) -> None:
    names = [f"plansmith_{GONE}_8001_a", f"plansmith_{os.getpid()}_8001_a", "plansmith_x", "other"]
    for name in names:
        (memory / name).touch()
    server.sweep_shared_memory()
    assert sorted(path.name for path in memory.iterdir()) == sorted(names[1:])


def test_what_another_user_left_is_let_be(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    theirs = memory / f"plansmith_{GONE}_8001_a"
    theirs.touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        server.sweep_shared_memory()
    assert theirs.exists()
