"""A version may be gigabytes large, and a server waits for its files to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.integrity.signing import Signer, Signing, Trust, Verifying
from plansmith.integrity.version import Demand, check_version
from plansmith.manifest import Manifest
from plansmith.repository import ModelFolder, publish
from plansmith.verify import verify
from signing_keys import Keys

SIZE_BYTES = 8_000_000


def bytes_read() -> int:
    """By this process, from the disk or the kernel's cache. Source: proc(5), /proc/PID/io."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])


@pytest.fixture
def large(tmp_path: Path, manifest_of: Callable[..., Manifest], keys: Keys) -> Path:
    """A signed version of one file of SIZE_BYTES."""
    file = tmp_path / "model.bin"
    file.write_bytes(bytes(SIZE_BYTES))
    model = manifest_of(1, ()).model
    folder = ModelFolder(path=tmp_path / "repository" / model)
    folder.path.mkdir(parents=True)
    publish(folder, {file.name: file}, manifest_of, lambda _: {"config.pbtxt": ""})
    version = folder.path / "1"
    Signing(Signer(private_key=keys.private)).sign(version)
    return version


def test_a_files_bytes_are_read_once_for_its_digest_and_its_signature(
    large: Path, trust: Trust
) -> None:
    demand = Demand(verifying=Verifying(trust), must_be_signed=True)
    # What is imported on first need is read, too.
    assert check_version(large, demand).faults == ()
    before = bytes_read()
    assert check_version(large, demand).faults == ()
    assert SIZE_BYTES <= bytes_read() - before < 1.5 * SIZE_BYTES


def test_a_file_that_several_configs_name_is_read_once(
    tmp_path: Path, manifest_of: Callable[..., Manifest]
) -> None:
    folder = ModelFolder(path=tmp_path / manifest_of(1, ()).model)
    folder.path.mkdir()
    (folder.path / "packages.tar.gz").write_bytes(bytes(SIZE_BYTES))
    value = '{ string_value: "$$TRITON_MODEL_DIRECTORY/packages.tar.gz" }'
    text = f'parameters {{ key: "EXECUTION_ENV_PATH" value {value} }}'
    names = ("config.pbtxt", "configs/a.pbtxt", "configs/b.pbtxt")
    publish(folder, {}, manifest_of, lambda _: dict.fromkeys(names, text))
    assert verify([folder.path]).faults == ()
    before = bytes_read()
    assert verify([folder.path]).faults == ()
    assert SIZE_BYTES <= bytes_read() - before < 1.5 * SIZE_BYTES


def test_a_signature_alone_reads_them_once_too(large: Path, trust: Trust) -> None:
    verifying = Verifying(trust)
    assert verifying.faults(large) == ()
    before = bytes_read()
    assert verifying.faults(large) == ()
    assert SIZE_BYTES <= bytes_read() - before < 1.5 * SIZE_BYTES
