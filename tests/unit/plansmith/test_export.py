"""Export: one ONNX graph that answers for what callers send as the trained model does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from plansmith.errors import UnusableInput
from plansmith.export import export, fold_preprocess, load_module
from plansmith.recipe import Recipe
from plansmith.recipe.functions import call_function
from plansmith.recipe.parser import parse_recipe

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


def tiny_recipe_with(recipe: str, source: str) -> Recipe:
    return parse_recipe(recipe.replace('onnx = "model.onnx"', source))


@pytest.mark.parametrize("answer", ["Path(__file__).parent / 'm.onnx'", "'m.onnx'"])
def test_a_function_may_tell_where_the_onnx_file_is(
    tmp_path: Path, tiny_recipe: str, tiny_onnx: onnx.ModelProto, answer: str
) -> None:
    onnx.save(tiny_onnx, tmp_path / "m.onnx")
    code = f"from pathlib import Path\ndef find(): return {answer}\n"
    (tmp_path / "source.py").write_text(code)
    recipe = tiny_recipe_with(tiny_recipe, 'onnx = "source.py:find"')
    assert export(recipe, tmp_path) == tiny_onnx


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("3", "gives a int, not the path of an ONNX file"),
        ("'/nowhere/m.onnx'", "/nowhere/m.onnx: no such file"),
    ],
)
def test_a_function_that_tells_no_file_is_refused(
    tmp_path: Path, tiny_recipe: str, answer: str, says: str
) -> None:
    (tmp_path / "source.py").write_text(f"def find(): return {answer}\n")
    with pytest.raises(UnusableInput, match=says):
        export(tiny_recipe_with(tiny_recipe, 'onnx = "source.py:find"'), tmp_path)


NETWORK = """\
import torch

def network():
    first = torch.nn.Linear(8, 4, bias=False)
    return torch.nn.Sequential(first, torch.nn.Linear(4, 4))
"""


def weights_recipe(folder: Path, recipe: str, **weights: np.ndarray) -> Recipe:
    from safetensors.numpy import save_file

    (folder / "source.py").write_text(NETWORK)
    save_file(weights, folder / "w.safetensors")
    where = 'safetensors = "w.safetensors"\narchitecture = "source.py:network"'
    return tiny_recipe_with(recipe, where)


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


WEIGHTS = {"0.weight": drawn(4, 8), "1.weight": drawn(4, 4), "1.bias": drawn(4)}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_weights_of_a_safetensors_file_answer_as_in_numpy(tmp_path: Path, tiny_recipe: str) -> None:
    model = export(weights_recipe(tmp_path, tiny_recipe, **WEIGHTS), tmp_path)
    x = drawn(5, 8)
    (got,) = session_of(model).run(None, {"x": x})
    want = x @ WEIGHTS["0.weight"].T @ WEIGHTS["1.weight"].T + WEIGHTS["1.bias"]
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"1.bias": None}, r"w\.safetensors: does not fit source\.py:network: lacks 1\.bias$"),
        ({"2.bias": drawn(4), "extra": drawn(1)}, r"network: has unknown 2\.bias, extra$"),
        (
            {"0.weight": None, "first.weight": drawn(4, 8)},
            r"network: lacks 0\.weight; has unknown first\.weight$",
        ),
        ({"1.weight": drawn(4, 5)}, r"does not fit source\.py:network: .*size mismatch for 1\.w"),
    ],
    ids=["missing", "unexpected", "renamed", "of another shape"],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, tiny_recipe: str, change: dict[str, np.ndarray | None], says: str
) -> None:
    weights = {name: one for name, one in (WEIGHTS | change).items() if one is not None}
    with pytest.raises(UnusableInput, match=f"(?s){says}"):
        load_module(weights_recipe(tmp_path, tiny_recipe, **weights), tmp_path)


def test_a_file_that_is_not_safetensors_is_named(tmp_path: Path, tiny_recipe: str) -> None:
    recipe = weights_recipe(tmp_path, tiny_recipe, **WEIGHTS)
    (tmp_path / "w.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(UnusableInput, match=r"w\.safetensors: not a readable safetensors file"):
        load_module(recipe, tmp_path)
    (tmp_path / "w.safetensors").unlink()
    with pytest.raises(UnusableInput, match=r"w\.safetensors: no such file"):
        load_module(recipe, tmp_path)


def test_a_network_is_given_to_be_evaluated(tmp_path: Path, tiny_recipe: str) -> None:
    (tmp_path / "source.py").write_text(NETWORK + "def number(): return 3\n")
    network = load_module(tiny_recipe_with(tiny_recipe, 'torch = "source.py:network"'), tmp_path)
    assert not network.training
    with pytest.raises(UnusableInput, match=r"source\.py:number: gives a int, not a torch"):
        load_module(tiny_recipe_with(tiny_recipe, 'torch = "source.py:number"'), tmp_path)


def test_a_function_may_define_a_dataclass(tmp_path: Path) -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Point:\n    x: int\n\ndef load(): return Point(3).x\n"
    )
    (tmp_path / "source.py").write_text(code)
    assert call_function("source.py:load", tmp_path) == 3
