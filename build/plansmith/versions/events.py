"""history.jsonl in a model's folder: what happened to its versions, a line for each event.

Lines are only ever added, each flushed to the disk. A line that was cut off by a kill or a power
cut is no event: it never came to its end, so what it tells of did not either.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from plansmith.errors import UnusableInput
from plansmith.versions.disk import flush

FILE_NAME = "history.jsonl"
# "published": served for the first time. "served": made to be served again by `publish`.
# "rolled back": served instead of `replaced`, which is held from now on. "refused": compared with
# the served version on a server and not let through. "staged": complete, to be compared yet.
# "admitting": complete, and looked at by the build; one of a killed build stays so.
Kind = Literal["published", "served", "rolled back", "refused", "staged", "admitting"]
HOLDING: tuple[Kind, ...] = ("refused", "staged", "admitting", "rolled back")


@dataclass(frozen=True, kw_only=True)
class Event:
    """`version` is what it is about, `replaced` what was served before, None where nothing was.

    `figures` are those that a comparison came to, a sentence each.
    """

    at_utc: str
    kind: Kind
    version: int
    replaced: int | None = None
    reason: str = ""
    figures: tuple[str, ...] = ()


def now(
    kind: Kind,
    version: int,
    *,
    replaced: int | None = None,
    reason: str = "",
    figures: Sequence[str] = (),
) -> Event:
    """An event of this moment."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Event(
        at_utc=at,
        kind=kind,
        version=version,
        replaced=replaced,
        reason=reason,
        figures=tuple(figures),
    )


def append(folder: Path, event: Event) -> None:
    """Adds `event` to the history in `folder`; raises OSError, and the history is as before."""
    path = folder / FILE_NAME
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        # After a line that was cut off, this one must not become the rest of it.
        start = b"\n" if size and os.pread(handle, 1, size - 1) != b"\n" else b""
        line = start + msgspec.json.encode(event) + b"\n"
        try:
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(handle)
        except BaseException:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if is_new:
        flush(folder)


def read(folder: Path) -> tuple[Event, ...]:
    """The events in `folder` in order; none where there is no history.

    Lines that are no events are passed over. Raises UnusableInput where it cannot be read.
    """
    path = folder / FILE_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from error
    return tuple(event for line in lines if (event := _decode(line)) is not None)


def in_state(events: Sequence[Event], *kinds: Kind) -> frozenset[int]:
    """The versions of which the last that is told is one of `kinds`.

    A rollback makes the version it went back to "served", and "rolled back" the one it replaced.
    """
    states: dict[int, Kind] = {}
    for event in events:
        if event.kind == "rolled back":
            states[event.version] = "served"
            if event.replaced is not None:
                states[event.replaced] = "rolled back"
        else:
            states[event.version] = event.kind
    return frozenset(version for version, kind in states.items() if kind in kinds)


def held(events: Sequence[Event]) -> frozenset[int]:
    """The versions that a build must not serve by itself, complete as they are."""
    return in_state(events, *HOLDING)


def _decode(line: bytes) -> Event | None:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
