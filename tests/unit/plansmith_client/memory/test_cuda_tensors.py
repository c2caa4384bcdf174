"""Regions and tensors of a GPU's memory, as far as no server is asked.

The CUDA runtime is a stand-in in the host's memory; tritonclient's module over it is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import host_cuda as shared
import plansmith_client
from host_cuda import HostCuda, host_cuda
from plansmith_client import (
    Client,
    CudaRegion,
    InvalidInput,
    MissingExtra,
    PlansmithClientError,
)
from plansmith_client.calls import InferCall, is_repeatable
from plansmith_client.datatypes import numpy_dtype
from plansmith_client.deadline import Deadline
from plansmith_client.memory.into import with_into
from plansmith_client.memory.regions import Memory
from plansmith_client.tensors import ModelMetadata, TensorMetadata

NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)
DTYPES = ("BOOL", "INT8", "INT64", "UINT16", "FP16", "BF16", "FP32", "FP64")
PATHS = (Path(plansmith_client.__file__).parents[1], Path(shared.__file__).parent)


@pytest.fixture
def cuda() -> Iterator[HostCuda]:
    with host_cuda() as found:
        yield found


def region_of(size_bytes: int, device_id: int = 0, label: str | None = None) -> CudaRegion:
    return CudaRegion(Memory("auto"), size_bytes, device_id, label)


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=3).map(tuple),
    place=st.integers(0, 5),
    data=st.data(),
)
def test_what_is_written_is_read_and_nothing_beside_it(
    dtype: str, shape: tuple[int, ...], place: int, data: st.DataObject
) -> None:
    kind = numpy_dtype(dtype)
    count = int(np.prod(shape))
    content = data.draw(st.binary(min_size=count, max_size=count))
    array = np.frombuffer(content, np.uint8).astype(kind).reshape(shape)
    size = array.nbytes + 8 * (place + 1)
    with host_cuda() as cuda, region_of(size) as region:
        before = region.tensor(np.uint8, size).read()
        tensor = region.tensor(kind, shape, 8 * place)
        tensor.write(array)
        assert (tensor.dtype, tensor.shape, tensor.ndim) == (array.dtype, array.shape, array.ndim)
        assert (tensor.size, tensor.nbytes) == (array.size, array.nbytes)
        assert np.array_equal(tensor.read(), array)
        whole = region.tensor(np.uint8, size).read()
        around = np.r_[: 8 * place, 8 * place + array.nbytes : size]
        assert np.array_equal(whole[around], before[around])
    assert not cuda.blocks


@pytest.mark.usefixtures("cuda")
def test_an_array_that_is_not_contiguous_is_written_as_it_reads() -> None:
    with region_of(64) as region:
        tensor = region.tensor(np.float32, (3, 2))
        tensor.write(NUMBERS.T)
        assert np.array_equal(tensor.read(), NUMBERS.T)


@pytest.mark.usefixtures("cuda")
def test_what_speaks_dlpack_is_written_too() -> None:
    with region_of(64) as region:
        tensor = region.tensor(np.float32, (2, 3))
        tensor.write(torch.from_numpy(NUMBERS))
        assert np.array_equal(tensor.read(), NUMBERS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (NUMBERS[0], r"a ndarray of float32 \[3\] is not float32 \[2, 3\]"),
        (NUMBERS.astype(np.float64), r"of float64 \[2, 3\] is not float32"),
        (torch.zeros(4, 3), r"a Tensor of float32 \[4, 3\] is not float32 \[2, 3\]"),
        (torch.zeros(2, 3, dtype=torch.int32), r"a Tensor of int32 \[2, 3\] is not float32"),
        (torch.zeros(3, 2).T, r"a Tensor cannot be copied to GPU 0: .*contiguous"),
        ([1.0], "a list cannot be written to a GPU: give a NumPy array, or what speaks DLPack"),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_what_is_unlike_the_tensor_is_not_written(wrong: Any, message: str) -> None:
    with region_of(64) as region:
        tensor = region.tensor(np.float32, (2, 3))
        tensor.write(NUMBERS)
        with pytest.raises(InvalidInput, match=message):
            tensor.write(wrong)
        assert np.array_equal(tensor.read(), NUMBERS)


def test_others_are_told_where_it_lies(cuda: HostCuda) -> None:
    """Numba's documentation, "CUDA Array Interface (Version 3)"."""
    with region_of(64) as region:
        (begin,) = cuda.blocks
        assert region.tensor("int16", (2, 3), 8).__cuda_array_interface__ == {
            "shape": (2, 3),
            "typestr": "<i2",
            "data": (begin + 8, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }
        assert region.tensor("int16", 0).__cuda_array_interface__["data"] == (0, False)


@pytest.mark.usefixtures("cuda")
def test_it_is_never_copied_to_the_host_unseen() -> None:
    with region_of(64) as region, pytest.raises(InvalidInput, match="read\\(\\) gives a NumPy"):
        np.asarray(region.tensor(np.float32, 3))


@pytest.mark.usefixtures("cuda")
def test_values_are_not_shown() -> None:
    with region_of(64, label="frames") as region:
        assert repr(region.tensor("float32", (2, 3))) == "CudaTensor(float32[2, 3] on GPU 0)"
        assert repr(region) == f"CudaRegion(64 bytes on GPU 0, {region.name})"
        assert region.name.endswith("_frames")
    assert repr(region) == "CudaRegion(64 bytes on GPU 0, not open)"


@pytest.mark.parametrize("shape", [np.int64(4), (np.int32(4),), [4]])
@pytest.mark.usefixtures("cuda")
def test_a_place_given_by_numpy_s_integers_is_one_of_python_s(shape: Any) -> None:
    with region_of(64) as region:
        tensor = region.tensor(np.float32, shape, np.int64(8))
        assert (tensor.shape, tensor.offset_bytes, tensor.nbytes) == ((4,), 8, 16)
        kinds = {type(one) for one in (*tensor.shape, tensor.offset_bytes, tensor.nbytes)}
    # JSON has no others.
    assert kinds == {int}


@pytest.mark.parametrize(
    ("dtype", "shape", "offset", "message"),
    [
        ("float32", 17, 0, "float32 \\[17\\] at offset_bytes 0 does not fit: the region has 64"),
        ("float32", 1, 2, "does not fit: .* lies at multiples of 4"),
        ("uint8", 1, -1, "does not fit"),
        ("uint8", (-1,), 0, "a size below 0"),
        (object, 1, 0, "object is no number: BYTES and the like go over the wire"),
        ("S5", 1, 0, "is no number"),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_a_tensor_that_cannot_be_is_refused(
    dtype: Any, shape: Any, offset: int, message: str
) -> None:
    with region_of(64) as region, pytest.raises(InvalidInput, match=message):
        region.tensor(dtype, shape, offset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size_bytes": 0}, "size_bytes 0 is not a number of at least 1"),
        ({"size_bytes": 1, "device_id": -1}, "device_id -1 is not a number of at least 0"),
        ({"size_bytes": 1, "device_id": True}, "device_id True is not"),
        ({"size_bytes": 1, "name": "a b"}, "name 'a b' is not of 1 to 64 letters"),
    ],
)
def test_a_region_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with Client("localhost:1") as client, pytest.raises(InvalidInput, match=message):
        client.cuda_shared_memory(**arguments)


@pytest.mark.usefixtures("cuda")
def test_outside_its_block_it_has_no_tensors() -> None:
    region = region_of(64)
    with pytest.raises(PlansmithClientError, match="is there within its block only"):
        region.tensor(np.float32, 1)
    with region, pytest.raises(PlansmithClientError, match="is open already"):
        region.__enter__()


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    "use",
    [
        lambda tensor: tensor.read(),
        lambda tensor: tensor.write(NUMBERS),
        lambda tensor: tensor.__cuda_array_interface__,
    ],
)
def test_after_its_block_a_tensor_says_so(use: Any) -> None:
    with region_of(64) as region:
        tensor = region.tensor(np.float32, (2, 3))
    with pytest.raises(PlansmithClientError, match="has ended, and its tensors with it"):
        use(tensor)


@pytest.mark.parametrize(
    ("cuda", "device_id", "reason"),
    [
        (HostCuda(device_count=0), 0, "invalid device ordinal"),
        (HostCuda(device_count=1), 1, "invalid device ordinal"),
        (HostCuda(room_bytes=63), 0, "out of memory"),
    ],
)
def test_without_such_a_gpu_or_room_there_it_says_so(
    cuda: HostCuda, device_id: int, reason: str
) -> None:
    message = f"64 bytes on GPU {device_id} cannot be had: {reason}: .* Send NumPy arrays"
    with host_cuda(cuda), pytest.raises(InvalidInput, match=message):
        region_of(64, device_id).__enter__()
    assert not cuda.blocks


def test_without_cuda_python_its_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda", None)
    line = r'CUDA shared memory is not installed: pip install "plansmith-client\[cuda\]"'
    with Client("localhost:1") as client, pytest.raises(MissingExtra, match=line):
        client.cuda_shared_memory(1).__enter__()


def test_nothing_is_allocated_before_the_block(cuda: HostCuda) -> None:
    with Client("localhost:1") as client:
        region = client.cuda_shared_memory(64)
        assert not cuda.blocks
        with region:
            assert len(cuda.blocks) == 1


@pytest.mark.usefixtures("cuda")
def test_a_call_that_has_an_output_written_there_is_never_repeated() -> None:
    call = InferCall(deadline=Deadline(1), model="m", inputs=())
    output = TensorMetadata(name="y", dtype="FP32", shape=(2, 3))
    metadata = ModelMetadata(
        name="m", version=None, versions=(1,), inputs=(), outputs=(output,), max_batch_size=0
    )
    with region_of(64) as region:
        placed = with_into(call, metadata, {"y": region.tensor(np.float32, (2, 3))})
    assert is_repeatable(call)
    assert not is_repeatable(placed)


# In a program of its own: the tests' process has threads, which a fork would lose.
FORKED = """
import os
import numpy as np
from host_cuda import host_cuda
from plansmith_client import Client, PlansmithClientError

with host_cuda() as cuda:
    client = Client("localhost:1")
    with client.cuda_shared_memory(64) as region:
        tensor = region.tensor(np.float32, 3)
        tensor.write(np.ones(3, np.float32))
        child = os.fork()
        if not child:
            for use in (tensor.read, lambda: tensor.__cuda_array_interface__):
                try:
                    use()
                except PlansmithClientError as error:
                    assert f"cannot be used in its fork {os.getpid()}" in str(error), error
                else:
                    os._exit(1)
            region.__exit__(None, None, None)
            # CUDA was not asked to free it: it could not.
            os._exit(0 if cuda.blocks else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert tensor.read().tolist() == [1, 1, 1]
    assert not cuda.blocks
"""


def test_a_fork_leaves_it_alone() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PATHS))}
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
