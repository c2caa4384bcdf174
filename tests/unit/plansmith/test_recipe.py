"""The recipe parser: frozen values out, or every problem at once with its line."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import BadRecipe
from plansmith.recipe import (
    METRICS,
    Budget,
    Data,
    Preprocess,
    Recipe,
    Source,
    line_of,
    nearest,
    parse_recipe,
)
from plansmith.tensors import TensorSpec

RECIPES = sorted((Path(__file__).parents[3] / "model_repository").glob("*/recipe.toml"))
GOOD = """\
# One of everything.
[source]
torch = "source.py:load"

[input.image]
dtype = "uint8"
shape = [224, 224, 3]
preprocess = { layout = "NCHW", mean = [127.0, 127.0, 127.0], scale = 0.0078125 }

[output.logits]
dtype = "float32"
shape = [1000]
labels = "labels.txt"

[data]
evaluation = "source.py:evaluation_images"
pictures = "pictures.npz"

[budget]
metric = "top1_agreement"
max_drop = 0.01
accept_not_proven = true

[slo]
p99_ms = 100

[targets]
order = ["cpu"]
max_batch_size = 8
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(text, "r.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_every_recipe_of_the_repository_parses(path: Path) -> None:
    assert isinstance(parse_recipe(path.read_text(), str(path)), Recipe)


def test_values_arrive_in_their_final_types() -> None:
    recipe = parse_recipe(GOOD)
    (image,) = recipe.inputs
    assert image.spec == TensorSpec(name="image", dtype="uint8", shape=(224, 224, 3))
    assert image.preprocess == Preprocess(layout="NCHW", mean=(127.0,) * 3, scale=(1 / 128,) * 3)
    (logits,) = recipe.outputs
    assert logits.spec == TensorSpec(name="logits", dtype="float32", shape=(1000,))
    assert logits.labels == "labels.txt"
    assert recipe.source == Source(kind="torch", location="source.py:load")
    assert recipe.data == Data(evaluation="source.py:evaluation_images", pictures="pictures.npz")
    assert recipe.budget == Budget(metric="top1_agreement", max_drop=0.01, accept_not_proven=True)
    assert (recipe.p99_ms, recipe.targets, recipe.max_batch_size) == (100.0, ("cpu",), 8)


def test_what_may_be_left_out_has_its_default() -> None:
    text = GOOD
    for optional in ("accept_not_proven = true", "max_batch_size = 8", 'labels = "labels.txt"'):
        text = text.replace(optional, "")
    recipe = parse_recipe(text.replace('pictures = "pictures.npz"', ""))
    assert not recipe.budget.accept_not_proven
    assert recipe.max_batch_size == 1
    assert recipe.outputs[0].labels is None
    assert recipe.data.pictures is None


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_named(metric: str) -> None:
    assert parse_recipe(GOOD.replace("top1_agreement", metric)).budget.metric == metric


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
    assert f'r.toml:{line}: slo.p99_msec: unknown key (nearest: "p99_ms"); legal: p99_ms' in (
        problems_of(text)
    )


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
        ("source.py:evaluation_images", "photos", "an .npy or .npz file, or file.py:function"),
        ("pictures.npz", "pictures.zip", "an .npy or .npz file, or file.py:function"),
        ("max_batch_size = 8", "max_batch_size = true", "a whole number from 1"),
        ("max_batch_size = 8", "max_batch_size = 0", "a whole number from 1"),
        ("shape = [1000]", "shape = [0]", "a list of sizes"),
        ("top1_agreement", "top1", "one of top1_agreement, expected_top1"),
        ("max_drop = 0.01", "max_drop = 1.0", "a share from 0 up to 1"),
        ("accept_not_proven = true", 'accept_not_proven = "yes"', "true or false"),
        ('order = ["cpu"]', 'order = ["cpu", "cpu"]', "a list without repeats of cpu"),
        ("[slo]\np99_ms = 100", "", "missing: add a [slo] table"),
        ("[slo]\np99_ms = 100", "[slo]", "missing; expected a positive number"),
        ("p99_ms = 100", "p99_ms = inf", "a positive number"),
        ("p99_ms = 100", f"p99_ms = 1{'0' * 400}", "a positive number"),
        ("p99_ms = 100", f"p99_ms = 1{'0' * 5000}", "not valid TOML: Exceeds the limit"),
    ],
)
def test_each_kind_of_mistake_has_its_message(old: str, new: str, says: str) -> None:
    assert old in GOOD
    assert any(says in problem for problem in problems_of(GOOD.replace(old, new)))


def test_a_section_that_names_no_tensor_is_refused() -> None:
    assert any("names no tensor" in one for one in problems_of("[input]\n"))


def test_two_sources_are_refused() -> None:
    (problem,) = problems_of(GOOD.replace("[source]", '[source]\nonnx = "m.onnx"'))
    assert "exactly one of torch, onnx; has 2" in problem


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
    # A shape that parses but does not suit `preprocess` is reported there, one line below it.
    blamed = {number, number + 1} if line.startswith("shape = [224") else {number}
    assert lines is None or blamed & lines
