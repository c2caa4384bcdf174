"""Recipes of small models, as texts that tests write down as they are or change a part of.

The graphs that they name are in small_models.py.
"""

from __future__ import annotations

SLO = """\
[slo]
p99_ms = 100
"""


def slo_and_targets(max_batch_size: int = 4) -> str:
    """How every recipe here ends."""
    return f"""\
{SLO}
[targets]
order = ["cpu"]
max_batch_size = {max_batch_size}
"""


# A model that is optimised: small_models.tiny().
TINY = f"""\
[source]
onnx = "model.onnx"

[input.x]
dtype = "float32"
shape = [8]

[output.logits]
dtype = "float32"
shape = [4]

[data]
evaluation = "evaluation.npz"

[budget]
metric = "top1_agreement"
max_drop = 0.02

{slo_and_targets(2)}"""

# One that is served as it was trained: small_models.double(), and its source.py.
DOUBLE = f"""\
[source]
onnx = "double.onnx"
as_trained = true

[input.x]
dtype = "float32"
shape = [-1]

[output.y]
dtype = "float32"
shape = [-1]

[golden]
samples = "source.py:golden"
max_deviation = 1e-5

{slo_and_targets()}"""
DOUBLE_SOURCE = """\
import numpy as np

def golden():
    rows = [np.arange(n, dtype=np.float32) for n in (1, 3, 3, 5)]
    return {"inputs": {"x": rows}, "outputs": {"y": [2 * row for row in rows]}}
"""
