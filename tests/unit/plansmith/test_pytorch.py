"""The baseline: a PyTorch module behind the recipe's pre-processing answers as NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe
from plansmith.targets import pytorch

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 3), dtype=np.uint8)
MEAN, SCALE = [100.0, 120.0, 140.0], 0.0078125


def image_recipe(tiny_recipe: str, preprocess: str) -> Recipe:
    text = tiny_recipe.replace(
        '"float32"\nshape = [8]', f'"uint8"\nshape = [2, 3, 3]\n{preprocess}'
    )
    return parse_recipe(text)


class Flat(torch.nn.Module):
    """The pixels as they arrive, in one row; what training mode would drop is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.drop(image.float().flatten(1))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_preprocessing_is_done_as_the_recipe_says(
    tiny_recipe: str, layout: str, batch_size: int
) -> None:
    steps = f'preprocess = {{ layout = "{layout}", mean = {MEAN}, scale = {SCALE} }}'
    engine = pytorch.open_engine(Flat(), image_recipe(tiny_recipe, steps), batch_size)
    want = (PIXELS.astype(np.float32) - np.float32(MEAN)) * np.float32(SCALE)
    if layout == "NCHW":
        want = want.transpose(0, 3, 1, 2)
    got = engine.answer({"x": PIXELS})["logits"]
    np.testing.assert_array_equal(got, want.reshape(5, -1))


def test_without_preprocessing_the_module_gets_what_callers_send(tiny_recipe: str) -> None:
    engine = pytorch.open_engine(Flat(), image_recipe(tiny_recipe, ""), 1)
    got = engine.answer({"x": PIXELS})["logits"]
    np.testing.assert_array_equal(got, PIXELS.reshape(5, -1))


def test_the_baseline_answers_as_the_onnx_model_of_the_same_weights(
    tiny_recipe: str, tiny_weights: np.ndarray
) -> None:
    linear = torch.nn.Linear(8, 4, bias=False)
    linear.load_state_dict({"weight": torch.from_numpy(tiny_weights.T.copy())})
    engine = pytorch.open_engine(linear, parse_recipe(tiny_recipe), 2)
    x = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    # Float32 sums of eight products in another order.
    np.testing.assert_allclose(
        engine.answer({"x": x})["logits"], x @ tiny_weights, rtol=1e-5, atol=1e-5
    )
    engine.start({"x": x[:2]})
    engine.finish()
    assert list(engine.single({"x": x[:1]})) == ["logits"]  # type: ignore[call-overload]


class Two(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x * 2


def test_several_outputs_are_named_in_the_recipes_order(tiny_recipe: str) -> None:
    second = '\n[output.twice]\ndtype = "float32"\nshape = [8]\n'
    engine = pytorch.open_engine(Two(), parse_recipe(tiny_recipe + second), 1)
    x = np.ones((2, 8), np.float32)
    found = engine.answer({"x": x})
    np.testing.assert_array_equal(found["logits"], x)
    np.testing.assert_array_equal(found["twice"], x * 2)
