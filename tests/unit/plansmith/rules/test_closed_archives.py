"""Weights that begin as a ZIP file and cannot be looked into: nobody knows what they hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.rules.findings import Finding


def encrypted() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/weights", b"12")
    content = bytearray(file.getvalue())
    # Of its entry in the directory, the flags.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


CLOSED = {"cut off": b"PK\x03\x04 cut off", "encrypted": encrypted()}


@pytest.mark.parametrize("what", CLOSED)
def test_a_closed_archive_may_hold_a_pickle(
    good_repository: Path, found: Callable[[], tuple[Finding, ...]], what: str
) -> None:
    (good_repository / "torch" / "1" / "other.pth").write_bytes(CLOSED[what])
    (finding,) = found()
    assert (finding.rule, finding.severity) == ("pickle-file", "warning")
    assert "cannot be looked into" in finding.message


@pytest.mark.parametrize("what", CLOSED)
def test_a_closed_archive_is_nothing_that_the_pytorch_backend_loads(
    good_repository: Path, found: Callable[[], tuple[Finding, ...]], what: str
) -> None:
    (good_repository / "torch" / "1" / "model.pt").write_bytes(CLOSED[what])
    (finding,) = found()
    assert (finding.rule, finding.severity) == ("pytorch-file", "error")
    assert "cannot be looked into" in finding.message
