"""A server with models of free sizes; it and its clients share /dev/shm. And one with a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_server import GpuServer
from gpu_serving import gpu_serving
from host_cuda import HostCuda, host_cuda
from plansmith.server import Server
from python_models import FAIL, Tensor, write_model
from real_server import Serve, url_of
from shared_memory import SLOW_S
from twins import Connect

# Its output has as many times the input as the first number says.
_GROWING = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            answer = pb_utils.Tensor("x_out", np.tile(x, int(x[0])))
            answers.append(pb_utils.InferenceResponse([answer]))
        return answers
"""


@pytest.fixture(scope="package")
def memory_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("memory")
    free = [Tensor("x", "FP32", "-1")]
    several = [Tensor("x", "FP32", "-1"), Tensor("y", "FP16", "-1"), Tensor("text", "STRING", "-1")]
    write_model(repository, "echo", free, max_batch_size=0)
    write_model(repository, "several", several, max_batch_size=0)
    write_model(repository, "slow", free, max_batch_size=0, before=f"time.sleep({SLOW_S})")
    write_model(repository, "failing", free, max_batch_size=0, before=FAIL)
    write_model(repository, "growing", free, max_batch_size=0)
    (repository / "growing" / "1" / "model.py").write_text(_GROWING)
    return repository


@pytest.fixture(scope="package")
def memory_server(memory_repository: Path, serve: Serve) -> Iterator[Server]:
    with serve(memory_repository) as running:
        yield running


@pytest.fixture
def url(memory_server: Server, protocol: str) -> str:
    return url_of(memory_server, protocol)


@pytest.fixture
def cuda() -> Iterator[HostCuda]:
    with host_cuda(HostCuda(device_count=2)) as found:
        yield found


@pytest.fixture
def gpu(cuda: HostCuda) -> GpuServer:
    """A stand-in: a Triton opens nothing on a machine without a GPU."""
    return GpuServer(cuda=cuda)


@pytest.fixture
def gpu_url(gpu: GpuServer, protocol: str) -> Iterator[str]:
    with gpu_serving(gpu, protocol) as found:
        yield found


@pytest.fixture
def gpu_client(connect: Connect, gpu_url: str) -> Any:
    return connect(gpu_url)
