"""A version's files against their digests and passports: each fault is found and named."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith.engines.integrity import Fault, verify_files
from plansmith.engines.passport import EnginePassport
from plansmith.manifest import FileDigest

Engine = tuple[Path, EnginePassport]


@pytest.fixture
def version(tmp_path: Path, engine: Engine) -> Path:
    """A version's folder with the engine and a text file."""
    shutil.copy(engine[0], tmp_path)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    return tmp_path


def verify(folder: Path, engine: Engine) -> tuple[Fault, ...]:
    """Against what was recorded of the files as they were built."""
    plan, passport = engine
    labels = b"cat\ndog\n"
    digests = (
        FileDigest(path=plan.name, sha256=passport.sha256, size_bytes=passport.size_bytes),
        FileDigest(
            path="labels.txt", sha256=hashlib.sha256(labels).hexdigest(), size_bytes=len(labels)
        ),
    )
    return verify_files(folder, digests, (passport,))


def test_files_as_they_were_built_have_no_fault(version: Path, engine: Engine) -> None:
    assert verify(version, engine) == ()


def cut(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-1])


def exchange(plan: Path) -> None:
    plan.write_bytes(plan.with_name("labels.txt").read_bytes() * 40)


def flip(plan: Path) -> None:
    content = bytearray(plan.read_bytes())
    content[-1] ^= 1
    plan.write_bytes(content)


def for_another_gpu(plan: Path) -> None:
    content = bytearray(plan.read_bytes())
    content[32] = 0x08  # the bit of 8.9
    plan.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (Path.unlink, "is missing"),
        (cut, "is cut off"),
        (exchange, "is no TensorRT engine"),
        (flip, "SHA-256"),
        (for_another_gpu, "is for compute capability 8.9"),
    ],
)
def test_a_spoilt_engine_is_found_and_named(
    version: Path, engine: Engine, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(version / engine[0].name)
    (fault,) = verify(version, engine)
    assert fault.file == engine[0].name
    assert says in fault.message


def test_an_engine_of_another_release_is_found(version: Path, engine: Engine) -> None:
    passport = replace(engine[1], library_version="1.5.0.114")
    (fault,) = verify(version, (engine[0], passport))
    assert "its passport says 1.5.0.114" in fault.message


def test_an_engine_that_nobody_recorded_is_found(version: Path, engine: Engine) -> None:
    shutil.copy(engine[0], version / "model-cc75.plan")
    (fault,) = verify(version, engine)
    assert (fault.file, fault.message) == ("model-cc75.plan", "is not of this version; remove it")


def test_every_fault_is_told_at_once(version: Path, engine: Engine) -> None:
    cut(version / engine[0].name)
    (version / "labels.txt").write_text("cat\nfox\n")
    assert [fault.file for fault in verify(version, engine)] == [engine[0].name, "labels.txt"]


def test_a_passport_without_a_file_is_told(version: Path, engine: Engine) -> None:
    (version / engine[0].name).unlink()
    (fault,) = verify_files(version, (), (engine[1],))
    assert fault.file == engine[0].name
