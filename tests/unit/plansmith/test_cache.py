"""The cache: a stage's product is made once, is whole or absent, and is found by what went in."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.cache import Cache, key_of
from plansmith.errors import PlansmithError, UnusableInput

PARTS = st.lists(st.text(max_size=4) | st.binary(max_size=4), max_size=4)


def as_bytes(parts: list[str | bytes]) -> list[bytes]:
    return [part.encode() if isinstance(part, str) else part for part in parts]


@given(PARTS, PARTS)
def test_keys_are_equal_only_for_equal_parts(
    one: list[str | bytes], two: list[str | bytes]
) -> None:
    assert (key_of(one) == key_of(two)) == (as_bytes(one) == as_bytes(two))


def test_a_key_is_the_same_in_another_process() -> None:
    code = "from plansmith.cache import key_of; print(key_of(['a', b'b']))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert other.stdout.strip() == key_of(["a", b"b"])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def write_one(folder: Path) -> None:
    (folder / "file").write_text("whole")


def leftovers(cache: Cache) -> list[str]:
    return [path.name for path in cache.root.rglob(".unfinished-*")]


def test_a_product_is_made_once_and_then_found(cache: Cache) -> None:
    assert cache.find("export", "k") is None
    calls: list[Path] = []
    for _ in range(2):
        found = cache.make("export", "k", lambda to: (calls.append(to), write_one(to))[1])
    assert len(calls) == 1
    assert cache.find("export", "k") == found
    assert (found / "file").read_text() == "whole"


def test_a_product_of_another_stage_or_key_is_another(cache: Cache) -> None:
    cache.make("export", "k", write_one)
    assert cache.find("compile", "k") is None
    assert cache.find("export", "l") is None


def test_a_dropped_product_is_made_anew(cache: Cache) -> None:
    cache.make("export", "k", write_one)
    cache.drop("export", "k")
    assert cache.find("export", "k") is None
    cache.drop("export", "k")  # and dropping what is not there is no error


def test_a_drop_that_is_killed_half_way_leaves_nothing_that_is_taken_for_whole(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    cache.make("export", "k", write_one)
    with monkeypatch.context() as patch:
        # What removes the files one by one.
        patch.setattr(shutil, "rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            cache.drop("export", "k")
    assert cache.find("export", "k") is None


@pytest.mark.parametrize("call", ["mkdir", "replace"])
def test_a_product_that_cannot_be_dropped_is_there_still(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    found = cache.make("export", "k", write_one)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(PlansmithError, match="cannot write the cache: Permission denied"):
            cache.drop("export", "k")
    assert (found / "file").read_text() == "whole"
    assert leftovers(cache) == []


def test_what_went_into_the_newest_product_is_remembered(cache: Cache) -> None:
    assert cache.recall("tiny/cpu: compile") is None
    for version in ("1", "2"):
        cache.remember("tiny/cpu: compile", {"openvino": version, "caf\xe9": "\n"})
    assert cache.recall("tiny/cpu: compile") == {"openvino": "2", "caf\xe9": "\n"}
    assert cache.recall("tiny/export") is None
    assert leftovers(cache) == []


def test_a_note_that_was_broken_is_none(cache: Cache) -> None:
    cache.remember("tiny/export", {"torch": "1"})
    (cache.root / "inputs" / "tiny" / "export.json").write_text('{"torch": ')
    assert cache.recall("tiny/export") is None


def test_a_note_that_cannot_be_written_fails_no_build(cache: Cache) -> None:
    cache.root.mkdir()
    (cache.root / "inputs").write_text("in the way")
    cache.remember("tiny/export", {"torch": "1"})
    assert cache.recall("tiny/export") is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnusableInput("bad"), ValueError("bug")])
def test_an_interrupted_stage_leaves_nothing_and_its_error_as_it_was(
    cache: Cache, error: BaseException
) -> None:
    def fail(folder: Path) -> None:
        write_one(folder)
        raise error

    with pytest.raises(type(error)) as caught:
        cache.make("export", "k", fail)
    assert caught.value is error
    assert cache.find("export", "k") is None
    assert leftovers(cache) == []


def test_a_full_disk_is_named_with_the_stage_and_leaves_nothing(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        write_one(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "model.bin"))

    with pytest.raises(PlansmithError, match=r"model\.bin: No space left on device during export"):
        cache.make("export", "k", fail)
    assert cache.find("export", "k") is None
    assert leftovers(cache) == []


def test_a_disk_that_is_full_in_the_middle_of_a_folders_copy_is_named_too(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "model.bin").write_text("large")
    monkeypatch.setattr(os, "sendfile", fail)
    with pytest.raises(PlansmithError, match=r"No space left on device: .* during server"):
        cache.make("server", "k", lambda to: shutil.copytree(tmp_path / "from", to / "to"))
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PlansmithError, match=r"cannot write the cache: .*--cache"):
        Cache(root=tmp_path / "file").make("export", "k", write_one)


def test_a_product_that_another_build_made_meanwhile_is_taken(cache: Cache) -> None:
    def late(folder: Path) -> None:
        cache.make("export", "k", write_one)
        (folder / "file").write_text("late")

    assert (cache.make("export", "k", late) / "file").read_text() == "whole"
    assert leftovers(cache) == []


def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(cache: Cache) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from plansmith.cache import Cache\n"
        "def write(to):\n"
        "    (to / 'file').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Cache(root=pathlib.Path(sys.argv[1])).make('export', 'k', write)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(cache.root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert cache.find("export", "k") is None
    assert (cache.make("export", "k", write_one) / "file").read_text() == "whole"
