"""docs/client.md does what it says: its blocks are run in order against a real Triton."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import plansmith_client
from host_cuda import host_cuda
from kept_state import write_count, write_history, write_sum
from plansmith.cli import main
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import Client
from python_models import CONFIG_NAME, Tensor, write_model
from real_server import url_of

GUIDE = Path(__file__).parents[3] / "docs" / "client.md"
# A block, and what it prints where that is shown.
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("guide")
    pair = [Tensor("numbers", "INT64", "1"), Tensor("text", "STRING", "1")]
    write_model(repository, "echo", [Tensor("x", "FP32", "2")])
    write_model(repository, "pair", pair)
    write_model(repository, "classes", [Tensor("x", "FP32", "3")], labels=("cat", "dog", "owl"))
    write_sum(repository, "sum")
    write_count(repository, "count")
    write_history(repository, "history")
    logs = tmp_path_factory.mktemp("logs")
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, control=True, drain=False
    ) as running:
        yield running


def test_every_block_runs_and_prints_what_is_shown(server: Server) -> None:
    text = GUIDE.read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python\n") >= 12
    names: dict[str, object] = {}
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        source = block[1].replace("http://localhost:8000", "localhost:8000")
        source = source.replace("localhost:8000", url_of(server, "http"))
        source = source.replace("localhost:8001", server.grpc_url)
        printed = io.StringIO()
        # On a machine without a GPU, which the guide says.
        with contextlib.redirect_stdout(printed), host_cuda():
            # Line numbers are the guide's.
            exec(compile("\n" * line + source, str(GUIDE), "exec"), names)
        assert printed.getvalue() == (block[2] or ""), f"{GUIDE.name}:{line}"
    for one in names.values():
        if isinstance(one, Client):
            one.close()


# Commands, and what they print one after another.
COMMANDS = re.compile(r"^```sh\n((?:plansmith infer .*\n)+)```\n```text\n((?:.*\n)*?)```\n", re.M)


def test_every_command_prints_what_is_shown(server: Server) -> None:
    text = GUIDE.read_text()
    blocks = list(COMMANDS.finditer(text))
    assert blocks
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            for line in block[1].splitlines():
                assert main([*shlex.split(line)[1:], "--url", server.grpc_url]) == 0
        assert printed.getvalue() == block[2], block[1]


def test_what_a_caller_makes_or_catches_is_in_the_guide() -> None:
    text = GUIDE.read_text()
    # What methods give: their docstrings tell.
    described = {"AsyncModel", "AsyncModelSequence", "Model", "ModelSequence", "SequenceStep"}
    described |= {
        "AsyncCudaRegion",
        "CudaRegion",
        "AsyncSharedRegion",
        "SharedRegion",
        "ModelMetadata",
        "TensorMetadata",
        "Ranked",
    }
    missing = [name for name in plansmith_client.__all__ if name not in text]
    assert set(missing) <= described
