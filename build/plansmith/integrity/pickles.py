"""Pickles among a version's files. Reading one runs what it says, so a version never has one.

Nothing is unpickled here: a file is known by its name, and PyTorch's and NumPy's by their first
bytes or, where they are zip archives, by what these hold.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

NAMES = frozenset({".pkl", ".pickle", ".joblib", ".dill"})
# torch.save writes either a zip archive with data.pkl in it or, before 1.6, a bare pickle.
TORCH = frozenset({".pt", ".pth", ".ckpt", ".bin"})
NUMPY = frozenset({".npy", ".npz"})
# Of PyTorch's bare pickles: protocol 2, then its magic number as a long of ten bytes.
# Source: torch/serialization.py, MAGIC_NUMBER and DEFAULT_PROTOCOL.
TORCH_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
# Of an array of Python objects. Source: numpy/lib/format.py, "Format Version 1.0".
_OBJECTS = re.compile(rb"^\x93NUMPY.{4,6}\{'descr': '\|O", re.DOTALL)
_HEADER_BYTES = 64


def pickle_like(path: Path) -> str | None:
    """What in the file at `path` is a pickle, or None. Raises OSError where it cannot be read."""
    suffix = path.suffix.lower()
    if suffix in NAMES:
        return f"is called {suffix}"
    if suffix in TORCH | NUMPY and zipfile.is_zipfile(path):
        return _in_archive(path)
    if suffix in TORCH and _head(path).startswith(TORCH_START):
        return "is a pickle of PyTorch"
    if suffix in NUMPY and _OBJECTS.match(_head(path)):
        return "is an array of Python objects"
    return None


def _in_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).suffix.lower() in NAMES:
                    return f"holds {name}"
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        if _OBJECTS.match(member.read(_HEADER_BYTES)):
                            return f"holds Python objects in {name}"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError):
        # Whoever reads it will tell; its digest has been looked at.
        return None
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)
