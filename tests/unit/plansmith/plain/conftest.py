"""Small models that are served as they are, each in a folder of one repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import onnx
import pytest
from onnx import helper

import recipes
import small_models
from plansmith.cache import Cache
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import Built, build
from plansmith.progress import PlainProgress
from recipes import slo_and_targets

COUNTER_RECIPE = f"""\
[source]
onnx = "counter.onnx"
as_trained = true
backend = "onnxruntime"

[input.x]
dtype = "float32"
shape = [2]

[input.total]
dtype = "float32"
shape = [2]

[output.sum]
dtype = "float32"
shape = [2]

[output.next_total]
dtype = "float32"
shape = [2]

[sequence]
strategy = "oldest"
max_idle_ms = 1000
states = {{ total = "next_total" }}

[golden]
samples = "source.py:golden"
max_deviation = 1e-5

{slo_and_targets()}"""
COUNTER_SOURCE = """\
import numpy as np

def golden():
    x = np.ones((6, 2), np.float32)
    sums = np.array([1, 1, 2, 2, 3, 3], np.float32)[:, None] * np.ones(2, np.float32)
    return {"inputs": {"x": x}, "outputs": {"sum": sums}, "sequence": [1, 2, 1, 2, 1, 2]}
"""
TEXT_RECIPE = f"""\
[source]
python = "own.py"
files = "source.py:files"

[input.text]
dtype = "bytes"
shape = [1]

[output.x]
dtype = "float32"
shape = [-1]

[golden]
samples = "source.py:golden"
max_deviation = 0

{slo_and_targets(8)}"""
TEXT_SOURCE = """\
from pathlib import Path
import numpy as np

def files():
    return {"words.txt": b"a b", "helper.py": Path(__file__).parent / "beside.py"}

def golden():
    return {"inputs": {"text": [["a"], [b"b"]]}, "outputs": {"x": np.ones((2, 3), np.float32)}}
"""
BOTH_RECIPE = f"""\
[source]
ensemble = true

[[step]]
model = "text"
inputs = {{ text = "text" }}
outputs = {{ x = "middle" }}

[[step]]
model = "double"
inputs = {{ x = "middle" }}
outputs = {{ y = "y" }}

[input.text]
dtype = "bytes"
shape = [1]

[output.y]
dtype = "float32"
shape = [-1]

{slo_and_targets()}"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """double (a graph), counter (a graph with state), text (Python) and both (text → double)."""
    root = tmp_path / "repository"
    files = {
        "double": {"recipe.toml": recipes.DOUBLE, "source.py": recipes.DOUBLE_SOURCE},
        "counter": {"recipe.toml": COUNTER_RECIPE, "source.py": COUNTER_SOURCE},
        "text": {
            "recipe.toml": TEXT_RECIPE,
            "source.py": TEXT_SOURCE,
            "own.py": "class TritonPythonModel: ...\n",
            "beside.py": "VALUE = 1\n",
        },
        "both": {"recipe.toml": BOTH_RECIPE},
    }
    for model, texts in files.items():
        (root / model).mkdir(parents=True)
        for name, text in texts.items():
            (root / model / name).write_text(dedent(text))
    onnx.save(small_models.double(), root / "double" / "double.onnx")
    counter = small_models.float_model(
        [
            helper.make_node("Add", ["x", "total"], ["sum"]),
            helper.make_node("Identity", ["sum"], ["next_total"]),
        ],
        {name: ["batch", 2] for name in ("x", "total")},
        {name: ["batch", 2] for name in ("sum", "next_total")},
        {},
    )
    onnx.save(counter, root / "counter" / "counter.onnx")
    return root


@pytest.fixture
def edit_recipe(repository: Path) -> Callable[[str, str, str], None]:
    """Replaces a part of a model's recipe."""

    def replace_part(model: str, old: str, new: str) -> None:
        path = repository / model / "recipe.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return replace_part


@pytest.fixture
def build_model(repository: Path, tmp_path: Path) -> Callable[..., Built]:
    """Builds a model of the repository; no server checks its golden answers."""
    cache = Cache(root=tmp_path / "cache")

    def once(model: str, *, force: bool = False) -> Built:
        job = prepare(repository / model, None, Plan())
        return build(job, cache, PlainProgress(), force=force)

    return once
