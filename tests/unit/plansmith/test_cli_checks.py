"""preflight, verify and build at the command line: exit code, stdout and stderr of each.

The engines are real ones of TensorRT-RTX, built once by the command itself.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from plansmith import tables
from plansmith.cli import main
from plansmith.extras import BASE, EXTRAS
from plansmith.findings import Report
from plansmith.manifest import FILE_NAME, read
from plansmith.pipeline import Built

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "build" / "pyproject.toml").read_text())["project"]
ENGINES = ["model-rtx-cc86.plan", "model-rtx-cc89.plan"]
THERE = ["--compute-capability", "8.6", "--driver", "580.65"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command gave: exit code, and the lines on stdout and stderr."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def table(self) -> Any:
        """Its stdout as JSON: fails where anything else is printed."""
        return json.loads("\n".join(self.out))


Command = Callable[..., Run]


def write_model(folder: Path, recipe: str, model: onnx.ModelProto) -> None:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe)
    onnx.save(model, folder / "model.onnx")
    x = np.random.default_rng(1).normal(size=(400, 8)).astype(np.float32)
    np.savez(folder / "evaluation.npz", x=x)


@pytest.fixture(scope="session")
def rtx_recipe(tiny_recipe: str) -> str:
    targets = 'order = ["tensorrt-rtx"]\ncompute_capabilities = ["8.6", "8.9"]'
    return tiny_recipe.replace('order = ["cpu"]', f"{targets}\naccept_not_measured = true")


@pytest.fixture(scope="module")
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


def stand_in_smi(folder: Path, says: str) -> None:
    program = folder / "bin" / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)


# build


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


# preflight


@pytest.mark.usefixtures("repository")
def test_engines_load_where_all_is_as_it_was_built(run: Command) -> None:
    told = run("preflight", "tiny", "--target", "tensorrt-rtx", *THERE)
    assert told.code == 0
    place, verdict = told.out
    assert place.startswith("there: compute capability 8.6, driver 580.65; as this machine: ")
    assert verdict == "tiny: version 1: loads there"


@pytest.mark.usefixtures("repository")
def test_what_is_not_given_is_taken_from_this_machine(tmp_path: Path, run: Command) -> None:
    stand_in_smi(tmp_path, "NVIDIA L4, 8.9, 610.43.02")
    told = run("preflight", "--target", "tensorrt-rtx")
    assert told.code == 0
    assert "as this machine: compute capability 8.9, driver 610.43.02, " in told.out[0]
    stand_in_smi(tmp_path, "NVIDIA L4, 8.9, 550.54.15")
    told = run("preflight", "--target", "tensorrt-rtx")
    assert told.code == 1
    assert "driver: engine needs 580 or newer, there 550.54.15" in told.out[1]


@pytest.mark.usefixtures("repository")
def test_every_mismatch_is_a_line_with_what_rebuilds(run: Command) -> None:
    place = ["--compute-capability", "8.6", "--driver", "535.1", "--tensorrt-rtx", "1.5.0.114"]
    told = run("preflight", "--target", "tensorrt-rtx", *place)
    assert told.code == 1
    _, version, driver = told.out
    assert re.fullmatch(
        r"tiny: version 1: model-rtx-cc86\.plan: tensorrt-rtx version: engine [\d.]+, "
        r"there 1\.5\.0\.114 → pip install tensorrt-rtx-cu13==1\.5\.0\.114 "
        r"&& plansmith build tiny --target tensorrt-rtx",
        version,
    )
    assert "model-rtx-cc86.plan: driver: engine needs 580 or newer, there 535.1" in driver


@pytest.mark.usefixtures("repository")
def test_what_is_not_known_of_the_place_is_no_pass(run: Command) -> None:
    told = run("preflight", "--target", "tensorrt-rtx")
    assert told.code == 1
    # Neither GPU nor driver: of each engine, because it may be the one.
    assert len(told.out) == 1 + 2 * len(ENGINES)
    assert all("there unknown (not proven to load)" in line for line in told.out[1:])


@pytest.mark.usefixtures("repository")
def test_a_gpu_that_nothing_was_built_for_is_told(run: Command) -> None:
    place = ["--compute-capability", "12.0", "--driver", "580.65"]
    told = run("preflight", "--target", "tensorrt-rtx", *place)
    assert told.code == 1
    assert "compute capability: engine 8.6, 8.9, there 12.0" in told.out[1]


@pytest.mark.usefixtures("repository")
def test_preflight_with_json_prints_nothing_else_on_stdout(run: Command) -> None:
    table = run("preflight", "--target", "tensorrt-rtx", "--json", *THERE).table
    assert table["there"]["place"]["driver"] == "580.65"
    assert "driver" not in table["there"]["detected"]
    assert table["models"] == [
        {"model": "tiny", "version": 1, "engines": ENGINES, "mismatches": []}
    ]
    told = run("preflight", "--target", "tensorrt-rtx", "--json", *THERE[:2])
    assert told.code == 1
    (mismatch,) = told.table["models"][0]["mismatches"]
    assert (mismatch["file"], mismatch["field"]) == (ENGINES[0], "driver")
    assert (mismatch["place_has"], mismatch["proven"]) == ("unknown", False)


def test_the_version_that_is_served_is_looked_at(repository: Path, run: Command) -> None:
    # As a build leaves it that was killed between publishing and serving.
    shutil.copytree(repository / "tiny" / "1", repository / "tiny" / "2")
    (table,) = run("preflight", "--target", "tensorrt-rtx", "--json", *THERE).table["models"]
    assert table["version"] == 1


def test_a_container_brings_its_own_tensorrt(
    repository: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No engine of TensorRT can be built here: this one's passport says that it is.
    path = repository / "tiny" / "1" / FILE_NAME
    path.write_text(
        path.read_text()
        .replace('"tensorrt-rtx"', '"tensorrt"')
        .replace(json.dumps(read(path).builds[0].passports[0].library_version), '"11.1.0.106"')
    )
    configs = repository / "tiny" / "configs"
    (configs / "tensorrt-rtx.pbtxt").rename(configs / "tensorrt.pbtxt")
    monkeypatch.setattr("plansmith.preflight._installed", lambda _library: "10.16.1.11")
    there = ["preflight", "--target", "tensorrt", *THERE]
    assert run(*there).code == 1
    # The table of releases has 11.1.0.106 for 26.07, and no version for 26.05.
    assert run(*there, "--container", "26.07").code == 0
    told = run(*there, "--container", "26.05")
    assert told.code == 1
    assert "there unknown (not proven to load)" in told.out[1]
    monkeypatch.setenv("PLANSMITH_CONTAINER", "26.07")
    told = run(*there)
    assert told.code == 1
    assert told.out[1].endswith("plansmith build tiny --target tensorrt --container 26.07")


def test_every_model_without_such_an_engine_is_told(repository: Path, run: Command) -> None:
    (repository / "new").mkdir()
    told = run("preflight", "--target", "tensorrt")
    assert (told.code, told.out) == (2, [])
    assert "new: serves no engine for tensorrt; run `plansmith build new" in told.err[0]
    assert "tiny: serves no engine for tensorrt; run `plansmith build tiny" in told.err[1]


@pytest.mark.parametrize(
    "place",
    [
        ["--container", "june"],
        ["--compute-capability", "sm_86"],
        ["--driver", "R580"],
        ["--tensorrt-rtx", "latest"],
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_place_that_is_misspelt_is_told(run: Command, place: list[str]) -> None:
    told = run("preflight", "--target", "tensorrt-rtx", *place)
    assert (told.code, told.out) == (2, [])
    assert place[1] in told.err[-1]


# verify


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


# All of them


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["verify"], "plansmith.verify.verify"),
        (["preflight", "--target", "tensorrt-rtx"], "plansmith.preflight.preflight"),
        (["build"], "plansmith.pipeline.build"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_an_interrupt_is_one_line_and_its_own_exit_code(
    run: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], step: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupt)
    told = run(*arguments)
    assert (told.code, told.out) == (130, [])
    assert told.err == [f"plansmith {arguments[0]}: interrupted; what was finished is kept"]


def names(requirements: list[str]) -> set[str]:
    """Distributions that `requirements` name, as PyPI normalises them."""
    found = (re.match(r"[\w.-]+", one) for one in requirements)
    return {re.sub(r"[-_.]+", "-", one[0]).lower() for one in found if one}


def test_what_is_told_to_install_brings_the_module() -> None:
    extras, installed = PROJECT["optional-dependencies"], packages_distributions()
    for module in (*EXTRAS, *BASE):
        brought = names(extras[EXTRAS[module]] if module in EXTRAS else PROJECT["dependencies"])
        # Not installed everywhere: then its name is the distribution's.
        assert brought & names(installed.get(module, [module])), module


def test_a_missing_module_of_the_package_itself_names_no_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxslim'", name="onnxslim.core")

    monkeypatch.setattr("plansmith.verbs.verify.run", lacks)
    assert main(["verify"]) == 3
    assert capsys.readouterr().err == (
        "plansmith verify: no module onnxslim.core: pip install plansmith\n"
    )
