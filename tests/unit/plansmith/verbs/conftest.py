"""A repository with engines of TensorRT-RTX, real ones, built once by the command itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from command_line import Command, Run, write_model
from plansmith.cli import main


@pytest.fixture(scope="session")
def rtx_recipe(tiny_recipe: str) -> str:
    targets = 'order = ["tensorrt-rtx"]\ncompute_capabilities = ["8.6", "8.9"]'
    return tiny_recipe.replace('order = ["cpu"]', f"{targets}\naccept_not_measured = true")


@pytest.fixture(scope="session")
def first_build(
    tmp_path_factory: pytest.TempPathFactory, rtx_recipe: str, tiny_onnx: onnx.ModelProto
) -> tuple[Path, Run]:
    """A repository with the tiny model in it, and what the build that made it printed.

    In a process of its own, so that nothing a library prints is overlooked.
    """
    pytest.importorskip("tensorrt_rtx", reason="needs pip install tensorrt-rtx-cu13")
    folder = tmp_path_factory.mktemp("built")
    write_model(folder / "repository" / "tiny", rtx_recipe, tiny_onnx)
    arguments = ["--repository", folder / "repository", "--cache", folder / "cache", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "plansmith", "build", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    lines = done.stdout.splitlines(), done.stderr.splitlines()
    return folder, Run(code=done.returncode, out=lines[0], err=lines[1])


@pytest.fixture
def repository(first_build: tuple[Path, Run], tmp_path: Path) -> Path:
    """A copy of the built repository, to be spoilt."""
    return shutil.copytree(first_build[0] / "repository", tmp_path / "repository")


@pytest.fixture
def run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs a verb on the repository in `tmp_path`, on a machine without a GPU."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PLANSMITH_CONTAINER", raising=False)

    def command(verb: str, *arguments: str, cache: Path | None = None) -> Run:
        capfd.readouterr()
        places = ["--repository", str(tmp_path / "repository")]
        if verb == "build":
            places += ["--cache", str(cache or tmp_path / "cache")]
        try:
            code = main([verb, *arguments, *places])
        except SystemExit as error:  # argparse ends the program itself
            code = int(error.code or 0)
        said = capfd.readouterr()
        return Run(code=code, out=said.out.splitlines(), err=said.err.splitlines())

    return command
