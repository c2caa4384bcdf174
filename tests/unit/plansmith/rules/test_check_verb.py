"""`plansmith check` as a command: lines, JSON, exit codes, and what is unusable."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(capsys: Capture) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `plansmith check`."""

    def check(*arguments: object) -> tuple[int, str, str]:
        code = main(["check", "--cores=4", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return check


Run = Callable[..., tuple[int, str, str]]


def _spoil(root: Path, model: str, old: str, new: str) -> None:
    config = root / model / "config.pbtxt"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))


def test_a_clean_repository_is_exit_0(good_repository: Path, run: Run) -> None:
    assert run(good_repository) == (0, "", "clean\n")


@pytest.mark.parametrize("name", [".unfinished-x", ".removed-1-x"])
def test_what_a_killed_build_left_is_told_and_exit_0(
    good_repository: Path, run: Run, name: str
) -> None:
    (good_repository / "ir" / name).mkdir()
    code, told, counted = run(good_repository)
    assert (code, counted) == (0, "clean, 1 note\n")
    assert told.startswith(f"{good_repository / 'ir' / name}:1 leftover is of a build that runs")


def test_weights_that_begin_as_a_pickle_does_are_none(good_repository: Path, run: Run) -> None:
    (good_repository / "ir" / "1" / "model.bin").write_bytes(b"\x80\x04" + bytes(10))
    assert run(good_repository) == (0, "", "clean\n")


def test_a_finding_is_one_line_and_exit_1(good_repository: Path, run: Run) -> None:
    _spoil(good_repository, "stream", "max_batch_size: 4", "max_batch_size: -1")
    config = good_repository / "stream" / "config.pbtxt"
    assert run(good_repository) == (
        1,
        f"{config}:3 batch-negative max_batch_size is -1 \u2192 write 0 for a model without a "
        "batch axis, else the largest batch\n",
        "1 error, 0 warnings\n",
    )


def test_warnings_count_unless_only_errors_are_asked_for(good_repository: Path, run: Run) -> None:
    _spoil(good_repository, "onnx", "level: 1", "level: 2")
    assert run(good_repository)[0] == 1
    assert run(good_repository, "--errors-only") == (0, "", "clean\n")


def test_json_has_every_part_of_a_finding(good_repository: Path, run: Run) -> None:
    _spoil(good_repository, "onnx", 'name: "onnx"', 'name: "ort"')
    code, out, _ = run(good_repository, "--json")
    assert code == 1
    assert json.loads(out) == {
        "findings": [
            {
                "file": str(good_repository / "onnx" / "config.pbtxt"),
                "line": 1,
                "rule": "name-differs",
                "severity": "error",
                "message": "name is 'ort', the folder is 'onnx'",
                "fix": 'write name: "onnx", or leave name out',
                "fixable": True,
            }
        ]
    }


def test_fix_repairs_and_tells_what(good_repository: Path, run: Run) -> None:
    _spoil(good_repository, "onnx", 'name: "onnx"', 'name: "ort"')
    config = good_repository / "onnx" / "config.pbtxt"
    told = f'fixed {config}: name: "ort" became name: "onnx" (name-differs)\nclean\n'
    assert run(good_repository, "--fix") == (0, "", told)


def test_the_server_version_decides_what_is_too_new(good_repository: Path, run: Run) -> None:
    with (good_repository / "onnx" / "config.pbtxt").open("a") as file:
        file.write("model_metrics { }\n")
    assert "field-newer" in run(good_repository)[1]
    assert run(good_repository, "--server-version=2.99")[0] == 0


def test_cores_decide_what_is_too_much(good_repository: Path, run: Run) -> None:
    assert run(good_repository, "--cores=4")[0] == 0
    code, out, _ = run(good_repository, "--cores=3")
    assert code == 1
    assert [line.split(" ")[1] for line in out.splitlines()] == ["cores", "cores"]


def test_a_model_without_a_config_is_only_warned_of(good_repository: Path, run: Run) -> None:
    (good_repository / "onnx" / "config.pbtxt").unlink()
    assert run(good_repository, "--errors-only")[0] == 0


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_repository_that_is_none_is_unusable(name: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    code, out, told = run(tmp_path / name)
    assert (code, out) == (2, "")
    assert told.startswith(f"plansmith check: {tmp_path / name}: ")
    assert told.count("\n") == 1


def test_findings_come_in_the_same_order_every_time(good_repository: Path, run: Run) -> None:
    for model in ("onnx", "plain", "engine"):
        _spoil(good_repository, model, "max_batch_size: 8", "max_batch_size: -8")
    _, out, _ = run(good_repository)
    assert out == run(good_repository)[1]
    lines = [line.split(" ")[0].rsplit(":", 1) for line in out.splitlines()]
    assert lines == sorted(lines, key=lambda parts: (parts[0], int(parts[1])))


def test_damaged_files_are_findings_and_never_a_traceback(good_repository: Path, run: Run) -> None:
    chance = random.Random(3)
    for file in sorted(good_repository.rglob("*")):
        if file.is_file():
            content = bytearray(file.read_bytes())
            for _ in range(3 if content else 0):
                content[chance.randrange(len(content))] = chance.randrange(256)
            file.write_bytes(content[: chance.randrange(len(content) + 1)])
    code, out, _ = run(good_repository)
    assert code == 1
    assert "config-syntax" in out


def test_bytes_that_are_no_utf_8_are_told_in_escapes(good_repository: Path, run: Run) -> None:
    with (good_repository / "onnx" / "config.pbtxt").open("ab") as file:
        file.write(b'\ndefault_model_filename: "\xff\\q"')
    (good_repository / "onnx" / os.fsdecode(b"\xfe.swp")).touch()
    _, out, _ = run(good_repository)
    assert r"\udcff" in out
    assert r"\udcfe.swp" in out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("onnx/recipe.toml", b"a = " + b"[" * 50_000),
        ("engine/1/manifest.json", b"[" * 200_000),
        ("engine/1/manifest.json", b'{"builds": [], "inputs": [], "outputs": [], "model": 1}'),
        ("ir/1/model.xml", b'<?xml version="1.0" encoding="none"?><net/>'),
        ("ir/1/model.xml", b'<!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>'),
        ("onnx/1/model.onnx", b"\x3a\xff\xff\xff\xff\x0f"),
        ("torch/1/model.pt", b"PK\x05\x06 cut off"),
    ],
)
def test_hostile_files_end_in_a_finding(
    name: str, content: bytes, good_repository: Path, run: Run
) -> None:
    (good_repository / name).parent.mkdir(exist_ok=True)
    (good_repository / name).write_bytes(content)
    code, out, _ = run(good_repository)
    assert code == 1
    assert name.startswith("torch") or f"{good_repository / name}:1 " in out


def test_a_pipe_is_a_finding_and_nothing_waits_for_its_writer(
    good_repository: Path, run: Run
) -> None:
    names = ("onnx/config.pbtxt", "onnx/recipe.toml", "ir/1/model.bin", "engine/1/manifest.json")
    for name in names:
        (good_repository / name).unlink(missing_ok=True)
        os.mkfifo(good_repository / name)
    code, out, _ = run(good_repository)
    assert code == 1
    for name in names:
        assert f"{good_repository / name}:1 file-unreadable cannot be read: it is a pipe" in out


def test_a_link_to_itself_is_a_finding_and_the_other_models_are_checked(
    good_repository: Path, run: Run
) -> None:
    (good_repository / "onnx" / "ring").symlink_to("ring")
    _spoil(good_repository, "stream", "max_batch_size: 4", "max_batch_size: -1")
    code, out, _ = run(good_repository)
    assert code == 1
    assert f"{good_repository}/onnx/ring:1 file-unreadable " in out
    assert "batch-negative" in out


def test_digits_that_the_server_does_not_know_make_no_version(
    good_repository: Path, run: Run
) -> None:
    (good_repository / "onnx" / "1").rename(good_repository / "onnx" / "\uff11")
    _, out, _ = run(good_repository)
    assert f"{good_repository}/onnx:1 version-missing " in out
