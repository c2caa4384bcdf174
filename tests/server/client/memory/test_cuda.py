"""Tensors on a GPU are read and written there by a server that opens them. No GPU is at work here:
the CUDA runtime is a stand-in, and so is the server, for a Triton without a GPU opens nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_server import GpuServer, Inferred, Registered, Unregistered
from gpu_tensors import ONE, TWO, part, tensor
from host_cuda import HostCuda
from plansmith_client import InvalidInput
from shared_memory import files


def test_inputs_and_outputs_stay_there(gpu_client: Any, gpu: GpuServer, cuda: HostCuda) -> None:
    model = gpu_client.model("sums")
    with gpu_client.cuda_shared_memory(4096, device_id=1, name="frames") as region:
        a, b = tensor(region, ONE, 64), tensor(region, TWO, 128)
        y, z = (region.tensor("float32", (1, 3), offset) for offset in (256, 512))
        for _ in range(2):
            found = model.infer({"a": a, "b": b}, into={"y": y, "z": z})
        assert (found.y is y, found.z is z) == (True, True)
        assert (y.read().tolist(), z.read().tolist()) == ([[11, 22, 33]], [[-9, -18, -27]])
        name = region.name
    inference = Inferred(
        inputs={"a": part(name, 64), "b": part(name, 128)},
        outputs={"y": part(name, 256), "z": part(name, 512)},
        shape=(1, 3),
    )
    registered = Registered(region=name, device_id=1, size_bytes=4096)
    assert gpu.asked == [registered, inference, inference, Unregistered(region=name)]
    assert name.endswith("_frames")
    assert not cuda.blocks


def test_one_that_is_not_used_is_not_registered(gpu_client: Any, gpu: GpuServer) -> None:
    with gpu_client.cuda_shared_memory(4096) as region:
        tensor(region, ONE).read()
    assert gpu.asked == []


def test_arrays_regions_of_dev_shm_and_the_wire_go_beside_them(
    gpu_client: Any, gpu: GpuServer
) -> None:
    model = gpu_client.model("sums")
    with gpu_client.cuda_shared_memory(64) as on_gpu, gpu_client.shared_memory(64) as on_host:
        a, b = tensor(on_gpu, ONE), on_host.array(np.float32, (1, 3))
        b[:] = TWO
        z = on_host.array(np.float32, (1, 3), 32)
        found = model.infer({"a": a, "b": b}, into={"z": z})
        assert (found.y.tolist(), z.tolist()) == ([[11, 22, 33]], [[-9, -18, -27]])
        sent = model(a=TWO, b=a)
        assert sent.z.tolist() == [[9, 18, 27]]
        in_both, in_one = gpu.inferences()
        name = on_gpu.name
        assert in_both.inputs == {"a": part(name, 0), "b": part(on_host.name, 0)}
        assert in_both.outputs == {"z": part(on_host.name, 32)}
        assert in_one.inputs == {"a": TWO.tobytes(), "b": part(name, 0)}
    assert not files()


def test_an_output_that_is_sent_is_copied_beside_one_that_is_not(gpu_client: Any) -> None:
    with gpu_client.cuda_shared_memory(64) as region:
        y = region.tensor(np.float32, (1, 3))
        found = gpu_client.model("sums").infer({"a": ONE, "b": TWO}, into={"y": y})
        assert found.y is y
        assert (y.read().tolist(), found.z.tolist()) == ([[11, 22, 33]], [[-9, -18, -27]])


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (np.float64, (1, 3), r"input a is float64 on a GPU, the model takes float32 \(FP32\)"),
        (np.float32, (3,), r"input a is \[3\], the model takes \[N, 3\] with 1 <= N <= 4"),
        (np.float32, (1, 4), r"input a is \[1, 4\]"),
        (np.float32, (5, 3), "input a has 5 items in its batch, the model takes 1 to 4"),
        (np.float32, (2, 3), r"batches differ \(a 2, b 1\)"),
    ],
)
def test_they_are_checked_as_arrays_are(
    gpu_client: Any, gpu: GpuServer, dtype: Any, shape: tuple[int, ...], message: str
) -> None:
    with (
        gpu_client.cuda_shared_memory(4096) as region,
        pytest.raises(InvalidInput, match=message),
    ):
        gpu_client.model("sums")(a=region.tensor(dtype, shape), b=ONE)
    assert gpu.asked == []


def test_nothing_is_cast_on_a_gpu(gpu_client: Any) -> None:
    model = gpu_client.model("sums", casting="safe")
    with gpu_client.cuda_shared_memory(4096) as region:
        small = tensor(region, ONE.astype(np.float16))
        with pytest.raises(InvalidInput, match="make the tensor so, nothing is cast there"):
            model(a=small, b=ONE)


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (np.float64, (1, 3), "output y is float32, the array given as into is float64"),
        (np.float32, (1, 2), r"output y is FP32 \[1, 3\], .* is float32 \[1, 2\]"),
        (np.float32, (2, 3), r"output y is FP32 \[1, 3\], .* is float32 \[2, 3\]"),
    ],
)
def test_a_place_that_the_output_does_not_fit_is_refused(
    gpu_client: Any, dtype: Any, shape: tuple[int, ...], message: str
) -> None:
    with gpu_client.cuda_shared_memory(4096) as region:
        place = region.tensor(dtype, shape)
        with pytest.raises(InvalidInput, match=message):
            gpu_client.model("sums").infer({"a": ONE, "b": TWO}, into={"y": place})


def test_a_refusal_of_the_models_own_is_the_callers(gpu_client: Any, gpu: GpuServer) -> None:
    with gpu_client.cuda_shared_memory(4096) as region:
        a = tensor(region, ONE)
        model = gpu_client.model("sums")
        model(a=a, b=TWO)
        gpu.asked.clear()
        with pytest.raises(InvalidInput, match="an input is missing"):
            model.infer({"a": a, "b": np.full((1, 3), np.nan, np.float32)})
        assert [type(one) for one in gpu.asked] == [Inferred]
