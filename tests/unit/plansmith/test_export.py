"""Export: one ONNX graph that answers for what callers send as the trained model does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from plansmith.errors import UnusableInput
from plansmith.export import export, fold_preprocess
from plansmith.recipe import Recipe, parse_recipe
from plansmith.recipe_functions import call_function

MODEL = Path(__file__).parents[3] / "model_repository" / "efficientnet_lite0"


def recipe_of(folder: Path) -> Recipe:
    return parse_recipe((folder / "recipe.toml").read_text())


def session_of(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_folded_preprocessing_equals_the_same_steps_in_numpy(layout: str) -> None:
    recipe = parse_recipe((MODEL / "recipe.toml").read_text().replace("NCHW", layout))
    (image,) = recipe.inputs
    assert image.preprocess is not None
    axes = ["batch", 3, 224, 224] if layout == "NCHW" else ["batch", 224, 224, 3]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in ("image", "logits")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["logits"])], "g", values[:1], values[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    (got,) = session_of(fold_preprocess(model, image, image.preprocess)).run(
        None, {"image": pixels}
    )
    want = (pixels.astype(np.float32) - 127) / 128
    np.testing.assert_array_equal(got, want.transpose(0, 3, 1, 2) if layout == "NCHW" else want)


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    return export(recipe_of(MODEL), MODEL)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_the_exported_model_takes_uint8_photos_of_any_batch(exported: onnx.ModelProto) -> None:
    session = session_of(exported)
    for batch in (1, 3):
        (logits,) = session.run(None, {"image": np.zeros((batch, 224, 224, 3), np.uint8)})
        assert logits.shape == (batch, 1000)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_the_exported_model_answers_as_pytorch_does_on_real_photos(
    exported: onnx.ModelProto,
) -> None:
    import torch
    from skimage import data

    photo = data.chelsea()[:224, 100:324]
    tensor = torch.from_numpy((photo.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.inference_mode():
        want = call_function("source.py:load", MODEL)(tensor).numpy()
    (got,) = session_of(exported).run(None, {"image": photo[None]})
    # Float32 sums in another order; logits are of the order of 10.
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert int(got.argmax()) in (281, 282, 285), "chelsea is a cat"


def test_the_evaluation_set_is_at_least_300_crops_and_always_the_same() -> None:
    first, again = (call_function("source.py:evaluation_images", MODEL) for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape[0] >= 300
    assert first.shape[1:] == (224, 224, 3)
    np.testing.assert_array_equal(first, again)


def test_a_missing_source_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"source\.py: no such file"):
        export(recipe_of(MODEL), tmp_path)


def test_a_missing_function_is_named(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text("")
    with pytest.raises(UnusableInput, match="has no function 'load'"):
        call_function("source.py:load", tmp_path)


@pytest.mark.parametrize(
    ("code", "line", "what"),
    [
        ("def load():\n    return open('weights.pt')\n", 2, "FileNotFoundError"),
        ("import no_such_package\n", 1, "no_such_package"),
        ("def load(:\n", 1, "SyntaxError"),
    ],
)
def test_a_failing_function_is_reported_at_its_own_line(
    tmp_path: Path, code: str, line: int, what: str
) -> None:
    (tmp_path / "source.py").write_text(code)
    with pytest.raises(UnusableInput, match=rf"source\.py:{line}: .*{what}"):
        call_function("source.py:load", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("shape = [1000]", "shape = [999]", r"output\.logits: the recipe says \[999\]"),
        ('dtype = "float32"', 'dtype = "float16"', "the model has float32"),
        ("[output.logits]", "[output.scores]", "the recipe names scores"),
    ],
)
def test_a_recipe_that_the_model_does_not_fit_is_refused(
    exported: onnx.ModelProto, tmp_path: Path, old: str, new: str, what: str
) -> None:
    onnx.save(exported, tmp_path / "m.onnx")
    text = (MODEL / "recipe.toml").read_text().replace(old, new)
    text = text.replace('torch = "source.py:load"', 'onnx = "m.onnx"')
    text = "\n".join(line for line in text.splitlines() if not line.startswith("preprocess"))
    with pytest.raises(UnusableInput, match=what):
        export(parse_recipe(text), tmp_path)


def test_a_fixed_batch_axis_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    recipe = parse_recipe(
        '[source]\nonnx = "m.onnx"\n[input.x]\ndtype = "float32"\nshape = [4]\n'
        '[output.y]\ndtype = "float32"\nshape = [4]\n[data]\nevaluation = "x.npy"\n'
        '[budget]\nmetric = "top1_agreement"\nmax_drop = 0.1\n[slo]\np99_ms = 10\n'
        '[targets]\norder = ["cpu"]\nmax_batch_size = 8\n'
    )
    with pytest.raises(
        UnusableInput, match=r"batch axis is fixed at 1, targets\.max_batch_size is 8"
    ):
        export(recipe, tmp_path)


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    text = (
        (MODEL / "recipe.toml").read_text().replace('torch = "source.py:load"', 'onnx = "m.onnx"')
    )
    with pytest.raises(UnusableInput, match=r"m\.onnx: not a readable ONNX file"):
        export(parse_recipe(text), tmp_path)
