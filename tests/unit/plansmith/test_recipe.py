"""The recipe parser: frozen values out, or every problem at once with its line."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recipes
from plansmith.engines.passport import BuildOptions
from plansmith.errors import BadRecipe
from plansmith.recipe import (
    CALIBRATION_METHODS,
    METRICS,
    OUTPUT_KINDS,
    TARGETS,
    Budget,
    Data,
    PlainRecipe,
    Preprocess,
    Prune,
    Quantize,
    Recipe,
    Source,
)
from plansmith.recipe.parser import parse_recipe
from plansmith.recipe.reader import line_of, nearest
from plansmith.tensors import TensorSpec

RECIPES = sorted((Path(__file__).parents[3] / "model_repository").glob("*/recipe.toml"))
GOOD = """\
# One of everything.
[source]
torch = "source.py:load"

[input.image]
dtype = "uint8"
shape = [224, 224, 3]
range = [0, 255]
preprocess = { layout = "NCHW", mean = [127.0, 127.0, 127.0], scale = 0.0078125 }

[output.logits]
dtype = "float32"
shape = [1000]
labels = "labels.txt"
kind = "logits"

[data]
evaluation = "source.py:evaluation_images"
labels = "labels.csv"
slices = "slices.parquet"
calibration = "photos/"
training = "training.npz"
pictures = "pictures.npz"
max_undecodable = 0.05

[prune]
epochs = 3

[quantize]
method = "max"

[budget]
metric = "top1"
max_drop = 0.01
max_kl = 0.02
max_deviation = 5
accept_not_proven = true

[slo]
p99_ms = 100

[targets]
order = ["cpu", "tensorrt-rtx"]
max_batch_size = 8
compute_capabilities = ["8.6", "12.0"]
accept_not_measured = true

[tensorrt]
optimisation_level = 5
workspace_mb = 512
version_compatible = true
hardware_compatible = true
sparse = true
"""
LEAST = recipes.TINY.removesuffix("max_batch_size = 2\n")


ARRAYS = "an .npy or .npz file, a folder of images that ends in /, or file.py:function"
COLUMNS = "an .npy, .csv or .parquet file, or file.py:function"


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(text, "r.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_every_recipe_of_the_repository_parses(path: Path) -> None:
    assert isinstance(parse_recipe(path.read_text(), str(path)), Recipe | PlainRecipe)


def test_values_arrive_in_their_final_types() -> None:
    recipe = parse_recipe(GOOD)
    (image,) = recipe.inputs
    assert image.spec == TensorSpec(name="image", dtype="uint8", shape=(224, 224, 3))
    assert image.preprocess == Preprocess(layout="NCHW", mean=(127.0,) * 3, scale=(1 / 128,) * 3)
    assert image.range == (0.0, 255.0)
    (logits,) = recipe.outputs
    assert logits.spec == TensorSpec(name="logits", dtype="float32", shape=(1000,))
    assert (logits.labels, logits.kind) == ("labels.txt", "logits")
    assert recipe.source == Source(kind="torch", location="source.py:load")
    assert recipe.data == Data(
        evaluation="source.py:evaluation_images",
        labels="labels.csv",
        slices="slices.parquet",
        calibration="photos/",
        training="training.npz",
        pictures="pictures.npz",
        max_undecodable=0.05,
    )
    assert recipe.prune == Prune(epochs=3)
    assert recipe.quantize == Quantize(method="max")
    assert recipe.budget == Budget(
        metric="top1", max_drop=0.01, max_kl=0.02, max_deviation=5.0, accept_not_proven=True
    )
    assert recipe.p99_ms == 100.0
    assert recipe.targets == ("cpu", "tensorrt-rtx")
    assert recipe.max_batch_size == 8
    assert recipe.compute_capabilities == ("8.6", "12.0")
    assert recipe.accept_not_measured
    assert recipe.engine == BuildOptions(
        optimisation_level=5,
        workspace_bytes=512 * 2**20,
        version_compatible=True,
        hardware_compatible=True,
        sparse=True,
    )


def test_what_may_be_left_out_has_its_default() -> None:
    recipe = parse_recipe(LEAST)
    assert recipe.source == Source(kind="onnx", location="model.onnx")
    assert (recipe.inputs[0].preprocess, recipe.inputs[0].range) == (None, None)
    assert (recipe.outputs[0].labels, recipe.outputs[0].kind) == (None, "logits")
    assert recipe.data == Data(evaluation="evaluation.npz")
    assert recipe.data.max_undecodable == 0
    assert recipe.prune is None
    assert recipe.quantize == Quantize(method="entropy")
    assert recipe.budget == Budget(metric="top1_agreement", max_drop=0.02)
    assert (recipe.budget.max_kl, recipe.budget.max_deviation) == (None, None)
    assert not recipe.budget.accept_not_proven
    assert recipe.max_batch_size == 1
    assert recipe.compute_capabilities == ()
    assert not recipe.accept_not_measured
    assert recipe.engine == BuildOptions()


@pytest.mark.parametrize("range_", ["[255, 0]", "[0]", "0", '"0-255"', "[0, inf]"])
def test_a_range_is_two_numbers_the_smaller_first(range_: str) -> None:
    (problem,) = problems_of(GOOD.replace("[0, 255]", range_))
    assert problem.startswith("r.toml:8: input.image.range: is ")
    assert problem.endswith("expected [smallest, largest] of the values in the data")


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_named(metric: str) -> None:
    assert parse_recipe(GOOD.replace('"top1"', f'"{metric}"')).budget.metric == metric


def test_labelled_accuracy_needs_labels_where_the_samples_can_bring_none() -> None:
    bare = GOOD.replace('labels = "labels.csv"\n', "")
    (problem,) = problems_of(bare.replace('"source.py:evaluation_images"', '"evaluation.npy"'))
    assert problem.endswith('budget.metric: is "top1", which needs data.labels')
    # Whether these bring any shows when they are read.
    for place in ("source.py:evaluation_images", "evaluation.npz", "photos/"):
        recipe = parse_recipe(bare.replace("source.py:evaluation_images", place))
        assert recipe.data.labels is None


@pytest.mark.parametrize("kind", OUTPUT_KINDS)
def test_every_kind_of_output_can_be_named(kind: str) -> None:
    text = GOOD.replace('kind = "logits"', f'kind = "{kind}"')
    assert parse_recipe(text).outputs[0].kind == kind


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_every_calibration_method_can_be_named(method: str) -> None:
    assert parse_recipe(GOOD.replace('"max"', f'"{method}"')).quantize.method == method


def test_every_target_can_be_named_in_any_order() -> None:
    order = ", ".join(f'"{name}"' for name in reversed(TARGETS))
    text = GOOD.replace('"cpu", "tensorrt-rtx"', order)
    assert parse_recipe(text).targets == tuple(reversed(TARGETS))


def test_weights_in_safetensors_go_into_an_architecture() -> None:
    text = LEAST.replace(
        'onnx = "model.onnx"', 'safetensors = "w.safetensors"\narchitecture = "source.py:network"'
    )
    assert parse_recipe(text).source == Source(
        kind="safetensors", location="w.safetensors", architecture="source.py:network"
    )


def test_an_onnx_file_may_be_found_by_a_function() -> None:
    source = parse_recipe(LEAST.replace("model.onnx", "source.py:model_file")).source
    assert source == Source(kind="onnx", location="source.py:model_file")


def test_the_folders_of_images_may_be_their_labels() -> None:
    text = LEAST.replace("evaluation.npz", "photos/").replace("top1_agreement", "top1")
    assert parse_recipe(text).budget.metric == "top1"


def test_a_scale_may_be_given_for_each_channel() -> None:
    (image,) = parse_recipe(GOOD.replace("0.0078125", "[0.5, 0.25, 0.125]")).inputs
    assert image.preprocess is not None
    assert image.preprocess.scale == (0.5, 0.25, 0.125)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        parse_recipe(GOOD).max_batch_size = 2  # type: ignore[misc]


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_legal_one() -> None:
    text = GOOD.replace("p99_ms", "p99_msec")
    line = text[: text.index("p99_msec")].count("\n") + 1
    says = 'unknown key (nearest: "p99_ms"); legal: p99_ms, priority_levels'
    assert f"r.toml:{line}: slo.p99_msec: {says}" in problems_of(text)


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    text = GOOD.replace('"uint8"', '"uint-8"').replace("0.01", "1.5").replace('"cpu"', '"tpu"')
    fields = [problem.split(": ")[1] for problem in problems_of(text)]
    assert fields == ["input.image.dtype", "budget.max_drop", "targets.order"]


def test_a_wrong_value_is_shown_with_what_is_allowed() -> None:
    (problem,) = problems_of(GOOD.replace('"uint8"', '"uint-8"'))
    assert 'is "uint-8"; expected one of bool, uint8' in problem
    assert '(nearest: "uint8")' in problem


def test_broken_toml_names_the_line() -> None:
    (problem,) = problems_of("[source]\ntorch = \n")
    assert problem.startswith("r.toml:2: not valid TOML")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[127.0, 127.0, 127.0]", "[127.0]", "has 1 numbers for 3 channels"),
        ("0.0078125", "[1.0, 2.0]", "has 2 numbers, mean has 3"),
        ("0.0078125", "0.0", "a positive number, or one per channel"),
        ("shape = [224, 224, 3]", "shape = [224, 3]", "needs an image [height, width, channels]"),
        ("source.py:load", "source.py", '"file.py:function"'),
        ("[source]", '[source]\narchitecture = "source.py:net"', "goes with source.safetensors"),
        ('kind = "logits"', 'kind = "logit"', 'one of logits, probabilities (nearest: "logits")'),
        ("source.py:evaluation_images", "photos", ARRAYS),
        ('"photos/"', '"photos.zip"', ARRAYS),
        ("training.npz", "training.csv", ARRAYS),
        ("pictures.npz", "pictures.zip", ARRAYS),
        ("labels.csv", "labels.npz", COLUMNS),
        ("slices.parquet", "slices/", COLUMNS),
        ("max_undecodable = 0.05", "max_undecodable = 1", "a share from 0 up to 1"),
        ("max_undecodable = 0.05", "max_undecodable = -0.1", "a share from 0 up to 1"),
        ("epochs = 3", "epochs = 0", "a whole number from 1"),
        ("epochs = 3", "", "prune.epochs: missing; expected a whole number from 1"),
        ('torch = "source.py:load"', 'onnx = "m.onnx"', "prune: needs a torch module"),
        ('training = "training.npz"\n', "", "prune: needs data.training"),
        ('calibration = "photos/"\n', "", "prune: needs data.calibration"),
        ('"max"', '"mean"', "one of entropy, max"),
        ("optimisation_level = 5", "optimisation_level = 6", "a whole number, 0 to 5"),
        ("optimisation_level = 5", "optimisation_level = true", "a whole number, 0 to 5"),
        ("workspace_mb = 512", "workspace_mb = 0.5", "a whole number of megabytes from 1"),
        ("version_compatible = true", "version_compatible = 1", "true or false"),
        ("hardware_compatible = true", 'hardware_compatible = "yes"', "true or false"),
        ("sparse = true", "sparse = 1", "true or false"),
        ("max_batch_size = 8", "max_batch_size = true", "a whole number from 1"),
        ("max_batch_size = 8", "max_batch_size = 0", "a whole number from 1"),
        ("max_batch_size = 8", "max_batch_size = 2147483648", "a whole number from 1 to 214"),
        ("shape = [1000]", "shape = [0]", "a list of sizes"),
        ("shape = [1000]", "shape = [9223372036854775808]", "a list of sizes"),
        ('metric = "top1"', 'metric = "top2"', "one of top1, top1_agreement, expected_top1"),
        ("max_drop = 0.01", "max_drop = 1.0", "a share from 0 up to 1"),
        ("max_kl = 0.02", "max_kl = 0", "a positive number"),
        ("max_kl = 0.02", "max_kl = -1", "a positive number"),
        ("max_deviation = 5", 'max_deviation = "5"', "a positive number"),
        ("accept_not_proven = true", 'accept_not_proven = "yes"', "true or false"),
        ("accept_not_measured = true", "accept_not_measured = 1", "true or false"),
        ('"cpu", "tensorrt-rtx"', '"cpu", "cpu"', "a list without repeats of cpu"),
        ('order = ["cpu", "tensorrt-rtx"]', 'order = "cpu"', "a list without repeats of cpu"),
        ('["8.6", "12.0"]', "[8.6]", 'GPU generations like "8.6"'),
        ('["8.6", "12.0"]', '["86"]', 'GPU generations like "8.6"'),
        ('["8.6", "12.0"]', '["8.6", "8.6"]', "a list without repeats"),
        ('compute_capabilities = ["8.6", "12.0"]\n', "", '"tensorrt-rtx" is built ahead of time'),
        ("[slo]\np99_ms = 100", "", "missing: add a [slo] table"),
        ("[slo]\np99_ms = 100", "[slo]", "missing; expected a positive number"),
        ("p99_ms = 100", "p99_ms = inf", "a positive number"),
        ("p99_ms = 100", f"p99_ms = 1{'0' * 400}", "a positive number"),
        ("p99_ms = 100", f"p99_ms = 1{'0' * 5000}", "not valid TOML: Exceeds the limit"),
    ],
)
def test_each_kind_of_mistake_has_its_message(old: str, new: str, says: str) -> None:
    assert GOOD.count(old) == 1
    assert any(says in problem for problem in problems_of(GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("workspace_mb = 512", "workspace_mb = 0"),
        ("max_undecodable = 0.05", "max_undecodable = 2"),
        ('slices = "slices.parquet"', 'slices = "slices.txt"'),
        ("epochs = 3", "epochs = 1.5"),
        ('method = "max"', 'method = "min"'),
        ("max_kl = 0.02", "max_kl = nan"),
        ('compute_capabilities = ["8.6", "12.0"]', 'compute_capabilities = "8.6"'),
        ("accept_not_measured = true", "accept_not_measured = []"),
    ],
)
def test_a_mistake_is_told_on_its_line(old: str, new: str) -> None:
    line = GOOD[: GOOD.index(old)].count("\n") + 1
    (problem,) = problems_of(GOOD.replace(old, new))
    assert problem.startswith(f"r.toml:{line}: ")


@pytest.mark.parametrize(
    "table",
    [
        "source",
        "input.image",
        "output.logits",
        "data",
        "prune",
        "quantize",
        "budget",
        "slo",
        "targets",
        "tensorrt",
    ],
)
def test_no_table_takes_an_unknown_key(table: str) -> None:
    text = GOOD.replace(f"[{table}]", f"[{table}]\nzzz = 1")
    line = GOOD[: GOOD.index(f"[{table}]")].count("\n") + 2
    (problem,) = problems_of(text)
    assert problem.startswith(f"r.toml:{line}: {table}.zzz: unknown key; legal: ")


def test_weights_in_safetensors_need_an_architecture() -> None:
    (problem,) = problems_of(LEAST.replace("onnx =", "safetensors ="))
    assert 'source.architecture: missing; expected "file.py:function"' in problem


def test_a_section_that_names_no_tensor_is_refused() -> None:
    assert any("names no tensor" in one for one in problems_of("[input]\n"))


def test_two_sources_are_refused() -> None:
    (problem,) = problems_of(GOOD.replace("[source]", '[source]\nonnx = "m.onnx"'))
    assert "exactly one of torch, onnx, safetensors; has 2" in problem


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("c", "d", "e"), 4),  # inside an inline table
        (("a", "b"), 2),
        (("c", "missing"), 3),  # its table
        (("missing",), 1),
        (("i", "j"), 5),
    ],
)
def test_a_key_is_found_on_its_line_or_that_of_what_it_is_in(
    path: tuple[str, ...], line: int
) -> None:
    text = "[a]\nb = 1\n[c] # note\nd = { e = 2 }\n[i.j]\n"
    assert line_of(text, path) == line


@pytest.mark.parametrize(
    ("found", "hint"), [("p99_msec", ' (nearest: "p99_ms")'), ("p99_ms", ""), ("zzz", ""), (3, "")]
)
def test_the_nearest_legal_word_is_named_where_one_is_near(found: object, hint: str) -> None:
    assert nearest(found, ("p99_ms", "order")) == hint


def found_lines(text: str) -> set[int] | None:
    """The lines `parse_recipe` complains of, or None where it accepts the text."""
    try:
        parse_recipe(text)
    except BadRecipe as error:
        return {problem.line for problem in error.problems}
    return None


@given(st.text())
def test_any_text_gives_a_recipe_or_a_bad_recipe(text: str) -> None:
    lines = found_lines(text)
    assert lines is not None, "no text this short is a whole recipe"
    assert lines
    assert min(lines) >= 1


JSONISH = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.sampled_from(['"x"', "1.5", "nan"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([line for line in GOOD.splitlines() if "=" in line]), JSONISH)
def test_any_value_in_any_place_is_accepted_or_refused_on_its_line(
    line: str, value: object
) -> None:
    shown = str(value).replace("True", "true").replace("False", "false").replace("'", "")
    number = GOOD.splitlines().index(line) + 1
    lines = found_lines(GOOD.replace(line, f"{line.split('=')[0]}= {shown}"))
    # A shape that parses but does not suit `preprocess` is reported there, two lines below it.
    blamed = {number, number + 2} if line.startswith("shape = [224") else {number}
    assert lines is None or blamed & lines


def test_a_recipe_that_is_nested_without_end_is_one_problem() -> None:
    with pytest.raises(BadRecipe, match=r"r\.toml:1: is nested too deeply"):
        parse_recipe("a = " + "[" * 50_000, "r.toml")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_recipe("\ufeff" + GOOD) == parse_recipe(GOOD)
