"""A load result is read as the load tester writes it, or refused by file and field."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from plansmith.errors import UnusableInput
from plansmith.findings import Report
from plansmith.load_result import read


def test_a_load_result_is_read_as_the_load_tester_writes_it(
    sample_report: Report, tmp_path: Path
) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(asdict(sample_report.loads[1])))
    assert read(file) == sample_report.loads[1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sent": "many"}, r"\$\.sent"),
        ({"verdict": "maybe"}, r"\$\.verdict"),
        ({"schema": 2}, r"\$\.schema"),
        ({"arrivals": {"kind": "open", "concurrency": 4, "rate_per_s": None}}, "rate_per_s"),
        ({"histogram_us": [[1000, 3]]}, "histogram_us counts 3 requests, succeeded 5000"),
        ({"latency_ms": None}, "latency_ms"),
    ],
)
def test_a_bad_load_result_is_refused_by_file_and_field(
    sample_report: Report, tmp_path: Path, change: dict[str, object], field: str
) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(asdict(sample_report.loads[1]) | change))
    with pytest.raises(UnusableInput, match=rf"load\.json: not a load result: .*{field}"):
        read(file)


def test_a_missing_load_result_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"none\.json: cannot be read: .*run the load test"):
        read(tmp_path / "none.json")
