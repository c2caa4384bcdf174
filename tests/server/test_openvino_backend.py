"""The OpenVINO backend in Python keeps what the C++ one promises: each request its own answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from onnx import helper
from tritonclient.utils import InferenceServerException

from backend_models import (
    FOLD_CONSTANTS,
    FOLD_NODES,
    Caller,
    Network,
    Value,
    parameters,
    write_model,
)
from openvino_models import Graph, spec, variant, write_version
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client, ServerFault
from python_models import CONFIG_NAME
from real_server import Serve, regions

WEIGHTS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
# Float32 sums of eight products in another order.
TOLERANCE = 1e-5
# In the queue until there are four of them, for any machine at all.
DELAY_US = 2_000_000

# y = x @ WEIGHTS: each item [8] → [3].
PRODUCT = Graph(
    inputs=(spec("x", 8),),
    outputs=(spec("y", 3),),
    nodes=[helper.make_node("MatMul", ["x", "w"], ["y"])],
    constants={"w": WEIGHTS},
)
# y = a + b of any length; nothing but the sum itself checks that theirs is the same.
SUM = Graph(
    inputs=(spec("a", -1), spec("b", -1)),
    outputs=(spec("y", -1),),
    nodes=[helper.make_node("Add", ["a", "b"], ["y"])],
    constants={},
)
# The whole request [rows, 8] is one item.
UNBATCHED = Graph(
    inputs=(spec("x", -1, 8),),
    outputs=(spec("y", -1, 3),),
    nodes=PRODUCT.nodes,
    constants=PRODUCT.constants,
    batched=False,
)
# total = a + b and scaled = 2 * total, so that one output is on the way to the other.
PAIR = Graph(
    inputs=(spec("a", 4), spec("b", 4)),
    outputs=(spec("scaled", 4), spec("total", 4)),
    nodes=[
        helper.make_node("Add", ["a", "b"], ["total"]),
        helper.make_node("Mul", ["total", "two"], ["scaled"]),
    ],
    constants={"two": np.array([2], np.float32)},
)
FOLDED = Graph(
    inputs=(spec("x", 4), spec("width", 1, dtype="int64")),
    outputs=(spec("y", 4),),
    nodes=FOLD_NODES,
    constants=FOLD_CONSTANTS,
)


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("openvino")
    write_version(repository, "static", PRODUCT, variant())
    write_version(repository, "dynamic", PRODUCT, variant(static=False))
    write_version(repository, "instances", PRODUCT, variant(streams=2))
    whole = variant(batch_size=1, static=False)
    write_version(repository, "unbatched", UNBATCHED, whole, max_batch_size=0)
    write_version(repository, "sum", SUM, variant(static=False))
    write_version(repository, "pair", PAIR, variant())
    write_version(
        repository,
        "folded",
        FOLDED,
        variant(static=False),
        max_queue_delay_microseconds=DELAY_US,
    )
    with serve(repository) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.grpc_url) as client:
        yield client


def rows(seed: int, count: int, width: int = 8) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("model", ["static", "dynamic", "instances", "unbatched"])
def test_concurrent_batches_of_all_sizes_get_their_own_answers(client: Client, model: str) -> None:
    served = client.model(model)
    feeds = [rows(seed, 1 + seed % 4) for seed in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(served, feeds))
    for feed, answer in zip(feeds, answers, strict=True):
        np.testing.assert_allclose(answer, feed @ WEIGHTS, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("model", ["static", "dynamic", "instances"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_lone_batch_is_answered(client: Client, model: str, count: int) -> None:
    feed = rows(count, count)
    np.testing.assert_allclose(
        client.model(model)(feed), feed @ WEIGHTS, rtol=TOLERANCE, atol=TOLERANCE
    )


def test_two_inputs_and_two_outputs_are_not_mixed_up(client: Client) -> None:
    a, b = rows(1, 3, 4), rows(2, 3, 4)
    outputs = client.model("pair").infer({"a": a, "b": b})
    assert outputs.keys() == {"scaled", "total"}
    np.testing.assert_allclose(outputs["total"], a + b, rtol=TOLERANCE)
    np.testing.assert_allclose(outputs["scaled"], 2 * (a + b), rtol=TOLERANCE)


def test_one_of_two_outputs_can_be_asked_for(client: Client) -> None:
    a, b = rows(1, 3, 4), rows(2, 3, 4)
    outputs = client.model("pair").infer({"a": a, "b": b}, ["total"])
    assert outputs.keys() == {"total"}
    np.testing.assert_allclose(outputs["total"], a + b, rtol=TOLERANCE)


def test_only_a_request_of_the_wrong_shape_fails(client: Client) -> None:
    served = client.model("sum")
    feeds = [
        {"a": rows(seed, 2), "b": rows(seed + 1, 2, width=5 if seed % 5 == 0 else 8)}
        for seed in range(50)
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(served.infer, feed) for feed in feeds]
    for feed, answer in zip(feeds, answers, strict=True):
        if feed["b"].shape[1] == 8:
            np.testing.assert_allclose(answer.result()["y"], feed["a"] + feed["b"], atol=TOLERANCE)
        else:
            with pytest.raises(ServerFault, match="openvino"):
                answer.result()


def test_only_the_request_that_breaks_its_batch_fails(client: Client) -> None:
    served = client.model("folded")
    feeds = [
        {"x": rows(seed, 1, 4), "width": np.array([[width]])}
        for seed, width in enumerate((1, 2, 4, 1001))
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(served.infer, feed) for feed in feeds]
    for feed, answer in zip(feeds[:3], answers[:3], strict=True):
        np.testing.assert_array_equal(answer.result()["y"], feed["x"])
    with pytest.raises(ServerFault, match="openvino"):
        answers[3].result()


def test_leaving_ends_every_stub_and_its_memory(server_files: ServerFiles, tmp_path: Path) -> None:
    repository, logs = tmp_path / "repository", tmp_path / "logs"
    write_version(repository, "instances", PRODUCT, variant(streams=2))
    with serving(server_files, repository, CONFIG_NAME, free_ports(), logs) as running:
        processes = psutil.Process(running.process.pid).children(recursive=True)
        assert len(processes) >= 2
        assert regions(os.getpid(), running.ports)
        with Client(running.grpc_url) as client:
            client.model("instances")(rows(0, 2))
        log = running.log
    assert running.process.returncode == 0
    assert not [one for one in processes if one.is_running()]
    assert not regions(os.getpid(), running.ports)
    assert "successfully unloaded 'instances' version 1" in log.read_text()


def test_a_fixed_batch_size_takes_smaller_batches_only_filled_up(
    serve: Serve, tmp_path: Path
) -> None:
    network = Network(
        inputs=(Value("x", ("batch", 2)),),
        outputs=(Value("y", ("batch", 2)),),
        nodes=[helper.make_node("Add", ["x", "one"], ["y"])],
        constants={"one": np.array([1], np.float32)},
    )
    fixed = {"SKIP_OV_DYNAMIC_BATCHSIZE": "YES"}
    filled = fixed | {"ENABLE_BATCH_PADDING": "YES"}
    write_model(tmp_path, "openvino", "fixed", network, more=parameters(fixed))
    write_model(tmp_path, "openvino", "filled", network, more=parameters(filled))
    whole, part = rows(1, 4, 2), rows(2, 3, 2)
    with serve(tmp_path) as running:
        call = Caller(running.grpc_url)
        for model in ("fixed", "filled"):
            np.testing.assert_allclose(call(model, {"x": whole})["y"], whole + 1)
        np.testing.assert_allclose(call("filled", {"x": part})["y"], part + 1)
        with pytest.raises(InferenceServerException, match="ENABLE_BATCH_PADDING"):
            call("fixed", {"x": part})


def test_inputs_take_the_configs_shapes_where_it_says_so(serve: Serve, tmp_path: Path) -> None:
    network = Network(
        inputs=(Value("x", (1, 3, 4)),),
        outputs=(Value("y", (1, 3)),),
        nodes=[helper.make_node("ReduceSum", ["x", "last"], ["y"], keepdims=0)],
        constants={"last": np.array([2])},
    )
    wider = (
        'input [{ name: "x" data_type: TYPE_FP32 dims: [3, -1] }]\n'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]\n'
    )
    more = parameters({"RESHAPE_IO_LAYERS": "yes"})
    write_model(tmp_path, "openvino", "wider", network, tensors=wider, more=more)
    x = rows(1, 6, 7).reshape(2, 3, 7)
    with serve(tmp_path) as running:
        found = Caller(running.grpc_url)("wider", {"x": x})
    np.testing.assert_allclose(found["y"], x.sum(2), atol=TOLERANCE)
