"""verify at the command line: every fault is a line, and a whole version none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import ENGINES, Command
from plansmith.manifest import FILE_NAME, read


def test_a_version_as_it_was_built_is_whole(repository: Path, run: Command) -> None:
    files = len(read(repository / "tiny" / "1" / FILE_NAME).files)
    told = run("verify")
    (line,) = told.out
    assert told.code == 0
    assert line.startswith(f"{files} files of 1 versions are whole; signatures were not checked")
    table = run("verify", "tiny", "--json").table
    assert table == {"files": files, "versions": 1, "signed": None, "faults": []}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def exchange(path: Path) -> None:
    shutil.copyfile(path.with_name(ENGINES[1]), path)


def foreign(path: Path) -> None:
    shutil.copyfile(path.parents[1] / "model.onnx", path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "is cut off"),
        (foreign, "is no TensorRT engine but perhaps an ONNX model"),
        (exchange, "is for compute capability 8.9"),
        (flip, "SHA-256"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_spoilt_engine_is_one_line(
    repository: Path, run: Command, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(repository / "tiny" / "1" / ENGINES[0])
    told = run("verify")
    assert told.code == 1
    (line,) = told.out
    assert line.startswith(f"tiny/1/{ENGINES[0]}: ")
    assert says in line


@pytest.mark.parametrize("name", ["model-cc75.plan", "notes.txt", ".hidden", "sub/file"])
def test_a_file_that_was_not_published_is_found(repository: Path, run: Command, name: str) -> None:
    extra = repository / "tiny" / "1" / name
    extra.parent.mkdir(exist_ok=True)
    extra.write_text("ftrt")
    told = run("verify")
    assert (told.code, told.out) == (1, [f"tiny/1/{name}: is not of this version; remove it"])


def test_every_fault_of_every_version_is_told_as_json_too(repository: Path, run: Command) -> None:
    tiny = repository / "tiny"
    shutil.copytree(tiny / "1", tiny / "10")
    shutil.copytree(tiny / "1", tiny / "2")
    (tiny / "2" / FILE_NAME).unlink()
    (tiny / "3").mkdir()
    (tiny / "3" / FILE_NAME).write_text("{}")
    flip(tiny / "1" / ENGINES[1])
    told = run("verify", "--json")
    assert (told.code, told.table["versions"]) == (1, 4)
    assert [(one["version"], one["file"]) for one in told.table["faults"]] == [
        (1, ENGINES[1]),
        (2, FILE_NAME),
        (3, FILE_NAME),
        (10, FILE_NAME),  # it says that it is version 1
    ]


def test_a_repository_without_recipes_can_be_verified(repository: Path, run: Command) -> None:
    for path in (repository / "tiny").iterdir():
        if path.is_file():
            path.unlink()
    assert run("verify", "tiny").code == 0


def test_nothing_to_verify_is_told(repository: Path, run: Command) -> None:
    told = run("verify", "other")
    assert (told.code, told.out) == (2, [])
    assert told.err[0].endswith("other: no such model; there are tiny")
    shutil.rmtree(repository / "tiny" / "1")
    told = run("verify")
    assert told.code == 2
    assert told.err == [
        "plansmith verify: tiny: no version has been published yet; run `plansmith build`"
    ]
    shutil.rmtree(repository)
    assert run("verify").code == 2
