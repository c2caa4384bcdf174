"""build at the command line: exit code, stdout and stderr."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from command_line import ENGINES, Command, Run, stand_in_smi, write_model
from plansmith import tables
from plansmith.findings import Report
from plansmith.pipeline import Built


def test_a_build_with_json_prints_nothing_else_on_stdout(first_build: tuple[Path, Run]) -> None:
    _, built = first_build
    assert built.code == 0, built.err
    (table,) = built.table
    assert (table["model"], table["targets"], table["current"]) == ("tiny", ["tensorrt-rtx"], [])
    (target,) = table["manifest"]["builds"]
    # Beside each engine its layers, as the builder told them.
    layers = [name.replace(".plan", ".layers.json") for name in ENGINES]
    assert [file["path"] for file in target["artifacts"]] == sorted([*ENGINES, *layers])


def test_no_library_says_anything_during_a_build(first_build: tuple[Path, Run]) -> None:
    # Only steps that begin, go on and end: see progress.PlainProgress.
    ours = re.compile(r"[\w:\- ]+ (\.\.\.|done in \d+\.\d s|\d+/\d+ .*)")
    assert [line for line in first_build[1].err if not ours.fullmatch(line)] == []


@pytest.mark.usefixtures("repository")
def test_a_second_build_says_that_the_version_is_current(
    run: Command, first_build: tuple[Path, Run]
) -> None:
    cache = first_build[0] / "cache"
    again = run("build", "tiny", cache=cache)
    assert (again.code, again.out) == (0, ["tiny: tensorrt-rtx: version 1 is current: fp32"])
    (table,) = run("build", "tiny", "--json", cache=cache).table
    assert (table["targets"], table["current"]) == ([], ["tensorrt-rtx"])


@pytest.mark.usefixtures("repository")
def test_a_dry_run_with_json_prints_nothing_else_on_stdout(run: Command) -> None:
    planned = run("build", "--dry-run", "--json")
    assert planned.code == 0
    assert planned.table == {
        "tiny": {"tensorrt-rtx: build": "skip: the published version is current"}
    }


def test_a_current_target_that_a_newer_version_lacks_is_told(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    one = Built(
        model="m",
        manifest=sample_report.manifest,
        targets=(),
        failures={},
        current=("tensorrt", "cpu"),
    )
    tables.show_built([one], as_json=False)
    lines = [line.partition(": bf16")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "m: tensorrt: is current, from an older version"
    assert lines[1].endswith(": cpu: version 3 is current")
    assert "tensorrt-rtx: version 3 stays as it was" in lines[2]


@pytest.fixture
def without_tensorrt(
    tmp_path: Path, tiny_recipe: str, tiny_onnx: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model for TensorRT on a machine that has none; nothing was built."""
    recipe = tiny_recipe.replace('["cpu"]', '["cpu", "tensorrt"]')
    write_model(tmp_path / "repository" / "tiny", recipe, tiny_onnx)
    monkeypatch.setattr("plansmith.targets.tensorrt.is_installed", lambda _library: False)


@pytest.mark.usefixtures("without_tensorrt")
def test_what_cannot_be_built_here_is_told_with_the_command_before_any_stage_runs(
    tmp_path: Path, run: Command
) -> None:
    told = run("build", "tiny", "--target", "tensorrt", "--container", "26.06")
    assert (told.code, told.out) == (3, [])
    first, command = told.err
    assert first.startswith("plansmith build: tiny: tensorrt: TensorRT is not installed")
    assert command.startswith("docker run ")
    assert "nvcr.io/nvidia/tensorrt:26.06-py3" in command
    assert "plansmith build tiny --target tensorrt" in command
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("without_tensorrt")
def test_a_failure_is_in_the_json_too(run: Command) -> None:
    told = run("build", "--target", "tensorrt", "--json")
    assert told.code == 3
    (table,) = told.table
    assert "docker run" in table["failures"]["tensorrt"]
    assert (table["manifest"], table["targets"], table["current"]) == (None, [], [])


@pytest.mark.usefixtures("without_tensorrt")
def test_a_machine_with_another_release_is_not_taken_for_the_one_that_was_asked_for(
    tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_smi(tmp_path, "NVIDIA A10, 8.6, 580.95.05")
    monkeypatch.setattr("plansmith.targets.tensorrt.is_installed", lambda _library: True)
    monkeypatch.setenv("PLANSMITH_CONTAINER", "26.04")
    told = run("build", "--target", "tensorrt", "--container", "26.06")
    assert told.code == 3
    assert "not known to be that of release 26.06" in told.err[0]
    assert "tensorrt:26.06-py3" in told.err[1]


@pytest.mark.usefixtures("without_tensorrt")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tiny", "--target", "tensorrt-rtx"), "targets.order has no 'tensorrt-rtx'"),
        (("tiny", "--target", "cpu", "--container", "june"), "container release 'june'"),
        (("other",), "no such recipe; models here: tiny"),
    ],
)
def test_what_the_user_got_wrong_is_one_line(
    run: Command, arguments: tuple[str, ...], says: str
) -> None:
    told = run("build", *arguments)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert says in told.err[0]
