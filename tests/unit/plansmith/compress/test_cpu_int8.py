"""INT8 through NNCF: every layer with weights, close to the original; layers may be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import helper, numpy_helper

from int8_networks import IMAGES, ROWS, answers, save, save_convolutions
from plansmith.compress.cpu_int8 import quantisable_layers, quantise
from plansmith.errors import UnusableInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def convolutions(folder: Path) -> Path:
    return save_convolutions(folder / "convolutions.onnx")


@pytest.fixture(scope="module")
def plain(convolutions: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The same quantised whole, and the names that came back."""
    to = folder / "plain.xml"
    return to, quantise(convolutions, IMAGES, to)


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
