"""A published model with everything that a config can name, and keys to sign it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith.integrity.signing import Signer, Signing, Trust
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import CONFIG_FILE, ModelFolder, digest, publish
from signing_keys import Certificates, Keys, write_certificates, write_keys

CONFIG = """\
name: "tiny"
backend: "openvino"
max_batch_size: 2
output [ { name: "logits" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
version_policy { specific { versions: [ %d ] } }
model_warmup [ {
  name: "sample"
  batch_size: 1
  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 8 ] input_data_file: "sample" } }
} ]
"""


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def publish_next(manifest_of: Callable[..., Manifest]) -> Callable[[Path], Path]:
    """Publishes the next version of the model in a folder, which it gives back."""
    return lambda folder: _publish(folder, manifest_of)


@pytest.fixture
def tiny(tmp_path: Path, publish_next: Callable[[Path], Path]) -> Path:
    """The folder of a model with version 1, its labels and a warm-up request."""
    return publish_next(tmp_path / "repository" / "tiny")


def _publish(folder: Path, manifest_of: Callable[..., Manifest]) -> Path:
    (folder / "warmup").mkdir(parents=True, exist_ok=True)
    (folder / "labels.txt").write_text("a\nb\nc\nd\n")
    (folder / "warmup" / "sample").write_bytes(bytes(32))
    files: dict[str, Path] = {}
    for name in ("model.xml", "model.bin"):
        files[name] = folder.parent.parent / name
        files[name].write_text(f"{name} of {folder.name}\n")

    def describe(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
        built = manifest_of(version, artifacts)
        labels = digest(folder / "labels.txt", "labels.txt")
        return replace(built, model=folder.name, sources=(*built.sources, labels))

    def configs(found: Manifest) -> dict[str, str]:
        text = CONFIG.replace("tiny", folder.name) % found.version
        return {"configs/cpu.pbtxt": text, CONFIG_FILE: text}

    publish(ModelFolder(path=folder), files, describe, configs)
    return folder


@pytest.fixture
def signed(tiny: Path, keys: Keys) -> Path:
    """`tiny` with a signature."""
    Signing(Signer(private_key=keys.private)).sign(tiny / "1")
    return tiny


@pytest.fixture
def trust(keys: Keys) -> Trust:
    """That of the key that `signed` is signed with."""
    return Trust(public_key=keys.public)
