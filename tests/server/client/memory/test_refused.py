"""A server that lets nobody register memory gets the tensors over the wire, without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plansmith.server import HOST
from plansmith.server_files import ServerFiles
from plansmith_client import InvalidInput
from python_models import CONFIG_NAME
from real_server import serving_with
from shared_memory import files, numbers, wire_bytes
from twins import Connect


@pytest.fixture(scope="module")
def urls(
    server_files: ServerFiles, memory_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Newer servers refuse unless told otherwise; 2.51 does where it is told to restrict it."""
    log = tmp_path_factory.mktemp("logs") / "refusing.log"
    flags = [
        "--http-restricted-api=shared-memory:key=value",
        "--grpc-restricted-protocol=shared-memory:key=value",
    ]
    with serving_with(server_files, memory_repository, CONFIG_NAME, log, flags) as ports:
        yield {"grpc": f"grpc://{HOST}:{ports.grpc}", "http": f"http://{HOST}:{ports.http}"}


def test_its_tensors_are_sent(
    connect: Connect, urls: dict[str, str], protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(urls[protocol])
    model = client.model("echo")
    with caplog.at_level("DEBUG", "plansmith_client.memory"):
        for first in range(3):
            assert np.array_equal(model(numbers(first)), numbers(first))
    assert wire_bytes(client, "echo") > 6 * numbers().nbytes
    (said,) = caplog.records
    assert "tensors go over the wire" in said.getMessage()
    assert not files()


def test_a_region_is_memory_as_any_other(
    connect: Connect, urls: dict[str, str], protocol: str
) -> None:
    client = connect(urls[protocol])
    with client.shared_memory(2 * numbers().nbytes) as region:
        given = region.array(np.float32, numbers().shape)
        answer = region.array(np.float32, numbers().shape, given.nbytes)
        given[:] = numbers(3)
        client.model("echo").infer({"x": given}, into={"x_out": answer})
        assert np.array_equal(answer, numbers(3))


def test_who_insists_is_told(connect: Connect, urls: dict[str, str], protocol: str) -> None:
    client = connect(urls[protocol], shared_memory=True)
    with pytest.raises(InvalidInput, match=r"takes no shared memory: .*restricted"):
        client.model("echo")(numbers())
    assert not files()


def test_an_unknown_mode_is_refused(connect: Connect) -> None:
    with pytest.raises(InvalidInput, match="shared_memory 'always' is not"):
        connect("localhost:1", shared_memory="always")
