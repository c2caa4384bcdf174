"""INT8 through NNCF on networks of a few layers, and the search for layers to keep."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from plansmith.compress.cpu_int8 import (
    Mixed,
    quantisable_layers,
    quantise,
    quantise_and_search,
)
from plansmith.compress.exact_int8 import has_exact_int8
from plansmith.compress.tuning import Tuning
from plansmith.errors import UnusableInput

ROWS = 64
IMAGES = {"x": np.random.default_rng(5).normal(size=(ROWS, 3, 12, 12)).astype(np.float32)}
VECTORS = {"x": np.random.default_rng(6).normal(size=(128, 32)).astype(np.float32)}


class Said:
    """A step that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def update(self, done: int, total: int, detail: str = "") -> None:
        self.told.append((done, total, detail))


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[np.float32]],
    shape: tuple[int, ...],
    batch: int | str = "batch",
) -> Path:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def convolutions(folder: Path) -> Path:
    """stem → depthwise → (+ stem's answer) → mean → fc, with biases; 100 kB of weights, in fc."""
    random = np.random.default_rng(0)

    def draw(*shape: int) -> NDArray[np.float32]:
        return random.normal(size=shape).astype(np.float32) / 4

    weights = {
        "w1": draw(48, 3, 3, 3),
        "b1": draw(48),
        "w2": draw(48, 1, 3, 3),
        "b2": draw(48),
        "w3": draw(48, 500),
        "b3": draw(500),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="stem", pads=[1] * 4),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2", "b2"], ["c2"], name="depthwise", group=48, pads=[1] * 4),
        node("Relu", ["c2"], ["r2"]),
        node("Add", ["r1", "r2"], ["sum"]),
        node("GlobalAveragePool", ["sum"], ["mean"]),
        node("Flatten", ["mean"], ["flat"]),
        node("MatMul", ["flat", "w3"], ["product"], name="fc"),
        node("Add", ["product", "b3"], ["logits"]),
    ]
    return save(folder / "convolutions.onnx", nodes, weights, (3, 12, 12))


@pytest.fixture(scope="module")
def plain(convolutions: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The same quantised whole, and the names that came back."""
    to = folder / "plain.xml"
    return to, quantise(convolutions, IMAGES, to)


@pytest.fixture(scope="module")
def guilty(folder: Path) -> Path:
    """first → guilty → last, where channel 0 between the first two is 1000 times the others.

    One scale for all channels of what `guilty` is given rounds the others to zero. Its weights undo
    the factor, so in FP32 all channels count alike.
    """
    random = np.random.default_rng(2)

    def draw(*shape: int) -> NDArray[np.float32]:
        return (random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = {"w1": draw(32, 48), "w2": draw(48, 48), "w3": 4 * draw(48, 6)}
    weights["w1"][:, 0] *= 1000
    weights["w2"][0] /= 1000
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w1"], ["first"], name="first"),
        node("MatMul", ["first", "w2"], ["guilty"], name="guilty"),
        node("Tanh", ["guilty"], ["bent"]),
        node("MatMul", ["bent", "w3"], ["logits"], name="last"),
    ]
    return save(folder / "guilty.onnx", nodes, weights, (32,))


@pytest.fixture(scope="module")
def tuning(guilty: Path) -> Tuning:
    return Tuning(
        feed=VECTORS, output="logits", kind="logits", original=answers(guilty, VECTORS), goal=0.1
    )


@pytest.fixture(scope="module")
def found(guilty: Path, tuning: Tuning, folder: Path) -> tuple[Mixed | None, Path, Said]:
    step = Said()
    to = folder / "mixed.xml"
    plain = folder / "searched.xml"
    found = quantise_and_search(guilty, tuning, plain_to=plain, mixed_to=to, step=step)
    return found.mixed, to, step


def answers(model: Path, feed: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return request.infer(feed)["logits"].copy()


def top1_agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def test_layers_with_fixed_weights_are_told_in_order(convolutions: Path) -> None:
    names = quantisable_layers(convolutions)
    assert len(names) == 3
    model = openvino.Core().read_model(convolutions)
    kinds = {op.friendly_name: op.get_type_name() for op in model.get_ops()}
    assert [kinds[name] for name in names] == ["Convolution", "GroupConvolution", "MatMul"]


def test_all_layers_are_quantised_and_named(
    plain: tuple[Path, tuple[str, ...]], convolutions: Path
) -> None:
    assert plain[1] == quantisable_layers(convolutions)


def test_weights_take_one_byte_each(plain: tuple[Path, tuple[str, ...]]) -> None:
    weights = 48 * 3 * 9 + 48 * 9 + 48 * 500
    size = plain[0].with_suffix(".bin").stat().st_size
    assert weights < size < 2 * weights


def test_each_channel_of_a_depthwise_layer_has_its_own_scale(
    plain: tuple[Path, tuple[str, ...]],
) -> None:
    model = openvino.Core().read_model(plain[0])
    layer = next(op for op in model.get_ops() if op.get_type_name() == "GroupConvolution")
    chain, shapes = layer.input_value(1).get_node(), []
    while chain.get_type_name() != "Constant":
        shapes += [list(port.shape) for port in chain.input_values()[1:]]
        chain = chain.input_value(0).get_node()
    assert [48, 1, 1, 1, 1] in shapes


def test_answers_stay_close_to_the_original(
    plain: tuple[Path, tuple[str, ...]], convolutions: Path
) -> None:
    """Within 5 % of the answers' own spread: 8 bits leave 1 % of a layer's range, of each of 3."""
    original, int8 = answers(convolutions, IMAGES), answers(plain[0], IMAGES)
    assert 0 < np.abs(original - int8).mean() < 0.05 * original.std()


def test_the_same_rows_give_the_same_model(
    plain: tuple[Path, tuple[str, ...]], convolutions: Path, tmp_path: Path
) -> None:
    quantise(convolutions, IMAGES, tmp_path / "again.xml")
    again = (tmp_path / "again.bin").read_bytes()
    assert again == plain[0].with_suffix(".bin").read_bytes()


def test_a_layer_that_is_kept_has_its_own_weights_and_bias(
    convolutions: Path, tmp_path: Path
) -> None:
    names = quantisable_layers(convolutions)
    left = quantise(convolutions, IMAGES, tmp_path / "kept.xml", keep=[names[1]])
    assert left == (names[0], names[2])
    model = openvino.Core().read_model(tmp_path / "kept.xml")
    layer = next(op for op in model.get_ops() if op.friendly_name == names[1])
    bias = next(iter(layer.output(0).get_target_inputs())).get_node().input_value(1).get_node()
    source = {
        one.name: numpy_helper.to_array(one) for one in onnx.load(convolutions).graph.initializer
    }
    np.testing.assert_array_equal(
        layer.input_value(1).get_node().data.ravel(), source["w2"].ravel()
    )
    np.testing.assert_array_equal(bias.data.ravel(), source["b2"])


def test_with_every_layer_kept_the_answers_are_the_original_s(
    convolutions: Path, tmp_path: Path
) -> None:
    left = quantise(
        convolutions, IMAGES, tmp_path / "all.xml", keep=quantisable_layers(convolutions)
    )
    assert left == ()
    # Only the order of sums may differ, which moves the last bits of a float32.
    np.testing.assert_allclose(
        answers(tmp_path / "all.xml", IMAGES), answers(convolutions, IMAGES), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("count", [0, 1, 31])
def test_too_few_rows_are_refused(convolutions: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(UnusableInput, match=f"{count} rows are too few"):
        quantise(convolutions, {"x": IMAGES["x"][:count]}, tmp_path / "model.xml")
    assert not list(tmp_path.iterdir())


def test_data_for_another_input_is_refused(convolutions: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"the data has y, .* takes x"):
        quantise(convolutions, {"y": IMAGES["x"]}, tmp_path / "model.xml")


def test_an_unknown_layer_to_keep_is_refused(convolutions: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no quantisable layer stemm"):
        quantise(convolutions, IMAGES, tmp_path / "model.xml", keep=["stemm"])


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "relu.onnx", [helper.make_node("Relu", ["x"], ["logits"])], {}, (4,))
    with pytest.raises(UnusableInput, match="nothing to quantise"):
        quantise(path, {"x": np.ones((ROWS, 4), np.float32)}, tmp_path / "model.xml")


def test_a_fixed_batch_axis_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["logits"])
    path = save(tmp_path / "relu.onnx", [node], {}, (4,), batch=2)
    with pytest.raises(UnusableInput, match="batch axis is fixed"):
        quantise(path, {"x": np.ones((ROWS, 4), np.float32)}, tmp_path / "model.xml")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UnusableInput, match=r"model\.onnx: OpenVINO cannot read it"):
        quantisable_layers(tmp_path / "model.onnx")


def test_it_says_nothing_leaves_nothing_at_home_and_loads_no_telemetry(
    convolutions: Path, tmp_path: Path
) -> None:
    """In a process of its own: under pytest NNCF switches its telemetry off by itself."""
    code = f"""
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from plansmith.compress.cpu_int8 import quantise
feed = {{"x": np.zeros((32, 3, 12, 12), np.float32)}}
quantise(Path({str(convolutions)!r}), feed, Path({str(tmp_path / "model.xml")!r}))
import nncf.telemetry.wrapper
print(type(nncf.telemetry.wrapper.telemetry).__name__)
"""
    home = tmp_path / "home"
    home.mkdir()
    unset = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**unset, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("MagicMock\n", "")
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("flags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: avx_vnni avx2\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("model name\t: avx512_vnni\n", False),
    ],
)
def test_exact_products_are_told_from_the_cpu_s_flags(
    tmp_path: Path, text: str, exact: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_exact_int8(tmp_path / "cpuinfo") is exact


def test_a_cpu_that_tells_nothing_is_not_trusted(tmp_path: Path) -> None:
    assert has_exact_int8(tmp_path / "missing") is False


def largest_weight(path: Path) -> int:
    model = openvino.Core().read_model(path)
    stored = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
    int8 = [op.data for op in stored if op.get_element_type() == openvino.Type.i8]
    # A depthwise layer, of one product per channel and tap, has no pairs that could overflow.
    paired = [array.astype(np.int64) for array in int8 if array.ndim < 5]
    return max(int(np.abs(array).max()) for array in paired)


@pytest.mark.parametrize(("exact", "largest"), [(False, 64), (True, 128)])
def test_half_the_range_is_used_where_products_would_overflow(
    convolutions: Path, tmp_path: Path, exact: bool, largest: int
) -> None:
    quantise(convolutions, IMAGES, tmp_path / "model.xml", exact_int8=exact)
    assert largest / 2 < largest_weight(tmp_path / "model.xml") <= largest


def test_plain_int8_loses_the_answers_of_a_model_with_one_large_channel(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    quantise(guilty, VECTORS, tmp_path / "plain.xml")
    assert top1_agreement(tuning.original, answers(tmp_path / "plain.xml", VECTORS)) < 0.7


def test_the_search_keeps_exactly_the_guilty_layer(
    found: tuple[Mixed | None, Path, Said], guilty: Path
) -> None:
    result, _, _ = found
    assert result is not None
    first, second, third = quantisable_layers(guilty)
    assert result.kept == (second,)
    assert result.quantised == (first, third)


def test_the_model_it_writes_has_the_loss_it_tells(
    found: tuple[Mixed | None, Path, Said], tuning: Tuning
) -> None:
    result, to, _ = found
    assert result is not None
    assert result.loss <= 0.1
    assert result.loss == pytest.approx(1 - top1_agreement(tuning.original, answers(to, VECTORS)))


def test_the_guilty_layer_s_harm_stands_out(
    found: tuple[Mixed | None, Path, Said], guilty: Path
) -> None:
    result, _, _ = found
    assert result is not None
    harms = {layer.name: layer.harm for layer in result.ranking}
    first, second, third = quantisable_layers(guilty)
    assert harms[second] > 10 * max(harms[first], harms[third])


def test_progress_is_told_for_each_layer_and_each_try(
    found: tuple[Mixed | None, Path, Said],
) -> None:
    result, _, step = found
    assert result is not None
    assert len(step.told) == 1 + 3 + result.tries
    assert all(0 <= done <= total for done, total, _ in step.told)


def test_a_goal_that_plain_int8_meets_needs_no_mix(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    plain, mixed = tmp_path / "plain.xml", tmp_path / "mixed.xml"
    lax = replace(tuning, goal=1.0)
    found = quantise_and_search(guilty, lax, plain_to=plain, mixed_to=mixed, step=Said())
    assert found.mixed is None
    assert found.quantised == quantisable_layers(guilty)
    assert found.loss == pytest.approx(1 - top1_agreement(tuning.original, answers(plain, VECTORS)))
    assert not mixed.exists()


def test_a_goal_out_of_reach_gives_plain_int8_alone(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    plain, mixed = tmp_path / "plain.xml", tmp_path / "mixed.xml"
    other = replace(tuning, original=np.roll(tuning.original, 1, axis=1))
    found = quantise_and_search(guilty, other, plain_to=plain, mixed_to=mixed, step=Said())
    assert found.mixed is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.bin", "plain.xml"]
