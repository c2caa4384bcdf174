"""The README does what it says: its own model is built as written, its commands are there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from plansmith.cli import parser
from plansmith.manifest import FILE_NAME, read

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would clone, with this checkout's environments."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", ".venv-server"):
        (folder / name).mkdir()
        for entry in (ROOT / name).iterdir():
            (folder / name / entry.name).symlink_to(entry)
        (folder / name / ".made-from").unlink(missing_ok=True)
    _stamp(folder)
    return folder


def _stamp(folder: Path) -> None:
    """As if both environments had just been made for the copy in `folder`.

    Else `make` would install that copy into this checkout's own, where it stayed after the test.
    """
    spec = importlib.util.spec_from_file_location("install", folder / "deploy" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    installer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installer)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_install_main", "_install_server"):
            patch.setattr(installer, name, lambda: None)
        assert installer.main() == 0


def test_the_five_minute_path_works_as_written(checkout: Path) -> None:
    (block,) = (block for block in BLOCKS if "model_repository/digits" in block)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "digits: cpu: version 1 published" in done.stdout
    manifest = read(checkout / "model_repository" / "digits" / "1" / FILE_NAME)
    assert manifest.on("cpu").chosen.fidelity is not None
    assert manifest.evaluation.count == 797


def test_every_make_target_it_names_is_there() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test", "build"} <= named
    assert named <= TARGETS


def test_every_plansmith_command_it_names_is_understood() -> None:
    commands = re.findall(r"\.venv/bin/plansmith ([^#`\n]+)", README)
    assert len(commands) >= 3
    for command in commands:
        assert parser().parse_args(command.split()).verb == command.split()[0]


def test_every_file_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
