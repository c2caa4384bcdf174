"""Mistakes in a recipe: every one at once, with its line, what is wrong and what is allowed."""

from __future__ import annotations

import pytest

from plansmith.recipe.parser import parse_recipe
from recipe_texts import GOOD, LEAST, problems_of

ARRAYS = "an .npy or .npz file, a folder of images that ends in /, or file.py:function"
COLUMNS = "an .npy, .csv or .parquet file, or file.py:function"


@pytest.mark.parametrize("range_", ["[255, 0]", "[0]", "0", '"0-255"', "[0, inf]"])
def test_a_range_is_two_numbers_the_smaller_first(range_: str) -> None:
    (problem,) = problems_of(GOOD.replace("[0, 255]", range_))
    assert problem.startswith("r.toml:8: input.image.range: is ")
    assert problem.endswith("expected [smallest, largest] of the values in the data")


def test_labelled_accuracy_needs_labels_where_the_samples_can_bring_none() -> None:
    bare = GOOD.replace('labels = "labels.csv"\n', "")
    (problem,) = problems_of(bare.replace('"source.py:evaluation_images"', '"evaluation.npy"'))
    assert problem.endswith('budget.metric: is "top1", which needs data.labels')
    # Whether these bring any shows when they are read.
    for place in ("source.py:evaluation_images", "evaluation.npz", "photos/"):
        recipe = parse_recipe(bare.replace("source.py:evaluation_images", place))
        assert recipe.data.labels is None


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
