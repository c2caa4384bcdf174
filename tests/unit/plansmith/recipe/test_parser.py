"""The recipe parser: what a text says arrives as frozen values, the rest has its default."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from plansmith.engines.passport import BuildOptions
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
from plansmith.tensors import TensorSpec
from recipe_texts import GOOD, LEAST

RECIPES = sorted((Path(__file__).parents[4] / "model_repository").glob("*/recipe.toml"))


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


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_named(metric: str) -> None:
    assert parse_recipe(GOOD.replace('"top1"', f'"{metric}"')).budget.metric == metric


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
