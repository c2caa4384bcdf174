"""What publishing asks of the disk: files that change at once, and one publisher at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from plansmith.errors import PlansmithError, UnusableInput


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Holds the model's folder: no two may publish there at once. Raises PlansmithError."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UnusableInput(f"{folder}: {error.strerror}; run `plansmith build`") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlansmithError(
                f"{folder}: another build of this model is running; wait for it or stop it"
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def disk_errors(folder: Path, state: str) -> Generator[None, None, None]:
    """What the disk refuses below `folder` becomes one message, with the `state` it leaves."""
    try:
        yield
    except OSError as error:
        # Of a copy the first file is what was read; the second is where it was to go.
        where = error.filename2 or error.filename or folder
        raise PlansmithError(
            f"{where}: {error.strerror}; {state}; "
            "free space or fix the permissions, then build again"
        ) from error


@contextmanager
def reading(folder: Path) -> Generator[None, None, None]:
    """What cannot be read below `folder` becomes one message; for where nothing was changed yet."""
    try:
        yield
    except OSError as error:
        raise UnusableInput(
            f"{error.filename or folder}: cannot be read: {error.strerror}; nothing was changed"
        ) from error


def replace_text(path: Path, text: str) -> None:
    """Writes `text` to `path` at once: a reader sees the old file or the new one."""
    replace_bytes(path, text.encode(), path.parent)


def replace_bytes(path: Path, content: bytes, staging: Path) -> None:
    """As replace_text. `staging` is a folder on the same disk, in which a kill leaves half of it.

    That is to be one where a later build finds and removes it: repository.clear_unfinished.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=staging)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Removes `folder` with all that is in it; raises OSError that names it."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        # rmtree's own names the entry alone, without the folders that it is in.
        raise OSError(error.errno, error.strerror, str(folder)) from error


def flush(path: Path) -> None:
    """A file's bytes, or a folder's names, to the disk.

    Without it a power cut could leave a version whose name is there and whose bytes are not, or a
    config that names a version whose folder is not.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
