"""2:4: of every four weights that are summed the two smallest are zero, as ModelOpt has it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from plansmith.compress.sparse import is_2_4, to_2_4

RNG = np.random.default_rng(11)


def draw(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def build(nodes: list[onnx.NodeProto], weights: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
    )


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def largest_two_of_four(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The definition: `array` with the two smallest magnitudes of each four set to zero."""
    kept = array.copy()
    lines = np.moveaxis(kept, axis, -1)  # a view
    for place in np.ndindex(lines.shape[:-1]):
        for start in range(0, lines.shape[-1], 4):
            four = lines[place][start : start + 4]
            four[np.abs(four) <= sorted(np.abs(four))[1]] = 0
    return kept


@pytest.mark.parametrize(
    ("op_type", "attributes", "shape", "axis"),
    [
        ("Conv", {}, (8, 16, 3, 3), 1),
        ("Conv", {"group": 2}, (8, 16, 1, 1), 1),
        ("Gemm", {}, (32, 8), 0),
        ("Gemm", {"transB": 1}, (8, 32), 1),
        ("MatMul", {}, (32, 8), 0),
    ],
)
def test_the_two_largest_of_four_summed_weights_stay(
    op_type: str, attributes: dict[str, int], shape: tuple[int, ...], axis: int
) -> None:
    array = draw(*shape)
    node = helper.make_node(op_type, ["x", "w"], ["y"], name="layer", **attributes)
    sparse, report = to_2_4(build([node], {"w": array}))
    np.testing.assert_array_equal(weights_of(sparse)["w"], largest_two_of_four(array, axis))
    assert is_2_4(weights_of(sparse)["w"], axis)
    assert not is_2_4(array, axis)
    assert (report.layers, report.skipped, report.zero_share) == (("layer",), (), 0.5)


def test_the_model_itself_is_left_dense() -> None:
    array = draw(8, 16, 1, 1)
    model = build([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": array})
    to_2_4(model)
    np.testing.assert_array_equal(weights_of(model)["w"], array)


@pytest.mark.parametrize(
    ("op_type", "attributes", "shape"),
    [
        pytest.param("Conv", {}, (8, 3, 3, 3), id="three input channels"),
        pytest.param("Conv", {}, (6, 16, 3, 3), id="six output channels"),
        pytest.param("Conv", {"group": 16}, (16, 1, 3, 3), id="depthwise"),
        pytest.param("ConvTranspose", {}, (16, 16, 3, 3), id="transposed"),
        pytest.param("MatMul", {}, (2, 16, 16), id="batched"),
    ],
)
def test_shapes_without_sparse_kernels_are_skipped_and_told(
    op_type: str, attributes: dict[str, int], shape: tuple[int, ...]
) -> None:
    array = draw(*shape)
    node = helper.make_node(op_type, ["x", "w"], ["y"], name="layer", **attributes)
    sparse, report = to_2_4(build([node], {"w": array}))
    np.testing.assert_array_equal(weights_of(sparse)["w"], array)
    assert (report.layers, report.skipped, report.zero_share) == ((), ("layer",), 0.0)


def test_weights_that_something_else_reads_are_skipped() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="layer"),
        helper.make_node("Add", ["a", "w"], ["y"], name="reader"),
    ]
    array = draw(16, 16)
    sparse, report = to_2_4(build(nodes, {"w": array}))
    np.testing.assert_array_equal(weights_of(sparse)["w"], array)
    assert report.skipped == ("layer",)


def test_the_share_of_zeros_is_that_of_all_weights() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["a"], name="stem"),
        helper.make_node("Conv", ["a", "body"], ["y"], name="body"),
    ]
    weights = {"stem": draw(16, 3, 1, 1), "body": draw(16, 16, 1, 1)}
    _, report = to_2_4(build(nodes, weights))
    assert (report.layers, report.skipped) == (("body",), ("stem",))
    assert report.zero_share == pytest.approx(128 / (48 + 256))


def test_a_model_without_weights_has_no_zeros() -> None:
    _, report = to_2_4(build([helper.make_node("Relu", ["x"], ["y"])], {}))
    assert (report.layers, report.zero_share) == ((), 0.0)


def test_weights_are_those_of_modelopt_s_torch_mode() -> None:
    """The same network, made sparse as a torch module by ModelOpt, has the same weights."""
    pytest.importorskip("huggingface_hub", reason="modelopt.torch does not load without it")
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.Conv2d(16, 16, 3), torch.nn.Flatten()
    ).append(torch.nn.Linear(16 * 16, 8))
    dense, report = to_2_4(export(module))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ModelOpt's, on what it skips
        import modelopt.torch.sparsity as mts

        mts.export(mts.sparsify(module, "sparse_magnitude"))
    want = {name: value.detach().numpy() for name, value in module.named_parameters()}
    got = weights_of(dense)
    assert set(got) == set(want)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)
    assert len(report.layers) == 2
    assert report.skipped == ("/0/Conv",)


def export(module: Any) -> onnx.ModelProto:
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the tracing exporter
        torch.onnx.export(module, (torch.zeros(2, 3, 8, 8),), buffer, dynamo=False)
    return onnx.load_from_string(buffer.getvalue())


ARRAYS = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=1, max_dims=4, max_side=9),
    elements=st.sampled_from([0.0, 0.0, 1.0]),
)


@given(array=ARRAYS, data=st.data())
def test_is_2_4_counts_every_aligned_four(array: NDArray[np.float32], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    lines = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])
    want = all(
        np.count_nonzero(line[start : start + 4]) <= 2
        for line in lines
        for start in range(0, len(line), 4)
    )
    assert is_2_4(array, axis) == want
