"""Models that are served as they are, from recipe to answers: built, admitted and called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import recipes
import small_models
from plansmith.infer import connected
from programs import plansmith
from real_server import Serve
from recipes import slo_and_targets

# text → as many ones as it has bytes.
COUNT = f"""\
[source]
python = "model.py"

[input.text]
dtype = "bytes"
shape = [1]

[output.ones]
dtype = "float32"
shape = [-1]

{slo_and_targets()}"""
COUNT_MODEL = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
        ones = np.ones((len(texts), len(texts[0, 0])), np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("ones", ones)])
"""
BOTH = f"""\
[source]
ensemble = true

[[step]]
model = "count"
inputs = {{ text = "text" }}
outputs = {{ ones = "ones" }}

[[step]]
model = "double"
inputs = {{ x = "ones" }}
outputs = {{ y = "twos" }}

[input.text]
dtype = "bytes"
shape = [1]

[output.twos]
dtype = "float32"
shape = [-1]

[golden]
samples = "source.py:golden"
max_deviation = 0

{slo_and_targets()}"""
BOTH_SOURCE = """\
import numpy as np

def golden():
    answers = [np.full(size, 2, np.float32) for size in (2, 5)]
    return {"inputs": {"text": [["ab"], ["abcde"]]}, "outputs": {"twos": answers}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """count (Python), double (a graph), and both, an ensemble of them."""
    root = tmp_path / "repository"
    files = {
        "count": {"recipe.toml": COUNT, "model.py": COUNT_MODEL},
        "double": {"recipe.toml": recipes.DOUBLE, "source.py": recipes.DOUBLE_SOURCE},
        "both": {"recipe.toml": BOTH, "source.py": BOTH_SOURCE},
    }
    for model, texts in files.items():
        (root / model).mkdir(parents=True)
        for name, text in texts.items():
            (root / model / name).write_text(text)
    onnx.save(small_models.double(), root / "double" / "double.onnx")
    return root


def test_an_ensemble_is_built_with_what_it_calls_and_answers(
    repository: Path, server_cache: Path, serve: Serve
) -> None:
    places = ("--repository", str(repository), "--cache", str(server_cache))
    done = plansmith("build", "both", *places)
    assert done.returncode == 0, done.stderr
    published = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert published == ["count", "double", "both"]
    with serve(repository) as server, connected(server.grpc_url, 30) as client:
        texts = np.array([[b"abc"], [b"xyz"]], object)
        answer = client.model("both").infer({"text": texts})
        assert answer["twos"].tolist() == [[2.0] * 3] * 2


def test_an_ensemble_whose_served_answers_are_off_is_not_published(
    repository: Path, server_cache: Path
) -> None:
    path = repository / "both" / "source.py"
    path.write_text(path.read_text().replace("np.full(size, 2", "np.full(size, 3"))
    done = plansmith("build", "--repository", str(repository), "--cache", str(server_cache))
    assert done.returncode == 1
    assert "both version 1 was not published: on cpu its answers are not the golden" in done.stderr
    assert "largest deviation is 1, allowed 0" in done.stderr
    assert not (repository / "both" / "config.pbtxt").exists()
    assert (repository / "double" / "config.pbtxt").exists()
