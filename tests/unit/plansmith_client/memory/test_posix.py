"""Objects of system shared memory."""

from __future__ import annotations

import errno
import gc
from pathlib import Path

import numpy as np
import pytest

from plansmith_client.memory.naming import Process, this_process
from plansmith_client.memory.posix import SHARED_MEMORY, SharedObject, free_bytes, sweep


def named() -> str:
    return this_process().new_name()


def test_it_is_a_file_of_its_size_that_nobody_else_may_open() -> None:
    one = SharedObject(named(), 10_000)
    found = (SHARED_MEMORY / one.name).stat()
    assert (found.st_size, found.st_mode & 0o777) == (10_000, 0o600)
    assert one.key == f"/{one.name}"
    assert not one.content.any()
    one.content[-1] = 7
    assert (SHARED_MEMORY / one.name).read_bytes()[-1] == 7
    one.unlink()


def test_its_name_goes_with_it_its_memory_with_the_last_array() -> None:
    one = SharedObject(named(), 4096)
    path = SHARED_MEMORY / one.name
    part = one.content[1:3].view(np.uint16)
    part[:] = 513
    del one
    gc.collect()
    assert not path.exists()
    assert part.tolist() == [513]


def test_unlinking_can_be_repeated() -> None:
    one = SharedObject(named(), 1)
    one.unlink()
    one.unlink()
    assert not (SHARED_MEMORY / one.name).exists()


def test_nothing_is_left_where_there_is_no_room() -> None:
    name = named()
    with pytest.raises(OSError, match=r"No space left|too large|allocate") as caught:
        SharedObject(name, free_bytes() + 2**40)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG, errno.ENOMEM)
    assert not (SHARED_MEMORY / name).exists()


def test_a_name_that_is_taken_is_not_taken_over() -> None:
    one = SharedObject(named(), 1)
    with pytest.raises(FileExistsError):
        SharedObject(one.name, 1)
    one.unlink()


def test_no_descriptor_stays_open_behind_it() -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    one = SharedObject(named(), 1)
    # Python's mmap keeps one.
    assert len(list(descriptors.iterdir())) == before + 1
    del one
    gc.collect()
    assert len(list(descriptors.iterdir())) == before


def test_what_dead_processes_left_is_swept_and_nothing_else() -> None:
    here = this_process()
    dead = Process(user_id=here.user_id, namespace=here.namespace, process_id=2**22 + 1, begun=1)
    stranger = Process(user_id=here.user_id, namespace=1, process_id=2**22 + 1, begun=1)
    mine, left, other = here.new_name(), dead.new_name(), stranger.new_name()
    for name in (mine, left, other):
        (SHARED_MEMORY / name).touch()
    try:
        assert left in sweep(here)
        assert [(SHARED_MEMORY / name).exists() for name in (mine, left, other)] == [1, 0, 1]
    finally:
        for name in (mine, left, other):
            (SHARED_MEMORY / name).unlink(missing_ok=True)
