"""A Triton without a GPU opens no memory of one: tensors there are read and sent, without a word.

The CUDA runtime is a stand-in; the server is real, and refuses what is no GPU's memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from host_cuda import HostCuda
from plansmith.server import Server
from plansmith_client import Client, InvalidInput
from plansmith_client.credentials import NO_ACCESS
from plansmith_client.deadline import Deadline
from plansmith_client.endpoints import parse_endpoint
from plansmith_client.memory.calls import CudaRegionsCall
from plansmith_client.transports import open_transport
from real_server import url_of
from shared_memory import ITEMS, files, numbers, wire_bytes
from twins import Connect


def on_gpus(url: str) -> tuple[Any, ...]:
    """What the server at `url` has open of GPUs' memory."""
    transport = open_transport(parse_endpoint(url), NO_ACCESS)
    try:
        return transport.send(CudaRegionsCall(deadline=Deadline(10)))
    finally:
        transport.close()


def test_its_tensors_are_read_and_sent(
    connect: Connect, url: str, cuda: HostCuda, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(url)
    model = client.model("echo")
    with (
        caplog.at_level("DEBUG", "plansmith_client.memory"),
        client.cuda_shared_memory(64) as region,
    ):
        x, answer = region.tensor(np.float32, 3), region.tensor(np.float32, 3, 32)
        for first in range(2):
            x.write(np.arange(first, first + 3, dtype=np.float32))
            assert model(x).tolist() == [first, first + 1, first + 2]
            assert model.infer({"x": x}, into={"x_out": answer}).x_out is answer
            assert answer.read().tolist() == x.read().tolist()
    (said,) = caplog.records
    assert "tensors go over the wire, not by CUDA shared memory: failed to" in said.getMessage()
    assert (on_gpus(url), len(cuda.blocks)) == ((), 0)
    assert np.array_equal(model(numbers()), numbers())


@pytest.mark.usefixtures("cuda")
def test_large_ones_go_by_system_shared_memory(connect: Connect, url: str) -> None:
    client = connect(url)
    with client.cuda_shared_memory(numbers().nbytes) as region:
        x = region.tensor(np.float32, ITEMS)
        x.write(numbers(3))
        for _ in range(4):
            assert np.array_equal(client.model("echo")(x), numbers(3))
        before = wire_bytes(client, "echo")
        client.model("echo")(x)
        assert wire_bytes(client, "echo") - before < 4096
    client.close()
    assert not files()


def test_who_insists_is_told_and_goes_on_with_arrays(
    connect: Connect, url: str, cuda: HostCuda
) -> None:
    client = connect(url, shared_memory=True)
    model = client.model("echo")
    with client.cuda_shared_memory(64) as region:
        x = region.tensor(np.float32, 3)
        x.write(np.arange(3, dtype=np.float32))
        with pytest.raises(InvalidInput, match=r"takes no CUDA shared memory: .*tensor\.read\(\)"):
            model(x)
        assert model(x.read()).tolist() == [0, 1, 2]
    assert np.array_equal(model(numbers()), numbers())
    assert (on_gpus(url), len(cuda.blocks)) == ((), 0)


@pytest.mark.usefixtures("cuda")
def test_streams_take_them_over_the_wire(memory_server: Server) -> None:
    """As arrays in any shared memory."""
    with Client(url_of(memory_server, "grpc")) as client, client.cuda_shared_memory(64) as region:
        x = region.tensor(np.float32, 3)
        x.write(np.arange(3, dtype=np.float32))
        (answer,) = client.model("echo").stream({"x": x})
        assert answer.x_out.tolist() == [0, 1, 2]


@pytest.mark.usefixtures("cuda")
def test_bytes_have_no_place_there(connect: Connect, url: str) -> None:
    client = connect(url)
    given = {"x": np.ones(3, np.float32), "y": np.zeros(2, np.float16)}
    with client.cuda_shared_memory(64) as region:
        with pytest.raises(InvalidInput, match="text is in a GPU's memory, where BYTES cannot lie"):
            client.model("several").infer({**given, "text": region.tensor(np.uint8, 3)})
        with pytest.raises(InvalidInput, match="BYTES, which have no size beforehand"):
            client.model("several").infer(
                {**given, "text": np.array(["a"], object)},
                into={"text_out": region.tensor(np.uint8, 3)},
            )
