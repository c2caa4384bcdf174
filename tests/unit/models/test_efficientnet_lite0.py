"""EfficientNet-Lite0's photos: enough of them, and other ones to calibrate with."""

from __future__ import annotations

from pathlib import Path

from plansmith.data.identity import refuse_overlap, refuse_unusable_calibration
from plansmith.data.samples import load_calibration, load_evaluation
from plansmith.recipe.parser import parse_recipe

FOLDER = Path(__file__).parents[3] / "model_repository" / "efficientnet_lite0"


def test_calibration_has_crops_enough_of_other_photos() -> None:
    recipe = parse_recipe((FOLDER / "recipe.toml").read_text())
    evaluation = load_evaluation(recipe, FOLDER).samples
    calibration = load_calibration(recipe, FOLDER)
    assert calibration is not None
    assert evaluation.count >= 600
    assert calibration.samples.count >= 150
    refuse_overlap(evaluation, calibration.samples)
    refuse_unusable_calibration(calibration.samples, evaluation)
