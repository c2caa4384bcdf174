"""`plansmith models` as a program, against a server some of whose models are not ready."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client, LoadFailed
from programs import plansmith, refused
from python_models import CONFIG_NAME, Tensor, write_model
from real_server import serving_with, url_of


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("listed")
    x = [Tensor("x", "FP32", "2, -1")]
    write_model(repository, "echo", x)
    write_model(repository, "single", [Tensor("words", "STRING", "1")], max_batch_size=0)
    write_model(repository, "broken", x)
    write_model(repository, "spare", x)
    (repository / "broken" / "1" / "model.py").write_text("raise ValueError('out of\\n cheese')")
    return repository


@pytest.fixture(scope="module")
def server(
    repository: Path, server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    logs = tmp_path_factory.mktemp("logs")
    models = ("echo", "single")
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, models, drain=False
    ) as running:
        with Client(running.grpc_url) as client:
            client.model("echo")(np.ones((3, 2, 5), np.float32))
            client.load(
                "sent",
                config={**client.model("echo").config().raw, "name": "sent"},
                files={"2/model.py": (repository / "echo" / "1" / "model.py").read_bytes()},
            )
            with pytest.raises(LoadFailed):
                client.load("broken")
        yield running


def listed(url: str) -> dict[str, dict[str, Any]]:
    done = plansmith("models", "--json", "--url", url)
    assert (done.returncode, done.stderr) == (0, "")
    return {one["model"]: one for one in json.loads(done.stdout)}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_ready_model_is_described_and_counted(server: Server, protocol: str) -> None:
    assert listed(url_of(server, protocol))["echo"] == {
        "model": "echo",
        "version": 1,
        "state": "READY",
        "reason": "",
        "backend": "python",
        "inputs": [{"name": "x", "dtype": "FP32", "shape": [-1, 2, -1], "optional": False}],
        "outputs": [{"name": "x_out", "dtype": "FP32", "shape": [-1, 2, -1], "optional": False}],
        "max_batch_size": 4,
        "requests": 1,
        "failed": 0,
        "items": 3,
    }


def test_what_is_not_ready_is_there_with_its_state(server: Server) -> None:
    found = listed(server.grpc_url)
    assert (found["spare"]["state"], found["spare"]["version"]) == ("not loaded", None)
    assert found["broken"]["state"] == "UNAVAILABLE"
    assert "out of" in found["broken"]["reason"]
    assert found["broken"]["inputs"] == []


def test_a_model_loaded_from_files_is_listed_too(server: Server) -> None:
    found = listed(server.grpc_url)["sent"]
    assert (found["version"], found["state"], found["backend"]) == (2, "READY", "python")


def test_people_get_a_table_and_the_reasons_below_it(server: Server) -> None:
    done = plansmith("models", "--url", server.grpc_url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    (echo,) = [line for line in lines if line.startswith("│ echo")]
    cells = [cell.strip() for cell in echo.strip("│").split("│")]
    tensors = ["x FP32[-1, 2, -1]", "x_out FP32[-1, 2, -1]"]
    assert cells == ["echo", "1", "READY", "python", *tensors, "4", "1", "0", "3"]
    (reason,) = [line for line in lines if line.startswith("broken version 1 is UNAVAILABLE: ")]
    assert "out of cheese" in reason


def test_a_server_that_keeps_much_to_itself_is_listed_without(
    repository: Path, server_files: ServerFiles, tmp_path: Path
) -> None:
    flags = [
        "--model-control-mode=explicit",
        "--load-model=echo",
        "--grpc-restricted-protocol=statistics,model-config:secret=word",
        "--http-restricted-api=model-repository:secret=word",
    ]
    log = tmp_path / "log"
    with serving_with(server_files, repository, CONFIG_NAME, log, flags) as ports:
        without_counts = listed(f"localhost:{ports.grpc}")["echo"]
        without_index = listed(f"http://localhost:{ports.http}")
    assert (without_counts["state"], without_counts["inputs"][0]["name"]) == ("READY", "x")
    for name in ("backend", "requests", "max_batch_size"):
        assert without_counts[name] is None
    assert list(without_index) == ["echo"]
    assert (without_index["echo"]["backend"], without_index["echo"]["requests"]) == ("python", 0)


def test_nobody_there_is_one_message(dead_url: str) -> None:
    assert dead_url in refused("models", "--url", dead_url, exit_code=1)
