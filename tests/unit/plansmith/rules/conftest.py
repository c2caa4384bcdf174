"""A repository without a fault: one model of each kind that the rules know; tests spoil copies."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plansmith.rules.checking import check
from plansmith.rules.facts import Place
from plansmith.rules.findings import Finding

GOOD = Path(__file__).parent / "good"
# One core more or a server version less would be a finding: see the seeded mistakes.
PLACE = Place(cores=4, server_version="2.51.0")


def onnx_bytes(*, batch: str | int = "batch", outside: str = "") -> bytes:
    """y [batch, 2] = x [batch, 3] times weights, which may be said to be in the file `outside`."""
    weights = numpy_helper.from_array(np.ones((3, 2), np.float32), "weights")
    if outside:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", outside
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])],
        [weights],
    )
    model: onnx.ModelProto = helper.make_model(graph)
    return model.SerializeToString()


def torch_bytes(*, script: bool) -> bytes:
    """As torch.jit.save or torch.save lay their files out, without anything in them."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name in ("data.pkl", *(["constants.pkl", "code/model.py"] if script else [])):
            archive.writestr(f"model/{name}", b"")
    return found.getvalue()


def manifest_bytes(*, batch: int = 8, size_bytes: int = 4, model: str = "engine") -> bytes:
    passports = [
        {"file": "model.plan", "profile": {"inputs": [{"name": "a", "max": [batch, 8, 2, 2]}]}}
    ]
    artifacts = [{"path": "model.plan", "sha256": "", "size_bytes": size_bytes}]
    described = {
        "model": model,
        "version": 1,
        "inputs": [{"name": "a", "dtype": "float16", "shape": [8, 2, 2]}],
        "outputs": [{"name": "b", "dtype": "float32", "shape": [2]}],
        "builds": [{"artifacts": artifacts, "passports": passports}],
    }
    return json.dumps(described).encode()


@pytest.fixture(scope="session")
def good_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good")
    files: dict[str, bytes] = {
        "plain/1/model.py": b"pass",
        "plain/recipe.toml": (GOOD / "recipe.toml").read_bytes(),
        "plain/source.py": b"pass",
        "plain/labels.txt": b"red\ngreen\nblue\n",
        "plain/environment.tar.gz": b"1",
        "plain/warmup/mask": b"1234",
        "engine/1/model.plan": b"plan",
        "engine/1/sm86.plan": b"plan",
        "engine/1/manifest.json": manifest_bytes(),
        "onnx/1/model.onnx": onnx_bytes(),
        "ir/1/model.xml": (GOOD / "ir.xml").read_bytes(),
        "ir/1/model.bin": bytes(12),
        "torch/1/model.pt": torch_bytes(script=True),
        "stream/1/model.py": b"pass",
        "stream/initial_state/start": bytes(32),
        "first/1/model.py": b"pass",
        "second/1/model.py": b"pass",
        "unbuilt/recipe.toml": (GOOD / "recipe.toml").read_bytes(),
        "unbuilt/source.py": b"pass",
        "unbuilt/labels.txt": b"red\n",
    }
    for text in sorted(GOOD.glob("*.pbtxt")):
        files[f"{text.stem}/config.pbtxt"] = text.read_bytes()
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "whole" / "1").mkdir()
    return root


@pytest.fixture
def good_repository(good_template: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(good_template, tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def found(good_repository: Path) -> Callable[[], tuple[Finding, ...]]:
    """What the rules find in the copy now."""
    return lambda: check([good_repository], PLACE)


@pytest.fixture(scope="session")
def binary() -> dict[str, bytes]:
    """Model files with a fault, by name."""
    return {
        "onnx of batch 1": onnx_bytes(batch=1),
        "onnx with weights outside": onnx_bytes(outside="weights.bin"),
        "checkpoint": torch_bytes(script=False),
        "manifest for batch 4": manifest_bytes(batch=4),
        "manifest of larger file": manifest_bytes(size_bytes=5),
        "manifest of another": manifest_bytes(model="other"),
        "pickle": b"\x80\x04N.",
        "one byte": b"1",
        "empty": b"",
    }
