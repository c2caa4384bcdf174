"""Models to be built and refused, each in a folder of its own, and what a build came to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from plansmith.cache import Cache
from plansmith.forms import Form
from plansmith.job import prepare
from plansmith.manifest import Trial
from plansmith.measure import Plan
from plansmith.pipeline import build
from plansmith.progress import PlainProgress
from plansmith.recipe.functions import call_function

HERE = Path(__file__).parent
MODELS = "hard_models.py"
# Speed is not what is tested here.
PLAN = Plan(rounds=1, seconds=0.01)

CALIBRATED = 'calibration = "calibration.npy"'
DIGITS_RECIPE = """\
[source]
{source}

[input.x]
dtype = "float32"
shape = [64]

[output.logits]
dtype = "float32"
shape = [10]

[data]
evaluation = "evaluation.npy"
{more_data}

[budget]
metric = "top1_agreement"
max_drop = {max_drop}

[slo]
p99_ms = 100

[targets]
order = ["{target}"]
max_batch_size = 1
compute_capabilities = ["8.6"]
accept_not_measured = true
{more}
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a published version says of one target, by name."""

    forms: dict[str, Form]
    trials: dict[str, Trial]
    chosen: Trial


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(root=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def of_hard_models() -> Callable[[str], Any]:
    """What the function of that name in hard_models.py gives."""
    return lambda name: call_function(f"{MODELS}:{name}", HERE)


@pytest.fixture(scope="session")
def digits_folder(
    tmp_path_factory: pytest.TempPathFactory, of_hard_models: Callable[[str], Any]
) -> Callable[..., Path]:
    """Writes the folder of a digits model, an ONNX graph or hard_models' torch module."""

    def write(
        name: str,
        target: str,
        *,
        model: onnx.ModelProto | None,
        max_drop: float = 0.05,
        more_data: str = CALIBRATED,
        more: str = "",
    ) -> Path:
        folder = tmp_path_factory.mktemp("repository") / name
        folder.mkdir()
        for part in ("evaluation", "calibration"):
            np.save(folder / f"{part}.npy", of_hard_models(part))
        source = 'onnx = "model.onnx"'
        if model is None:
            source = 'torch = "source.py:module"'
            shutil.copy(HERE / MODELS, folder / "source.py")
        else:
            onnx.save(model, folder / "model.onnx")
        recipe = DIGITS_RECIPE.format(
            source=source, target=target, max_drop=max_drop, more_data=more_data, more=more
        )
        (folder / "recipe.toml").write_text(recipe)
        return folder

    return write


@pytest.fixture(scope="session")
def account_of() -> Callable[[Path, str, Cache], Account]:
    """Builds and publishes a folder for a target, and reads what the manifest says of it."""

    def read(folder: Path, target: str, cache: Cache) -> Account:
        built = build(prepare(folder, None, PLAN), cache, PlainProgress())
        for error in built.failures.values():
            raise error
        assert built.manifest is not None
        found = built.manifest.on(target)
        return Account(
            forms={form.name: form for form in found.forms},
            trials={trial.name: trial for trial in found.trials},
            chosen=found.chosen,
        )

    return read
