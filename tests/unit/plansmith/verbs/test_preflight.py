"""preflight at the command line: every mismatch with the place, and what rebuilds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from command_line import ENGINES, THERE, Command, stand_in_smi
from plansmith.manifest import FILE_NAME, read


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
