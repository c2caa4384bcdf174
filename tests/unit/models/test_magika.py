"""Magika's files: what the model is asked of them is what the package itself would ask."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime as ort
import pytest
from magika import Magika

from plansmith.data.columns import Classes, label_indices
from plansmith.data.identity import refuse_overlap, refuse_unusable_calibration
from plansmith.data.samples import Samples, load_evaluation
from plansmith.export import export
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe

FOLDER = Path(__file__).parents[3] / "model_repository" / "magika"
# Of the evaluation's files, evenly spread: a run takes tens of milliseconds.
COMPARED = 200


@pytest.fixture(scope="module")
def source() -> Iterator[ModuleType]:
    """source.py as a module of its own, which finds its files once."""
    spec = importlib.util.spec_from_file_location("magika_source", FOLDER / "source.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["magika_source"] = module  # where its dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["magika_source"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return parse_recipe((FOLDER / "recipe.toml").read_text())


@pytest.fixture(scope="module")
def compared(source: ModuleType) -> np.ndarray:
    return np.linspace(0, len(source.split()[0]) - 1, COMPARED).astype(int)


@pytest.fixture(scope="module")
def answers(recipe: Recipe, source: ModuleType, compared: np.ndarray) -> np.ndarray:
    """What the exported graph gives for the compared files: float32 [COMPARED, 214]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graph = export(recipe, FOLDER).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rows = source.evaluation()["bytes"][compared]
    return np.concatenate(
        [session.run(None, {"bytes": part})[0] for part in np.split(rows, COMPARED // 8)]
    )


def test_the_recipe_finds_the_same_files_every_time(recipe: Recipe, source: ModuleType) -> None:
    found = load_evaluation(recipe, FOLDER).samples
    np.testing.assert_array_equal(source.evaluation()["bytes"], found.arrays["bytes"])


def test_there_are_files_enough_and_calibration_has_others(source: ModuleType) -> None:
    evaluation, calibration = (
        Samples(arrays={"bytes": rows}, sha256="")
        for rows in (source.evaluation()["bytes"], source.calibration())
    )
    assert evaluation.count >= 600
    assert calibration.count >= 150
    refuse_overlap(evaluation, calibration)
    refuse_unusable_calibration(calibration, evaluation)


def test_the_labels_file_has_the_types_in_the_order_of_the_model(source: ModuleType) -> None:
    types = (FOLDER / "labels.txt").read_text().splitlines()
    assert types == source.target_labels()
    assert set(types) == {str(one) for one in Magika().get_model_content_types()} - {"undefined"}


def test_the_model_answers_as_the_package_does(
    source: ModuleType, compared: np.ndarray, answers: np.ndarray
) -> None:
    """Of the answer `dl`: the model's own, before the package doubts it."""
    types = source.target_labels()
    package = Magika()
    files = source.split()[0]
    for row, answer in zip(compared, answers, strict=True):
        told = package.identify_bytes(files[row].content)
        assert types[int(answer.argmax())] == told.dl.label, files[row].name
        # The same library in batches of 8 and of one: sums in another order, up to 1.3e-4 apart.
        assert float(answer.max()) == pytest.approx(told.score, abs=1e-3)


def test_the_labels_are_right_as_far_as_the_model_can_tell(
    recipe: Recipe, source: ModuleType, compared: np.ndarray, answers: np.ndarray
) -> None:
    """It was right on 97 % when they were chosen; a suffix that says little would show."""
    given = source.evaluation()["labels"]
    classes = Classes.of(recipe, FOLDER)
    labels = label_indices("data.labels", "", given, len(given), classes)
    assert (answers.argmax(axis=1) == labels[compared]).mean() > 0.94
    assert len(np.unique(labels)) >= 30


def test_every_file_is_of_a_group(source: ModuleType) -> None:
    given = source.evaluation()
    groups = given["slices"]
    assert groups.shape == given["labels"].shape
    assert {"code", "image", "archive", "executable"} <= set(groups.tolist())
