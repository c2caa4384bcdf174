"""How both Python-based backends load models, refuse what is wrong, and unload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from tritonclient.utils import InferenceServerException

from backend_models import ADD, BACKENDS, Caller, parameters, rows_of, write_model
from plansmith.server import SHARED_MEMORY, Server, free_ports, serving
from plansmith.server_files import ServerFiles
from python_models import CONFIG_NAME
from real_server import survivors

# What each backend refuses: parameters (or, under "", other text), and the words that tell.
BAD = {
    "onnxruntime": {
        "threads": ({"intra_op_thread_count": "many"}, "intra_op_thread_count"),
        "negative": ({"inter_op_thread_count": "-1"}, "inter_op_thread_count"),
        "mode": ({"execution_mode": "2"}, "execution_mode"),
        "arena": ({"enable_mem_arena": "maybe"}, "enable_mem_arena"),
        "shrinkage": (
            {"memory.enable_memory_arena_shrinkage": "cpu:0", "enable_mem_arena": "0"},
            "memory.enable_memory_arena_shrinkage",
        ),
        "level": ({"": "optimization { graph { level: 7 } }"}, "optimization.graph.level"),
        "accelerator": (
            {
                "": "optimization { execution_accelerators { "
                'cpu_execution_accelerator [{ name: "openvino" }] } }'
            },
            "cpu_execution_accelerator",
        ),
    },
    "openvino": {
        "threads": ({"INFERENCE_NUM_THREADS": "many"}, "INFERENCE_NUM_THREADS"),
        "streams": ({"NUM_STREAMS": "0"}, "NUM_STREAMS"),
        "bf16": ({"HINT_BF16": "maybe"}, "HINT_BF16"),
        "sizes": ({"STATIC_BATCH_SIZES": "4,2"}, "STATIC_BATCH_SIZES"),
        "hint": ({"PERFORMANCE_HINT": "FAST"}, "PERFORMANCE_HINT"),
        "extension": ({"CPU_EXTENSION_PATH": "/lib/x.so"}, "CPU_EXTENSION_PATH"),
    },
}
GOOD = {
    "onnxruntime": {
        "intra_op_thread_count": "1",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
        "enable_mem_arena": "1",
        "enable_mem_pattern": "0",
        "memory.enable_memory_arena_shrinkage": "cpu:0",
        "session.use_device_allocator_for_initializers": "1",
        "share_session_between_instances": "true",
    },
    "openvino": {
        "NUM_STREAMS": "AUTO",
        "INFERENCE_NUM_THREADS": "2",
        "COMPILATION_NUM_THREADS": "1",
        "PERFORMANCE_HINT": "latency",
        "HINT_BF16": "NO",
        "RESHAPE_IO_LAYERS": "YES",
        "ENABLE_BATCH_PADDING": "YES",
    },
}
BAD_CASES = [(backend, case) for backend, cases in BAD.items() for case in cases]
TENSORS = {
    "datatype": (
        'input [{ name: "x" data_type: TYPE_INT64 dims: [2] }]'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [2] }]',
        'input "x": TYPE_INT64 in the configuration, TYPE_FP32 in the model',
    ),
    "dims": (
        'input [{ name: "x" data_type: TYPE_FP32 dims: [2] }]'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]',
        'output "y": [-1, 3] in the configuration (with the batch axis), [-1, 2] in the model',
    ),
    "name": (
        'input [{ name: "z" data_type: TYPE_FP32 dims: [2] }]'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [2] }]',
        'input "z": the model has none of that name, only "x"',
    ),
}


@dataclass(frozen=True, kw_only=True)
class Managed:
    """A server that loads models when it is asked to."""

    server: Server
    call: Caller

    def load(self, model: str) -> str:
        """What the server says against it; nothing if it is loaded."""
        try:
            self.call.client.load_model(model)
        except InferenceServerException as error:
            return error.message() or ""
        return ""

    def stubs(self) -> tuple[psutil.Process, ...]:
        return tuple(psutil.Process(self.server.process.pid).children(recursive=True))

    def regions(self) -> set[Path]:
        return set(SHARED_MEMORY.glob(f"plansmith_*_{self.server.ports.grpc}_*"))


def write_models(repository: Path, backend: str) -> None:
    for case, (texts, _) in BAD[backend].items():
        texts = dict(texts)
        more = texts.pop("", "")
        write_model(repository, backend, f"{backend}_{case}", ADD, more=more + parameters(texts))
    for case, (tensors, _) in TENSORS.items():
        write_model(repository, backend, f"{backend}_{case}", ADD, tensors=tensors)
    write_model(repository, backend, f"{backend}_good", ADD, more=parameters(GOOD[backend]))
    write_model(repository, backend, f"{backend}_plain", ADD)
    write_model(
        repository,
        backend,
        f"{backend}_unknown",
        ADD,
        more=parameters({"no_such_parameter": "at all"}),
    )
    named = write_model(
        repository,
        backend,
        f"{backend}_named",
        ADD,
        file="net.xml" if backend == "openvino" else "net.onnx",
    )
    config = named / "config.pbtxt"
    name = next((named / "1").glob("net.*[lx]")).name
    config.write_text(config.read_text() + f'default_model_filename: "{name}"\n')
    broken = write_model(repository, backend, f"{backend}_broken", ADD)
    for file in (broken / "1").glob("model.*[lx]"):
        file.write_text("no network")


@pytest.fixture(scope="module")
def managed(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Managed]:
    repository = tmp_path_factory.mktemp("loading")
    for backend in BACKENDS:
        write_models(repository, backend)
    logs = tmp_path_factory.mktemp("logs")
    models = ("onnxruntime_plain",)
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, models, drain=False
    ) as server:
        yield Managed(server=server, call=Caller(server.grpc_url))


@pytest.mark.parametrize(("backend", "case"), BAD_CASES)
def test_a_bad_value_fails_the_load_and_is_named(managed: Managed, backend: str, case: str) -> None:
    assert BAD[backend][case][1] in managed.load(f"{backend}_{case}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", TENSORS)
def test_a_config_that_does_not_fit_the_network_fails_the_load(
    managed: Managed, backend: str, case: str
) -> None:
    assert TENSORS[case][1] in managed.load(f"{backend}_{case}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_broken_file_fails_the_load_and_is_named(managed: Managed, backend: str) -> None:
    message = managed.load(f"{backend}_broken")
    assert "/1/model." in message
    assert "does not take it" in message or "cannot read it" in message


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", ["good", "unknown", "named"])
def test_good_parameters_unknown_ones_and_another_file_name_are_served(
    managed: Managed, backend: str, model: str
) -> None:
    assert not managed.load(f"{backend}_{model}")
    x = rows_of(1, 3, 2)
    np.testing.assert_allclose(managed.call(f"{backend}_{model}", {"x": x})["y"], x + 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unloaded_model_leaves_no_process_and_no_memory_and_comes_back(
    managed: Managed, backend: str
) -> None:
    name, x = f"{backend}_plain", rows_of(1, 2, 2)
    managed.call.client.unload_model(name)
    before = managed.stubs()
    _wait_unloaded(managed, name)
    regions = managed.regions()
    assert not managed.load(name)
    np.testing.assert_allclose(managed.call(name, {"x": x})["y"], x + 1)
    started = tuple(one for one in managed.stubs() if one not in before)
    assert started
    assert managed.regions() > regions
    managed.call.client.unload_model(name)
    assert not survivors(started)
    _wait_unloaded(managed, name)
    assert managed.regions() == regions
    assert not managed.load(name)
    np.testing.assert_allclose(managed.call(name, {"x": x})["y"], x + 1)


def _wait_unloaded(managed: Managed, name: str) -> None:
    """Unloading goes on after the server has answered: until no stub runs this model's file."""
    mine = [one for one in managed.stubs() if any(f"/{name}/" in part for part in one.cmdline())]
    assert not survivors(tuple(mine))
