"""The trained network of a recipe, pruned as far as its budget goes, as ONNX again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.forms import PruneAttempt
from plansmith.job import Job
from plansmith.progress import Step
from plansmith.recipe import Input
from plansmith.stages import products

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class PrunedModel:
    """`models` are the smallest first, none where nothing recovered; all aimed at `goal`."""

    models: tuple[onnx.ModelProto, ...]
    attempts: tuple[PruneAttempt, ...]
    goal: float


def prune_module(job: Job, calibration: Path, step: Step) -> PrunedModel:
    """Trains on the recipe's training data; the calibration samples say how far pruning may go."""
    import torch

    from plansmith.compress.prune import NotRecovered, prune
    from plansmith.compress.recover import Training
    from plansmith.data.samples import load_samples, load_training
    from plansmith.export import export_module, load_module
    from plansmith.stages.source import users_code

    recipe = job.recipe
    assert recipe.prune is not None, "a stage only where the recipe asks for it"
    with users_code():
        module = load_module(recipe, job.folder)
        loaded = load_training(recipe, job.folder)
    assert loaded is not None, "the parser asks for training data"
    goal = recipe.budget.max_drop * products.TUNING_SHARE
    tuning = load_samples(calibration / products.SAMPLES_FILE)
    # Without them, or where the budget does not look at them: the original's own answers.
    labels = products.read_columns(calibration).get("labels")
    labels = labels if recipe.budget.metric == "top1" else None
    training = _network_inputs(recipe.inputs, loaded.samples.arrays)
    with users_code():
        found = prune(
            module,
            tuple(torch.from_numpy(array[:2]) for array in training),
            Training(inputs=training, labels=loaded.labels),
            Training(inputs=_network_inputs(recipe.inputs, tuning.arrays), labels=labels),
            goal=goal,
            epochs=recipe.prune.epochs,
            tick=step.update,
        )
        if isinstance(found, NotRecovered):
            return PrunedModel(models=(), attempts=found.attempts, goal=goal)
        modules = (found.module, found.milder)
        models = tuple(export_module(one, recipe) for one in modules if one is not None)
    return PrunedModel(models=models, attempts=found.attempts, goal=goal)


def _network_inputs(
    inputs: tuple[Input, ...], arrays: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], ...]:
    """What the network itself takes: the pre-processing that the graph does is done here."""
    prepared: list[NDArray[Any]] = []
    for tensor in inputs:
        array, steps = arrays[tensor.spec.name], tensor.preprocess
        if steps is not None:
            mean, scale = (np.asarray(one, np.float32) for one in (steps.mean, steps.scale))
            array = (array.astype(np.float32) - mean) * scale
            if steps.layout == "NCHW":
                array = array.transpose(0, 3, 1, 2)
        prepared.append(np.ascontiguousarray(array))
    return tuple(prepared)
