"""A strict type checker knows every type of the client, and has nothing against who uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import plansmith_client

CLIENT = Path(plansmith_client.__file__).parents[1]
PROGRAM = Path(__file__).with_name("typed_program.py")
PYRIGHT = [str(Path(sys.executable).with_name("pyright")), "--outputjson", "--pythonpath"]


def pyright(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [*PYRIGHT, sys.executable, *arguments],
        cwd=folder,
        # Where it looks for what it is to verify: an editable installation is none to it.
        env=os.environ | {"PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a right and of a wrong program, in one run."""
    folder = tmp_path_factory.mktemp("programs")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(CLIENT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    (folder / PROGRAM.name).write_text(PROGRAM.read_text())
    (folder / "wrong.py").write_text(
        "from plansmith_client import Client\n"
        'client = Client("localhost:8001", timeout_s="5")\n'
        'client.model("m", casting="unsafe")\n'
        'client.model("m").infer({"x": [1.0]})\n'
        "client.modle\n"
    )
    return pyright(folder)


def diagnosed(found: dict[str, Any], file: str) -> list[dict[str, Any]]:
    return [one for one in found["generalDiagnostics"] if Path(one["file"]).name == file]


def test_a_strict_program_has_no_error(found: dict[str, Any]) -> None:
    assert found["summary"]["filesAnalyzed"] == 2
    assert [one["message"] for one in diagnosed(found, PROGRAM.name)] == []


def test_a_wrong_use_is_an_error(found: dict[str, Any]) -> None:
    errors = diagnosed(found, "wrong.py")
    assert {one["range"]["start"]["line"] for one in errors} == {1, 2, 3, 4}


def test_every_type_is_written_down(tmp_path: Path) -> None:
    """Also that of an attribute: type checkers may infer different ones where none is."""
    settings = {"extraPaths": [str(CLIENT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    found = pyright(tmp_path, "--verifytypes", "plansmith_client", "--ignoreexternal")
    symbols = found["typeCompleteness"]["symbols"]
    assert len(symbols) > 500
    unknown = [
        f"{Path(said['file']).name}:{said['range']['start']['line'] + 1}: {said['message']}"
        for one in symbols
        if one["isExported"] and not one["isTypeKnown"]
        for said in one["diagnostics"]
        if "docstring" not in said["message"]
    ]
    assert unknown == []
