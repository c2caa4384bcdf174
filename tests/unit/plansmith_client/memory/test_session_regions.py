"""What a session does with the caller's own regions, and where none can be made."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from plansmith_client.drivers import run
from plansmith_client.errors import InvalidInput
from plansmith_client.memory import pool, regions
from plansmith_client.memory.calls import UnregisterCall
from plansmith_client.memory.naming import Process
from plansmith_client.memory.posix import SHARED_MEMORY
from plansmith_client.memory.regions import Memory, SharedRegion
from plansmith_client.memory.session import Session
from region_server import Server, call, infer, is_by_reference


def test_regions_of_the_caller_are_found_by_where_arrays_lie(
    session_of: Callable[..., Session], server: Server
) -> None:
    memory = Memory("auto")
    session = session_of(memory=memory)
    region = memory.open(4096, None)
    content = region.object.content
    content[100:200] = 7
    assert infer(session, server, call(content=content[100:200])) == bytes([7]) * 100
    part = server.last().references.inputs[0]
    assert part is not None
    assert (part.region, part.offset_bytes, part.size_bytes) == (region.object.name, 100, 100)
    infer(session, server, call(content=np.zeros(100, np.uint8)))
    assert not is_by_reference(server.last())
    memory.forget(region)
    assert not session.takes(call(content=content[100:200]))


def test_outputs_of_the_callers_own_are_marked(
    session_of: Callable[..., Session], server: Server
) -> None:
    memory = Memory("auto")
    session = session_of(memory=memory)
    content = memory.open(4096, None).object.content
    into = (("y", content[512:612]),)
    given = np.full(100, 3, np.uint8)
    (output,) = run(session.infer(call(content=given, outputs=("y",), into=into)), server)
    assert output.placed
    assert content[512:612].tolist() == [3] * 100


def test_where_there_is_no_proc_tensors_go_over_the_wire(
    session: Session, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Process:
        raise FileNotFoundError("/proc/self/ns/pid")

    for module in (pool, regions):
        monkeypatch.setattr(module, "this_process", missing)
    infer(session, server, call(fill=3))
    assert not is_by_reference(server.last())
    with pytest.raises(InvalidInput, match="cannot be made"):
        Memory("auto").open(4096, None)


def test_a_fork_that_leaves_a_region_asks_no_server(
    session_of: Callable[..., Session], server: Server
) -> None:
    memory = Memory("auto")
    session = session_of(memory=memory)
    memory.sessions.append((session, server))
    with SharedRegion(memory, 4096, None) as region:
        infer(session, server, call(content=region.array(np.uint8, 100)))
        child = os.fork()
        if not child:
            asked = -1
            try:
                region.__exit__(None, None, None)
                asked = server.count(UnregisterCall)
            finally:
                os._exit(asked & 0xFF)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (SHARED_MEMORY / region.name).exists()
    assert server.count(UnregisterCall) == 1
