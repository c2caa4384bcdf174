"""What becomes of regions on a GPU: where they are refused, forgotten, in use or left. As in
`test_cuda`, with stand-ins for the CUDA runtime and for the server.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpu_server import GpuServer, Inferred, Registered, Unregistered
from gpu_tensors import ONE, TWO, part, tensor
from host_cuda import HostCuda
from plansmith_client import Client, InvalidInput, PlansmithClientError, ServerFault
from plansmith_client.memory.naming import this_process
from twins import Connect


def test_where_it_is_refused_they_are_read_and_sent(gpu_client: Any, gpu: GpuServer) -> None:
    gpu.refuses = True
    model = gpu_client.model("sums")
    with gpu_client.cuda_shared_memory(4096) as region:
        a, y = tensor(region, ONE), region.tensor(np.float32, (1, 3), 512)
        for _ in range(2):
            found = model.infer({"a": a, "b": TWO}, into={"y": y})
        assert found.y is y
        assert y.read().tolist() == [[11, 22, 33]]
    assert gpu.inferences()[0].inputs == {"a": ONE.tobytes(), "b": TWO.tobytes()}
    # It is asked once, and has nothing to let go of.
    assert [type(one) for one in gpu.asked] == [Registered, Inferred, Inferred]


def test_a_server_that_refuses_dev_shm_may_take_them(gpu_client: Any, gpu: GpuServer) -> None:
    gpu.refuses_system = True
    model = gpu_client.model("sums")
    with gpu_client.cuda_shared_memory(64) as region, gpu_client.shared_memory(64) as on_host:
        a, b = tensor(region, ONE), on_host.array(np.float32, (1, 3))
        b[:] = TWO
        for _ in range(2):
            assert model(a=a, b=b).y.tolist() == [[11, 22, 33]]
        expected = {"a": part(region.name, 0), "b": TWO.tobytes()}
        assert [one.inputs for one in gpu.inferences()] == [expected] * 2


def test_who_insists_is_told(connect: Connect, gpu: GpuServer, gpu_url: str) -> None:
    gpu.refuses = True
    client = connect(gpu_url, shared_memory=True)
    with client.cuda_shared_memory(4096) as region:
        a = tensor(region, ONE)
        with pytest.raises(InvalidInput, match=r"takes no CUDA shared memory: .*invalid args: .*"):
            client.model("sums")(a=a, b=TWO)
        assert client.model("sums")(a=a.read(), b=TWO).y.tolist() == [[11, 22, 33]]


def test_a_server_that_was_started_anew_is_told_again(gpu_client: Any, gpu: GpuServer) -> None:
    model = gpu_client.model("sums")
    with gpu_client.cuda_shared_memory(4096) as region:
        a, y = tensor(region, ONE), region.tensor(np.float32, (1, 3), 512)
        model(a=a, b=TWO)
        gpu.regions.clear()
        model.infer({"a": a, "b": TWO}, into={"y": y})
        assert y.read().tolist() == [[11, 22, 33]]
    kinds = [type(one) for one in gpu.asked]
    assert kinds == [Registered, Inferred, Inferred, Registered, Inferred, Unregistered]


def test_threads_register_it_once(gpu: GpuServer, gpu_url: str) -> None:
    found: list[Any] = []
    with Client(gpu_url) as client, client.cuda_shared_memory(4096) as region:
        a, model = tensor(region, ONE), client.model("sums")
        threads = [
            threading.Thread(target=lambda: found.append(model(a=a, b=TWO).y)) for _ in range(8)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert list(gpu.regions) == [region.name]
    assert [one.tolist() for one in found] == [[[11, 22, 33]]] * 8
    assert not gpu.regions


def test_what_a_server_still_uses_is_not_freed_before_it_has_let_go(
    gpu_client: Any, gpu: GpuServer, cuda: HostCuda
) -> None:
    with gpu_client.cuda_shared_memory(64) as region:
        gpu_client.model("sums")(a=tensor(region, ONE), b=TWO)
        gpu.in_use = {region.name}
    assert len(cuda.blocks) == 1
    gpu.in_use.clear()
    with gpu_client.cuda_shared_memory(64):
        assert len(cuda.blocks) == 2
    assert (len(cuda.blocks), gpu.regions) == (0, {})


def test_what_dead_processes_left_the_server_lets_go_of(gpu_client: Any, gpu: GpuServer) -> None:
    """Else the driver would keep their memory."""
    here = this_process()
    dead = replace(here, process_id=2**22 + 1, begun=1).new_name()
    living, stranger = here.new_name(), replace(here, user_id=here.user_id + 1).new_name()
    kept = {living: np.empty(1), stranger: np.empty(1), "theirs": np.empty(1)}
    gpu.regions = {dead: np.empty(1), **kept}
    with gpu_client.cuda_shared_memory(64) as region:
        gpu_client.model("sums")(a=tensor(region, ONE), b=TWO)
        assert gpu.regions.keys() == {region.name, *kept}


def test_closing_the_client_has_the_server_let_go(
    gpu_client: Any, gpu: GpuServer, cuda: HostCuda
) -> None:
    with gpu_client.cuda_shared_memory(64) as region:
        a = tensor(region, ONE)
        gpu_client.model("sums")(a=a, b=TWO)
        gpu_client.close()
        assert not gpu.regions
        with pytest.raises(PlansmithClientError, match="is closed"):
            gpu_client.model("sums")(a=a, b=TWO)
        # It is the caller's until the block ends.
        assert a.read().tolist() == ONE.tolist()
    assert not cuda.blocks


def test_after_its_block_a_tensor_is_refused(gpu_client: Any, gpu: GpuServer) -> None:
    with gpu_client.cuda_shared_memory(64) as region:
        a = tensor(region, ONE)
        name = region.name
    model = gpu_client.model("sums")
    asked = list(gpu.asked)
    with pytest.raises(PlansmithClientError, match=f"the block of region {name} has ended"):
        model(a=a, b=TWO)
    with pytest.raises(PlansmithClientError, match=f"the block of region {name} has ended"):
        model.infer({"a": ONE, "b": TWO}, into={"y": a})
    assert gpu.asked == asked


def test_leaving_a_block_twice_is_refused_and_another_can_follow(gpu_client: Any) -> None:
    region = gpu_client.cuda_shared_memory(64)
    with region:
        pass
    with pytest.raises(PlansmithClientError, match="is there within its block only"):
        region.__exit__(None, None, None)
    with region:
        assert gpu_client.model("sums")(a=tensor(region, ONE), b=TWO).y.tolist() == [[11, 22, 33]]


def test_another_clients_is_read_and_sent(
    connect: Connect, gpu_client: Any, gpu: GpuServer, gpu_url: str
) -> None:
    other = connect(gpu_url)
    with gpu_client.cuda_shared_memory(64) as region, other.cuda_shared_memory(64):
        a, y = tensor(region, ONE), region.tensor(np.float32, (1, 3), 16)
        other.model("sums").infer({"a": a, "b": TWO}, into={"y": y})
        assert y.read().tolist() == [[11, 22, 33]]
    assert gpu.asked == [
        Inferred(inputs={"a": ONE.tobytes(), "b": TWO.tobytes()}, outputs={}, shape=(1, 3))
    ]


def test_who_was_told_where_it_lies_keeps_it(gpu_client: Any, cuda: HostCuda) -> None:
    """As CuPy and PyTorch do: they keep the tensor for as long as they use its memory."""
    with gpu_client.cuda_shared_memory(64) as region:
        a = tensor(region, ONE)
        (address, _) = a.__cuda_array_interface__["data"]
        assert address in cuda.blocks
    assert address in cuda.blocks
    del a
    gc.collect()
    assert not cuda.blocks


def test_a_client_without_shared_memory_has_none(connect: Connect, gpu_url: str) -> None:
    client = connect(gpu_url, shared_memory=False)
    with pytest.raises(InvalidInput, match="made with shared_memory=False"):
        client.cuda_shared_memory(1)


def test_an_error_of_the_model_frees_it_all_the_same(
    gpu_client: Any, gpu: GpuServer, cuda: HostCuda
) -> None:
    with (
        pytest.raises(ServerFault, match="own fault"),
        gpu_client.cuda_shared_memory(64) as region,
    ):
        gpu_client.model("sums")(a=tensor(region, ONE), b=np.full((1, 3), np.inf, np.float32))
    assert (gpu.regions, len(cuda.blocks)) == ({}, 0)
