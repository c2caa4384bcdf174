"""Labels and slices beside samples: taken as they are, or refused with the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plansmith.data.samples import Loaded, load_evaluation, load_training
from plansmith.errors import UnusableInput
from plansmith.recipe.parser import parse_recipe


def evaluation_of(folder: Path, recipe: str, answer: str) -> Loaded:
    code = f"import numpy as np\nX = np.ones((3, 8), np.float32)\ndef rows(): return {answer}\n"
    (folder / "data.py").write_text(code)
    text = recipe.replace('"evaluation.npz"', '"data.py:rows"')
    return load_evaluation(parse_recipe(text), folder)


def test_evaluation_data_may_bring_labels_and_slices(tmp_path: Path, tiny_recipe: str) -> None:
    answer = "{'x': X, 'labels': [2, 0, 3], 'slices': ['day', 'night', 'day']}"
    found = evaluation_of(tmp_path, tiny_recipe, answer)
    assert found.labels is not None
    assert found.labels.tolist() == [2, 0, 3]
    assert found.slices is not None
    assert found.slices.tolist() == ["day", "night", "day"]


def test_what_the_recipe_names_goes_before_what_lies_beside_the_samples(
    tmp_path: Path, tiny_recipe: str
) -> None:
    (tmp_path / "labels.csv").write_text("label\n1\n1\n0\n")
    recipe = tiny_recipe.replace("[data]", '[data]\nlabels = "labels.csv"')
    found = evaluation_of(tmp_path, recipe, "{'x': X, 'labels': [2, 0, 3]}")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ("'labels': [0, 9, 1]", "data.evaluation: .*row 1 .*"),
        ("'labels': [0, 1]", "data.evaluation: .*2"),
        ("'slices': ['day', '', 'day']", "data.evaluation: .*row 1 .*expected a group's name"),
    ],
    ids=["no class", "too few", "no name"],
)
def test_labels_and_slices_beside_the_samples_are_checked(
    tmp_path: Path, tiny_recipe: str, beside: str, says: str
) -> None:
    with pytest.raises(UnusableInput, match=says):
        evaluation_of(tmp_path, tiny_recipe, f"{{'x': X, {beside}}}")


def test_labelled_accuracy_without_labels_anywhere_is_refused(
    tmp_path: Path, tiny_recipe: str
) -> None:
    recipe = tiny_recipe.replace("top1_agreement", "top1")
    with pytest.raises(UnusableInput, match=r'^data\.labels: missing, and the metric "top1"'):
        evaluation_of(tmp_path, recipe, "{'x': X}")


def training_of(folder: Path, recipe: str, answer: str) -> Loaded | None:
    code = f"import numpy as np\nX = np.ones((3, 8), np.float32)\ndef train(): return {answer}\n"
    (folder / "data.py").write_text(code)
    text = recipe.replace("[budget]", 'training = "data.py:train"\n\n[budget]')
    return load_training(parse_recipe(text), folder)


@pytest.mark.parametrize("labels", ["[2, 0, 3]", "np.array([2, 0, 3], np.uint8)"])
def test_training_data_may_bring_labels(tmp_path: Path, tiny_recipe: str, labels: str) -> None:
    found = training_of(tmp_path, tiny_recipe, f"{{'x': X, 'labels': {labels}}}")
    assert found is not None
    assert found.labels is not None
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [2, 0, 3]


def test_training_data_without_labels_has_none(tmp_path: Path, tiny_recipe: str) -> None:
    found = training_of(tmp_path, tiny_recipe, "X")
    assert found is not None
    assert found.samples.count == 3
    assert found.labels is None


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("[0, 1]", r"^data\.training: data\.py:train: has 2 values, for 3 samples"),
        ("[0, 4, 1]", r"row 1 .*: is class 4; the output's classes are 0 to 3"),
        ("[0.0, 1.0, 2.0]", r"row 0 .*: is 0\.0; expected the index of a class"),
        ("[[0], [1], [2]]", r"is int64 \[3, 1\]; expected one value for each sample"),
        ("[[0], [1, 2], [2]]", "gives no array"),
    ],
)
def test_training_labels_that_are_no_classes_are_refused(
    tmp_path: Path, tiny_recipe: str, labels: str, says: str
) -> None:
    with pytest.raises(UnusableInput, match=says):
        training_of(tmp_path, tiny_recipe, f"{{'x': X, 'labels': {labels}}}")


def test_the_metric_top1_needs_labels(tmp_path: Path, tiny_recipe: str) -> None:
    (tmp_path / "photos").mkdir()
    text = tiny_recipe.replace('"float32"\nshape = [8]', '"uint8"\nshape = [2, 2, 3]')
    text = text.replace("evaluation.npz", "photos/").replace("top1_agreement", "top1")
    recipe = parse_recipe(text)
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "a.png")
    with pytest.raises(UnusableInput, match=r'data\.labels: missing, and the metric "top1" needs'):
        load_evaluation(recipe, tmp_path)
