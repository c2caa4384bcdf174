"""What a build prints: every figure whole, every refusal with its reason, failures as messages."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from plansmith import tables
from plansmith.errors import LacksSomething
from plansmith.findings import Report
from plansmith.manifest import Manifest
from plansmith.pipeline import Built
from plansmith.variant_table import SPARE_COLUMNS, fitting

MODEL = "efficientnet_lite0"


def printed(
    capsys: pytest.CaptureFixture[str],
    manifest: Manifest | None,
    *targets: str,
    failures: dict[str, LacksSomething] | None = None,
) -> list[str]:
    """The lines on stdout for a build that made `targets` anew."""
    one = Built(model=MODEL, manifest=manifest, targets=targets, failures=dict(failures or {}))
    tables.show_built([one], as_json=False)
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the variant called `name`."""
    (line,) = (line for line in lines if line.startswith(f"\u2502 {name} "))
    return [cell.strip().replace("\u00a0", " ") for cell in line.split("\u2502")[1:-1]]


def test_a_target_built_anew_has_its_variants_with_their_figures(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    lines = printed(capsys, sample_report.manifest, "cpu")
    # 262,104,816 of 385,921,632 MACs; 13,120,448 bytes, and nine times as many at the peak.
    assert row(lines, "pruned-s2t2-b1") == [
        *("pruned-s2t2-b1", "340.6", "327-347", "3.40", "98.2 %", "drop <= 1.34 points"),
        *("6.1e-03", "0.68x", "13.1", "118", "kept"),
    ]
    assert row(lines, "bf16-s2t2-b1")[7] == "", "as many MACs as the trained model"
    assert f"{MODEL}: cpu: version 3 published: bf16-s2t2-b1" in lines


def test_without_labels_the_agreement_stands_for_the_accuracy(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    trials = tuple(
        replace(trial, fidelity=trial.fidelity and replace(trial.fidelity, labelled=None))
        for trial in sample_report.build.trials
    )
    build = replace(sample_report.build, trials=trials)
    lines = printed(capsys, replace(sample_report.manifest, builds=(build,)), "cpu")
    assert row(lines, "bf16-s2t2-b1")[4:6] == ["99.4 % as FP32", ">= 98.6 %"]


def test_what_was_not_measured_is_called_so(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    cells = row(printed(capsys, sample_report.manifest, "tensorrt-rtx"), "fp16-b8")
    assert [cells[column] for column in (1, 3, 9)] == ["not measured"] * 3
    assert not any(cell.startswith("0.0") for cell in cells)


def test_every_refusal_is_one_line_with_its_reason(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    lines = printed(capsys, sample_report.manifest, "cpu")
    refused = [line for line in lines if line.startswith("refused: ")]
    assert [line.split(": ")[1] for line in refused] == [
        *("int8-mixed", "int8-s2t2-b1", "pruned-int8-s2t2-b1")
    ]
    assert refused[0].endswith("with 12 of 52 layers in FP32: drop 1.840% at best")


def test_a_target_that_was_not_built_anew_is_one_line(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    assert printed(capsys, sample_report.manifest) == [
        f"{MODEL}: tensorrt-rtx: version 3 stays as it was: fp16-b8",
        f"{MODEL}: cpu: version 3 stays as it was: bf16-s2t2-b1",
    ]


def test_a_target_that_failed_is_not_called_as_it_was(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    failures = {"tensorrt-rtx": LacksSomething("no tensorrt-rtx: pip install it")}
    lines = printed(capsys, sample_report.manifest, failures=failures)
    assert [line.split(":")[1] for line in lines] == [" cpu"]


def test_a_model_of_which_nothing_could_be_built_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(capsys, None, failures={"cpu": LacksSomething("no openvino")}) == []


def test_json_has_failures_as_messages_and_the_whole_manifest(
    capsys: pytest.CaptureFixture[str], sample_report: Report
) -> None:
    failures = {"tensorrt-rtx": LacksSomething("no tensorrt-rtx: pip install it")}
    one = Built(
        model=MODEL, manifest=sample_report.manifest, targets=("cpu",), failures=dict(failures)
    )
    tables.show_built([one], as_json=True)
    (table,) = json.loads(capsys.readouterr().out)
    assert table["failures"] == {"tensorrt-rtx": "no tensorrt-rtx: pip install it"}
    assert table["targets"] == ["cpu"]
    assert len(table["manifest"]["builds"][1]["trials"]) == len(sample_report.build.trials)


@pytest.mark.parametrize(("width", "left_out"), [(64, 7), (80, 6), (100, 3), (120, 1), (140, 0)])
def test_on_a_narrow_terminal_columns_are_left_out_and_no_figure_is_cut(
    width: int, left_out: int, sample_report: Report
) -> None:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as shown:
        console.print(fitting(sample_report.manifest, sample_report.build, console))
    text = shown.get()
    assert "\u2026" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    (heads,) = (line for line in text.splitlines() if line.startswith("\u2503"))
    names = [name.strip() for name in heads.split("\u2503")[1:-1]]
    assert len(names) == 11 - left_out
    # What is gone is named below the table, broken where the line ends.
    said = " ".join(text.partition("left out, for want of room:")[2].split())
    assert said == ", ".join(SPARE_COLUMNS[:left_out])
    assert all(trial.name in text for trial in sample_report.build.trials)
