"""`plansmith serve` looks before it starts a server: what was signed is served, else nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plansmith.errors import PlansmithError
from plansmith.findings import Report
from plansmith.integrity.signing import Signer, Signing
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import ModelFolder, digest, publish
from plansmith.server import Ports, free_ports
from plansmith_client import Client
from programs import HANG_S, run, started
from python_models import Tensor, write_model
from real_server import Serve, serve_command
from signing_keys import Keys, write_keys

pytestmark = pytest.mark.usefixtures("server_files")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def repository(tmp_path: Path, sample_report: Report, keys: Keys) -> Path:
    """One model, `echo`, with labels; its version 1 is published and signed."""
    drafts = tmp_path / "drafts"
    write_model(drafts, "echo", [Tensor("x", "FP32", "3")], labels=("a", "b", "c"))
    folder = tmp_path / "repository" / "echo"
    folder.mkdir(parents=True)
    shutil.copyfile(drafts / "echo" / "labels.txt", folder / "labels.txt")
    config = (drafts / "echo" / "configs" / "cpu.pbtxt").read_text()
    build = sample_report.manifest.on("cpu")

    def describe(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
        return replace(
            sample_report.manifest,
            model="echo",
            version=version,
            sources=(digest(folder / "labels.txt", "labels.txt"),),
            builds=(replace(build, artifacts=artifacts),),
        )

    artifacts = {"model.py": drafts / "echo" / "1" / "model.py"}
    place = ModelFolder(path=folder)
    publish(place, artifacts, describe, lambda _: {"configs/cpu.pbtxt": config})
    Signing(Signer(private_key=keys.private)).sign(folder / "1")
    return folder.parent


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def strictly(keys: Keys) -> list[str]:
    return ["--require-signature", f"--public-key={keys.public}"]


@contextmanager
def served(repository: Path, cache: Path, *options: str) -> Iterator[Ports]:
    """A `plansmith serve` with `options` that has become ready."""
    ports = free_ports()
    with started([*serve_command(repository, cache, ports), "--json", *options]) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=HANG_S)[1]
        assert json.loads(line)["ready"]
        try:
            yield ports
        finally:
            process.terminate()
            process.wait(HANG_S)


def refused(repository: Path, cache: Path, *options: str) -> list[str]:
    """What `plansmith serve` says instead of starting a server."""
    done: subprocess.CompletedProcess[str] = run(
        [*serve_command(repository, cache, free_ports()), *options]
    )
    assert (done.returncode, done.stdout) == (1, "")
    # The server's files are not even put together.
    assert not cache.exists()
    return done.stderr.splitlines()


def assert_answers(ports: Ports) -> None:
    x = np.array([[1, 2, 3]], np.float32)
    with Client(f"127.0.0.1:{ports.grpc}") as client:
        np.testing.assert_array_equal(client.model("echo")(x), x)


def test_a_signed_repository_is_served(repository: Path, cache: Path, keys: Keys) -> None:
    with served(repository, cache, *strictly(keys)) as ports:
        assert_answers(ports)


@pytest.mark.parametrize("file", ["1/model.py", "1/model.sig", "labels.txt", "configs/cpu.pbtxt"])
def test_a_tampered_repository_is_not_served_and_the_file_is_named(
    repository: Path, cache: Path, keys: Keys, file: str
) -> None:
    path = repository / "echo" / file
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    lines = refused(repository, cache, *strictly(keys))
    assert lines[0].startswith(f"plansmith serve: echo/{file}: ")
    assert lines[-1].startswith("nothing was started")


def test_a_repository_signed_by_somebody_else_is_not_served(
    repository: Path, cache: Path, keys: Keys
) -> None:
    others = ["--require-signature", f"--public-key={keys.other_public}"]
    assert refused(repository, cache, *others)[0].startswith("plansmith serve: echo/1/model.sig: ")


def test_an_unsigned_model_beside_a_signed_one_is_not_served(
    repository: Path, cache: Path, keys: Keys
) -> None:
    write_model(repository, "foreign", [Tensor("x", "FP32", "3")])
    lines = refused(repository, cache, *strictly(keys))
    assert any(line.startswith("foreign/1/model.sig: is missing") for line in lines)


def test_changed_files_are_found_without_a_key_and_served_only_on_demand(
    repository: Path, cache: Path
) -> None:
    path = repository / "echo" / "1" / "model.py"
    path.write_text(path.read_text() + "\n")
    assert refused(repository, cache)[0].startswith("plansmith serve: echo/1/model.py: ")
    with served(repository, cache, "--no-verify") as ports:
        assert_answers(ports)


# What a server does that verifying must reckon with


def test_the_server_serves_hidden_models(repository: Path, serve: Serve) -> None:
    write_model(repository, ".hidden", [Tensor("x", "FP32", "3")])
    with serve(repository) as server, Client(server.grpc_url) as client:
        x = np.array([[1, 2, 3]], np.float32)
        np.testing.assert_array_equal(client.model(".hidden")(x), x)


def test_the_server_loads_a_backend_from_the_models_folder(repository: Path, serve: Serve) -> None:
    folder = repository / "echo"
    config = folder / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace('backend: "python"', 'backend: "own"'))
    library = folder / "libtriton_own.so"
    library.write_text("no library")
    says = f"unable to load shared library: {library}"
    with pytest.raises(PlansmithError, match=says), serve(repository):
        pass
