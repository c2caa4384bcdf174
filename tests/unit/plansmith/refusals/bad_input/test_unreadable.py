"""A folder that may not be read or changed is one clear error of every verb that looks into it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plansmith.cache import Cache

# Root may read and change what it likes, but for these.
OVERRIDES = "-dac_override,-dac_read_search,-fowner"


def told(verb: str, *arguments: object) -> str:
    """What the verb says, as a program that has no more rights than the folders give."""
    ordinary = ["setpriv", "--bounding-set", OVERRIDES, "--inh-caps", OVERRIDES]
    command = [sys.executable, "-m", "plansmith", verb, *map(str, arguments)]
    done = subprocess.run(
        [*(ordinary if os.geteuid() == 0 else ()), *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    return line


@contextmanager
def mode(path: Path, bits: int) -> Generator[None, None, None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.mark.parametrize("verb", ["build", "verify", "serve"])
def test_a_repository_that_cannot_be_listed(folder: Path, cache: Cache, verb: str) -> None:
    more = () if verb == "verify" else ("--cache", cache.root)
    repository = folder.parent
    with mode(repository, 0):
        line = told(verb, "--repository", repository, *more)
    assert line.startswith(f"plansmith {verb}: {repository}: cannot be read: Permission denied")


@pytest.mark.parametrize("verb", ["build", "verify", "serve"])
def test_a_model_that_cannot_be_listed(folder: Path, cache: Cache, verb: str) -> None:
    more = () if verb == "verify" else ("--cache", cache.root)
    with mode(folder, 0):
        line = told(verb, "--repository", folder.parent, *more)
    assert line.startswith(f"plansmith {verb}: {folder}")
    assert "cannot be read: Permission denied" in line


@pytest.mark.parametrize("verb", ["build", "verify", "serve"])
def test_a_version_that_cannot_be_listed(folder: Path, cache: Cache, verb: str) -> None:
    more = () if verb == "verify" else ("--cache", cache.root)
    with mode(folder / "1", 0):
        line = told(verb, "--repository", folder.parent, *more)
    assert line.startswith(f"plansmith {verb}: {folder / '1'}")
    assert "cannot be read: Permission denied" in line


def test_what_a_killed_build_left_and_cannot_be_removed(folder: Path, cache: Cache) -> None:
    left = folder / ".unfinished-x"
    left.mkdir()
    (left / "model.xml").touch()
    with mode(left, 0o500):
        line = told("build", "--repository", folder.parent, "--cache", cache.root)
    assert line.startswith(f"plansmith build: {left}: Permission denied; nothing was built")


def test_a_cache_that_cannot_be_changed_when_all_is_to_be_made_anew(
    folder: Path, cache: Cache
) -> None:
    with mode(cache.root / "data", 0o500):
        line = told("build", "--force", "--repository", folder.parent, "--cache", cache.root)
    assert line.startswith(f"plansmith build: {cache.root / 'data'}: cannot write the cache: Perm")
