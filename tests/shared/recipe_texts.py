"""A recipe with one of everything, one with the least, and what is wrong with a text."""

from __future__ import annotations

import pytest

import recipes
from plansmith.errors import BadRecipe
from plansmith.recipe.parser import parse_recipe

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


def problems_of(text: str) -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(text, "r.toml")
    return [str(problem) for problem in caught.value.problems]
