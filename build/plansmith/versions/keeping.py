"""Which old versions stay, and how others go: never one that is served or built on.

With them go the warm-up files that no config names any more.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import UnusableInput
from plansmith.versions.disk import remove_folder

if TYPE_CHECKING:
    from plansmith.repository import ModelFolder

# Hidden and not a number, so that Triton passes it over; what a kill leaves is swept by its name.
REMOVED = ".removed-"
# What config/compose.py calls them: by their content. Files of other names are a person's.
_OURS = re.compile(r"[0-9a-f]{32}\.bin")
# All that may name a warm-up file: what is served, and what a rollback brings back.
_CONFIGS = ("config.pbtxt", "configs/*.pbtxt", "[0-9]*/configs/*.pbtxt")


def unneeded(folder: ModelFolder, keep_versions: int | None) -> tuple[int, ...]:
    """The versions that may go, ascending.

    Not the newest `keep_versions` (at least 1; None: not any), not one that a config may serve, and
    not the newest that has a target: the next build takes its files along.
    """
    versions = folder.versions()
    if keep_versions is None or len(versions) <= keep_versions:
        return ()
    needed = set(versions[-max(1, keep_versions) :])
    needed |= {version for named in folder.served().values() for version in named}
    seen: set[str] = set()
    for version in reversed(versions):
        targets = set(folder.targets(version))
        if targets - seen:
            needed.add(version)
        seen |= targets
    return tuple(version for version in versions if version not in needed)


def remove_old(folder: ModelFolder, keep_versions: int | None) -> tuple[int, ...]:
    """Removes what `unneeded` names and tells it; then unnamed warm-up files. Raises OSError.

    Those go whatever versions there were to remove: a run that was killed may have left some.
    """
    versions = unneeded(folder, keep_versions)
    for version in versions:
        remove(folder.path, version)
    remove_unnamed_warm_ups(folder.path)
    return versions


def remove_unnamed_warm_ups(folder: Path) -> None:
    """Removes builds' warm-up files that no config of the model in `folder` names; raises OSError.

    None where a config cannot be read: nobody knows what it names. `plansmith check` tells why.
    """
    there = {path for path in folder.glob("warmup/*") if _OURS.fullmatch(path.name)}
    if not there:
        return
    try:
        named = set(_named(folder))
    except (UnusableInput, UnicodeDecodeError):
        return
    for path in there - named:
        path.unlink(missing_ok=True)


def _named(folder: Path) -> Iterator[Path]:
    """Every file beside the versions that a config names; raises UnusableInput, OSError."""
    # Brings Triton's messages, which only publishing needs.
    from plansmith.integrity.served import served

    for path in (path for pattern in _CONFIGS for path in folder.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        yield from (folder / name for name in served(text, (), file=str(path)).files)


def remove(folder: Path, version: int) -> None:
    """Takes the version's number away at once, then deletes its files; raises OSError."""
    removed = Path(tempfile.mkdtemp(prefix=REMOVED, dir=folder))
    try:
        (folder / str(version)).rename(removed / str(version))
    finally:
        remove_folder(removed)
