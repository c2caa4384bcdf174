"""Products of stages by key: a stage whose inputs have not changed is not run again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from plansmith.errors import PlansmithError

_UNFINISHED = ".unfinished-"


def key_of(parts: Iterable[str | bytes]) -> str:
    """A short digest of `parts`, in order; no two lists of parts share one by their joints."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Folders under `root`, one for each stage and key; a folder that exists is complete."""

    root: Path

    def find(self, stage: str, key: str) -> Path | None:
        """The product, or None where it has not been made."""
        folder = self.root / stage / key
        return folder if folder.is_dir() else None

    def drop(self, stage: str, key: str) -> None:
        """Forgets the product, so that it is made anew.

        It loses its name first: killed half-way, this leaves nothing that is taken for whole.
        """
        folder = self.find(stage, key)
        if folder is None:
            return
        dropped = _unfinished(folder.parent)
        try:
            folder.replace(dropped)
        except OSError as error:
            raise _not_writable(folder, error) from error
        finally:
            shutil.rmtree(dropped, ignore_errors=True)

    def remember(self, name: str, parts: Mapping[str, str]) -> None:
        """Notes what went into the newest product called `name`: see `recall`.

        A note that cannot be written is none: the product is there all the same.
        """
        file = self.root / "inputs" / f"{name}.json"
        text = json.dumps(dict(parts))
        unfinished = file.with_name(f"{_UNFINISHED}{os.getpid()}-{file.name}")
        with suppress(OSError):
            if file.is_file() and file.read_text() == text:
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(text)
            unfinished.replace(file)

    def recall(self, name: str) -> dict[str, str] | None:
        """What was remembered of `name` last, or None. It is only told to people."""
        try:
            return json.loads((self.root / "inputs" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def make(self, stage: str, key: str, write: Callable[[Path], None]) -> Path:
        """The product's folder, filled by `write` unless it is there already.

        `write` gets an empty folder, which gets its final name only when `write` returns: one that
        is interrupted, killed, or runs out of disk leaves nothing that could be taken for whole.
        """
        found = self.find(stage, key)
        if found is not None:
            return found
        final = self.root / stage / key
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            _clear_unfinished(final.parent)
        except OSError as error:
            raise _not_writable(final.parent, error) from error
        unfinished = _unfinished(final.parent)
        try:
            write(unfinished)
            _rename(unfinished, final)
        except OSError as error:
            raise PlansmithError(
                f"{error.filename or unfinished}: {_fact(error)} during {stage}; "
                "free space and build again: finished stages are kept"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return final


def _unfinished(folder: Path) -> Path:
    """A new folder in `folder` that no one takes for a product."""
    try:
        return Path(tempfile.mkdtemp(prefix=f"{_UNFINISHED}{os.getpid()}-", dir=folder))
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: Path, error: OSError) -> PlansmithError:
    return PlansmithError(
        f"{folder}: cannot write the cache: {error.strerror}; "
        "free space or name another with --cache"
    )


def _fact(error: OSError) -> str:
    """What the system says; of the copy of a folder, which goes on to its end, the first."""
    return str(error.args[0][0][-1]) if isinstance(error, shutil.Error) else str(error.strerror)


def _clear_unfinished(folder: Path) -> None:
    """Removes what killed builds have left; one that still runs is told by its process."""
    for entry in folder.glob(f"{_UNFINISHED}*"):
        owner = entry.name.removeprefix(_UNFINISHED).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(entry, ignore_errors=True)


def _rename(unfinished: Path, final: Path) -> None:
    try:
        unfinished.replace(final)
    except OSError:
        # "Not empty" where another build has made the same product meanwhile: its is as good.
        if not final.is_dir():
            raise
