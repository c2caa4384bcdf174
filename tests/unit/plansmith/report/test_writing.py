"""Both files of a report are written whole, or the previous ones stay."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from plansmith.errors import PlansmithError
from plansmith.findings import Report
from plansmith.report import write


def test_write_makes_the_folder_and_leaves_only_two_files(
    sample_report: Report, tmp_path: Path
) -> None:
    paths = write(sample_report, tmp_path / "a" / "out")
    assert sorted(paths) == sorted((tmp_path / "a" / "out").iterdir())
    assert [path.name for path in paths] == ["report.html", "report.json"]


def test_a_folder_that_cannot_be_written_is_one_plain_error(
    sample_report: Report, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(PlansmithError, match=r"file.*cannot be written.*name another folder"):
        write(sample_report, blocked)
    assert blocked.read_text() == "not a folder"


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond `size_bytes`: the kernel's own refusal, as of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_report_that_fails_halfway_keeps_the_previous_one(
    sample_report: Report, tmp_path: Path
) -> None:
    html, table = write(sample_report, tmp_path)
    before = html.read_bytes(), table.read_bytes()
    # The page fits and the JSON, written after it, does not.
    assert len(before[0]) < len(before[1])
    later = replace(sample_report, created_utc="2027-01-01 00:00 UTC")
    with room_for(len(before[0]) + 1000), pytest.raises(PlansmithError, match="cannot be written"):
        write(later, tmp_path)
    assert (html.read_bytes(), table.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_importing_the_report_imports_nothing_that_draws() -> None:
    code = "import plansmith.report, sys; print({'matplotlib', 'jinja2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
