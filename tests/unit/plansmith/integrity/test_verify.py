"""Whatever is changed in a published model is found, with its file, signed or not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plansmith import manifest
from plansmith.errors import UnusableInput
from plansmith.integrity.signing import SIGNATURE_FILE, Signer, Signing, Trust, Verifying
from plansmith.integrity.version import Demand
from plansmith.repository import digest
from plansmith.verify import verify, verify_served
from signing_keys import Keys

PUBLISHED = (
    "1/configs/config.pbtxt",
    "1/configs/cpu.pbtxt",
    "1/manifest.json",
    "1/model.bin",
    "1/model.xml",
    "config.pbtxt",
    "configs/cpu.pbtxt",
    "labels.txt",
    "warmup/sample",
)


def told(folder: Path, demand: Demand | None = None) -> dict[str, str]:
    """What is wrong by file, as a user sees it."""
    found = verify([folder], demand)
    return dict(line.split(": ", 1) for line in map(str, found.faults))


def told_of_served(folder: Path, demand: Demand | None = None) -> dict[str, str]:
    found = verify_served(folder.parent, "cpu", demand)
    return dict(line.split(": ", 1) for line in map(str, found.faults))


@contextmanager
def flipped(path: Path, place: float, bit: int) -> Generator[None, None, None]:
    """A bit of the file, at that share of its length, is another one until the block is left."""
    content = path.read_bytes()
    at = int(place * len(content))
    path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(content)


@pytest.fixture
def demand(trust: Trust) -> Demand:
    """Everything must be signed by the test's key."""
    return Demand(verifying=Verifying(trust), must_be_signed=True)


def test_the_list_of_published_files_is_complete(tiny: Path) -> None:
    there = {path.relative_to(tiny).as_posix() for path in tiny.rglob("*") if path.is_file()}
    # History is of what was done to the model, not of what is served.
    assert there - {"history.jsonl"} == set(PUBLISHED)


def test_a_model_as_it_was_published_has_no_fault(signed: Path, demand: Demand) -> None:
    assert told(signed) == told(signed, demand) == told_of_served(signed, demand) == {}
    assert (
        verify([signed])
        .lines()[0]
        .endswith("signatures were not checked (--public-key or --certificate-chain)")
    )
    assert verify([signed], demand).lines() == ["4 files of 1 versions are whole; 1 of them signed"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file=st.sampled_from(PUBLISHED), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_a_bit_flipped_in_any_file_is_found_without_a_signature(
    tiny: Path, file: str, place: float, bit: int
) -> None:
    with flipped(tiny / file, place, bit):
        assert f"tiny/{file}" in told(tiny)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file=st.sampled_from((*PUBLISHED, f"1/{SIGNATURE_FILE}")),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_a_bit_flipped_in_any_file_of_a_signed_version_is_found(
    signed: Path, demand: Demand, file: str, place: float, bit: int
) -> None:
    with flipped(signed / file, place, bit):
        assert f"tiny/{file}" in told(signed, demand)


@pytest.mark.parametrize("file", PUBLISHED)
def test_what_the_target_reads_is_looked_at_before_it_is_served(tiny: Path, file: str) -> None:
    with flipped(tiny / file, 0.5, 0):
        found = set(told_of_served(tiny))
    if file == "config.pbtxt":  # what a server without a configuration's name would read
        assert found == set()
    else:
        assert f"tiny/{file}" in found


def test_a_version_that_is_not_served_does_not_hinder_serving(
    tiny: Path, publish_next: Callable[[Path], Path]
) -> None:
    publish_next(tiny)
    (tiny / "1" / "model.bin").write_bytes(b"")
    assert told_of_served(tiny) == {}
    assert list(told(tiny)) == ["tiny/1/model.bin"]


def test_a_version_of_no_manifest_is_served_unless_it_must_be_signed(
    tiny: Path, demand: Demand
) -> None:
    shutil.rmtree(tiny / "1")
    (tiny / "1").mkdir()
    (tiny / "1" / "model.bin").touch()
    assert told_of_served(tiny) == {}
    assert set(told_of_served(tiny, demand)) >= {"tiny/1/manifest.json", "tiny/1/model.sig"}


def test_a_version_of_ours_that_lost_its_manifest_is_not_served(tiny: Path) -> None:
    (tiny / "1" / "manifest.json").unlink()
    assert "tiny/1/manifest.json" in told_of_served(tiny)


def test_a_hidden_model_is_looked_at_too(tiny: Path, demand: Demand) -> None:
    # The real server serves it: tests/server/test_signed_serving.py.
    shutil.copytree(tiny, tiny.with_name(".tiny"))
    assert ".tiny/1/model.sig" in told_of_served(tiny, demand)


def test_a_model_without_a_config_is_not_served_where_signatures_count(
    signed: Path, demand: Demand
) -> None:
    (signed / "configs" / "cpu.pbtxt").unlink()
    (signed / "config.pbtxt").unlink()
    assert told_of_served(signed) == {}
    with pytest.raises(UnusableInput, match=r"configs/cpu\.pbtxt: no such file"):
        told_of_served(signed, demand)


# Signatures


def test_an_unsigned_version_is_a_fault_only_where_it_must_be_signed(
    tiny: Path, trust: Trust, demand: Demand
) -> None:
    found = verify([tiny], Demand(verifying=Verifying(trust)))
    assert (found.is_fine, found.signed) == (True, 0)
    assert told(tiny, demand) == {
        "tiny/1/model.sig": "is missing: the version is not signed; run `plansmith sign`"
    }


def test_whoever_changes_a_file_and_the_manifest_alike_is_found_by_the_signature(
    signed: Path, trust: Trust
) -> None:
    (signed / "1" / "model.bin").write_text("tampered")
    read = manifest.read(signed / "1" / "manifest.json")
    (cpu,) = read.builds
    files = tuple(digest(signed / "1" / one.path, one.path) for one in cpu.artifacts)
    changed = replace(read, builds=(replace(cpu, artifacts=files),))
    (signed / "1" / "manifest.json").write_bytes(manifest.encode(changed))
    assert told(signed) == {}
    found = told(signed, Demand(verifying=Verifying(trust)))
    assert set(found) == {"tiny/1/manifest.json", "tiny/1/model.bin"}
    assert all("changed since it was signed" in message for message in found.values())


def test_a_version_under_another_number_or_model_is_found(signed: Path, demand: Demand) -> None:
    shutil.copytree(signed / "1", signed / "2")
    shutil.copytree(signed, signed.with_name("other"))
    assert "tiny/2/manifest.json" in told(signed, demand)
    assert "other/1/manifest.json" in told(signed.with_name("other"), demand)


def test_a_served_config_must_be_the_one_that_was_signed(signed: Path, demand: Demand) -> None:
    config = signed / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 2", "max_batch_size: 3"))
    (message,) = told_of_served(signed, demand).values()
    assert "copy 1/configs/cpu.pbtxt over it" in message
    (signed / "1" / "configs" / "cpu.pbtxt").unlink()
    assert "keeps no copy" in told_of_served(signed, demand)["tiny/configs/cpu.pbtxt"]


def test_a_file_that_no_digest_is_kept_of_is_not_served_where_signatures_count(
    tiny: Path, keys: Keys, demand: Demand
) -> None:
    read = manifest.read(tiny / "1" / "manifest.json")
    (tiny / "1" / "manifest.json").write_bytes(manifest.encode(replace(read, served=())))
    Signing(Signer(private_key=keys.private)).sign(tiny / "1")
    assert told_of_served(tiny) == {}
    assert "no digest of it" in told_of_served(tiny, demand)["tiny/warmup/sample"]


def test_a_config_that_serves_nothing_is_a_fault(tiny: Path) -> None:
    path = tiny / "config.pbtxt"
    path.write_text(path.read_text().replace("versions: [ 1 ]", "versions: [ 0 ]"))
    assert told(tiny) == {"tiny/config.pbtxt": "serves no version that is there; publish again"}


# What is no plain file


@pytest.mark.parametrize("name", ["model.bin", "extra", "configs/more"])
def test_a_symbolic_link_is_refused(tiny: Path, name: str) -> None:
    path, target = tiny / "1" / name, tiny / "elsewhere"
    if path.exists():
        path.rename(target)
    else:
        target.mkdir()
    path.symlink_to(target)
    assert "symbolic link" in told(tiny)[f"tiny/1/{name}"]


def test_a_version_that_is_a_symbolic_link_is_refused(tiny: Path, demand: Demand) -> None:
    (tiny / "1").rename(tiny / "elsewhere")
    (tiny / "1").symlink_to(tiny / "elsewhere")
    assert "symbolic link" in told(tiny)["tiny/1/."]
    assert "symbolic link" in told_of_served(tiny, demand)["tiny/1/."]


def test_a_pipe_is_refused_and_not_waited_for(signed: Path, demand: Demand) -> None:
    os.mkfifo(signed / "1" / "pipe")
    assert "neither a file nor a folder" in told(signed, demand)["tiny/1/pipe"]


@pytest.mark.parametrize("name", ["weights.pkl", "sub/.hidden", ".git/config"])
def test_an_extra_file_is_named(signed: Path, demand: Demand, name: str) -> None:
    (signed / "1" / name).parent.mkdir(exist_ok=True)
    (signed / "1" / name).touch()
    assert list(told(signed, demand)) == [f"tiny/1/{name}"]


def test_a_pickle_is_told(tiny: Path) -> None:
    (tiny / "1" / "weights.pkl").touch()
    faults = [str(fault) for fault in verify([tiny]).faults]
    assert any("reading a pickle runs code" in fault for fault in faults)


def test_code_that_a_server_would_load_as_a_backend_is_told(tiny: Path) -> None:
    (tiny / "libtriton_openvino.so").touch()
    assert "load as a backend" in told_of_served(tiny)["tiny/libtriton_openvino.so"]


def test_a_file_that_cannot_be_read_is_one_message(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root, who runs containers, may read everything.
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "model.bin":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnusableInput, match=r"model\.bin: cannot be read: Permission denied"):
        verify([tiny])


def test_a_config_that_is_none_is_told_with_its_line(tiny: Path) -> None:
    (tiny / "configs" / "cpu.pbtxt").write_text("name: tiny\n")
    for found in (told(tiny), told_of_served(tiny)):
        assert found["tiny/configs/cpu.pbtxt"].startswith("is no model configuration: 1:")
