"""What both Python-based backends do alike, as the C++ ones do: tensors, batches and errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tritonclient.utils import InferenceServerException

from backend_models import (
    BACKENDS,
    FOLD_CONSTANTS,
    FOLD_NODES,
    Caller,
    Network,
    Value,
    batching,
    described,
    rows_of,
    write_model,
)
from real_server import Serve

NUMBERS = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    # OpenVINO's CPU plugin computes INT64 in 32 bits.
    "INT64": np.array([[-(2**31), 2**31 - 1]], np.int64),
    "FP16": np.array([[0.5, 65504]], np.float16),
    "FP32": np.array([[0.1, -3e38]], np.float32),
    "FP64": np.array([[0.1, -1e300]], np.float64),
}

# total = a + b, doubled = 2 * total, for items of any length.
SUM = Network(
    inputs=(Value("a", ("batch", "length")), Value("b", ("batch", "length_b"))),
    outputs=(Value("doubled", ("batch", "length")), Value("total", ("batch", "length"))),
    nodes=[
        helper.make_node("Add", ["a", "b"], ["total"]),
        helper.make_node("Mul", ["total", "two"], ["doubled"]),
    ],
    constants={"two": np.array([2], np.float32)},
)
# mean: of each channel of images of any size. rows: as many as the inference has, in each of them.
IMAGE = Network(
    inputs=(Value("image", ("batch", 3, "height", "width")),),
    outputs=(Value("mean", ("batch", 3)), Value("rows", ("batch", 1), "INT64")),
    nodes=[
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["size"], axis=0),
        helper.make_node("Expand", ["count", "size"], ["rows"]),
    ],
    constants={"first": np.array([0]), "one": np.array([1])},
)
FOLDED = Network(
    inputs=(Value("x", ("batch", 4)), Value("width", ("batch", 1), "INT64")),
    outputs=(Value("y", ("batch", 4)),),
    nodes=FOLD_NODES,
    constants=FOLD_CONSTANTS,
)
IDENTITIES = Network(
    inputs=tuple(Value(f"in_{name}", ("batch", 2), name) for name in NUMBERS),
    outputs=tuple(Value(f"out_{name}", ("batch", 2), name) for name in NUMBERS),
    nodes=[helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in NUMBERS],
)
# The batch is the only axis that the network has: y = x + 1 for one value each.
SCALAR = Network(
    inputs=(Value("x", ("batch",)),),
    outputs=(Value("y", ("batch",)),),
    nodes=[helper.make_node("Add", ["x", "one"], ["y"])],
    constants={"one": np.array([1], np.float32)},
)
RESHAPED = (
    'input [{ name: "x" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }]\n'
    'output [{ name: "y" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }]\n'
)


def write_models(repository: Path, backend: str) -> None:
    def write(name: str, network: Network, **how: Any) -> None:
        write_model(repository, backend, f"{backend}_{name}", network, **how)

    ragged = described("input", IMAGE.inputs, 4).replace(" }", " allow_ragged_batch: true }")
    write("sum", SUM)
    write("whole", SUM, max_batch_size=0)
    write("image", IMAGE, more=batching(4))
    write(
        "ragged",
        IMAGE,
        tensors=ragged + described("output", IMAGE.outputs, 4),
        more=batching(4),
    )
    write("folded", FOLDED, more=batching(4))
    write("identities", IDENTITIES)
    write("scalar", SCALAR, tensors=RESHAPED)


@pytest.fixture(scope="module")
def call(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    repository = tmp_path_factory.mktemp("contract")
    for backend in BACKENDS:
        write_models(repository, backend)
    with serve(repository) as server:
        yield Caller(server.grpc_url)


pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.mark.parametrize("length", [1, 7, 100])
def test_an_axis_besides_the_batch_may_be_free(call: Caller, backend: str, length: int) -> None:
    a, b = rows_of(1, 3, length), rows_of(2, 3, length)
    found = call(f"{backend}_sum", {"a": a, "b": b})
    np.testing.assert_allclose(found["total"], a + b, rtol=1e-6)
    np.testing.assert_allclose(found["doubled"], 2 * (a + b), rtol=1e-6)


def test_only_the_outputs_asked_for_are_sent(call: Caller, backend: str) -> None:
    a, b = rows_of(1, 2, 5), rows_of(2, 2, 5)
    found = call(f"{backend}_sum", {"b": b, "a": a}, ["total"])
    assert found.keys() == {"total"}
    np.testing.assert_allclose(found["total"], a + b, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (5, 2), (0, 2)])
def test_a_model_without_batches_takes_any_number_of_rows(
    call: Caller, backend: str, shape: tuple[int, int]
) -> None:
    a, b = rows_of(1, *shape), rows_of(2, *shape)
    found = call(f"{backend}_whole", {"a": a, "b": b})["total"]
    assert found.shape == shape
    np.testing.assert_allclose(found, a + b, rtol=1e-6)


def test_side_by_side_requests_without_batches_keep_their_own_answers(
    call: Caller, backend: str
) -> None:
    feeds = [{"a": rows_of(n, 1 + n % 3, 4), "b": rows_of(n + 1, 1 + n % 3, 4)} for n in range(40)]
    for feed, found in zip(feeds, call.all_at_once(f"{backend}_whole", feeds), strict=True):
        assert isinstance(found, dict)
        np.testing.assert_allclose(found["total"], feed["a"] + feed["b"], rtol=1e-6)


def test_every_datatype_comes_back_as_it_went(call: Caller, backend: str) -> None:
    found = call(f"{backend}_identities", {f"in_{name}": one for name, one in NUMBERS.items()})
    for name, sent in NUMBERS.items():
        assert found[f"out_{name}"].dtype == sent.dtype
        np.testing.assert_array_equal(found[f"out_{name}"], sent)


def test_an_item_of_one_value_may_lose_its_axis(call: Caller, backend: str) -> None:
    found = call(f"{backend}_scalar", {"x": np.array([[1], [2]], np.float32)})["y"]
    np.testing.assert_array_equal(found, [[2], [3]])


def test_requests_of_one_batch_are_one_inference(call: Caller, backend: str) -> None:
    feeds = [{"image": rows_of(seed, 1, 3, 4, 5)} for seed in range(4)]
    for feed, found in zip(feeds, call.all_at_once(f"{backend}_image", feeds), strict=True):
        assert isinstance(found, dict)
        np.testing.assert_allclose(found["mean"], feed["image"].mean((2, 3)), atol=1e-6)
        np.testing.assert_array_equal(found["rows"], [[4]])


def test_requests_of_unlike_shapes_are_one_inference_for_each_shape(
    call: Caller, backend: str
) -> None:
    sizes = [(4, 5), (6, 2), (4, 5), (4, 5)]
    feeds = [{"image": rows_of(seed, 1, 3, *size)} for seed, size in enumerate(sizes)]
    answers = call.all_at_once(f"{backend}_ragged", feeds)
    for feed, found, rows in zip(feeds, answers, (3, 1, 3, 3), strict=True):
        assert isinstance(found, dict)
        np.testing.assert_allclose(found["mean"], feed["image"].mean((2, 3)), atol=1e-6)
        np.testing.assert_array_equal(found["rows"], [[rows]])


def test_only_the_request_that_breaks_its_batch_fails(call: Caller, backend: str) -> None:
    feeds = [
        {"x": rows_of(seed, 1, 4), "width": np.array([[width]])}
        for seed, width in enumerate((1, 2, 4, 1001))
    ]
    *good, bad = call.all_at_once(f"{backend}_folded", feeds)
    for feed, found in zip(feeds, good, strict=False):
        assert isinstance(found, dict)
        np.testing.assert_array_equal(found["y"], feed["x"])
    assert isinstance(bad, str)
    assert bad.startswith(f"{backend}: ")
    assert "1001" in bad


def test_a_request_that_the_network_cannot_take_gets_the_reason(call: Caller, backend: str) -> None:
    with pytest.raises(InferenceServerException, match=f"{backend}: "):
        call(f"{backend}_sum", {"a": rows_of(1, 2, 8), "b": rows_of(2, 2, 5)})
    # And the model goes on.
    a = rows_of(1, 2, 8)
    np.testing.assert_allclose(call(f"{backend}_sum", {"a": a, "b": a})["total"], 2 * a)
