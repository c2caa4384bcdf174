"""A history that a disk has damaged: its whole lines are what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from plansmith.versions import events


@pytest.mark.parametrize("damaged", [b'{"kind": "\xff"}', b"\xff\xfe", b"\0" * 40, b"[]", b""])
def test_a_line_of_other_bytes_is_passed_over(tmp_path: Path, damaged: bytes) -> None:
    for version in (1, 2):
        events.append(tmp_path, events.now("published", version))
    path = tmp_path / events.FILE_NAME
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join((first, damaged, second, b"")))
    assert [one.version for one in events.read(tmp_path)] == [1, 2]


@pytest.mark.parametrize("key", ["at_utc", "kind", "reason"])
def test_a_damaged_byte_in_an_events_own_text_makes_it_none(tmp_path: Path, key: str) -> None:
    events.append(tmp_path, events.now("staged", 1, reason="why"))
    path = tmp_path / events.FILE_NAME
    content = path.read_bytes()
    start = content.index(f'"{key}":"'.encode()) + len(key) + 4
    path.write_bytes(content[:start] + b"\xff" + content[start + 1 :])
    assert events.read(tmp_path) == ()
