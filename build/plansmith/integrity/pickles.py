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
# Of an archive, and of one that holds nothing: PyTorch and NumPy take what begins so for one.
# Source: PKWARE's APPNOTE.TXT, 4.3.7 and 4.3.16.
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Of a pickle of protocol 2 to 5. Source: Python's pickletools, opcode PROTO.
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]")
# Of an array of Python objects, or of records with one; its header is one line.
# Source: numpy/lib/format.py, "Format Version 1.0".
_OBJECTS = re.compile(rb"\x93NUMPY.{4,6}\{'descr': [^\n]*?'\|O", re.DOTALL)
# NumPy reads no longer header.
_HEADER_BYTES = 10_000
# Plain numbers are called so, too: any bytes may stand at the end of them.
_NUMBERS = frozenset({".bin", ".npy"})


def begins_as_pickle(suffix: str, start: bytes) -> bool:
    """Whether a file of PyTorch or NumPy, called `suffix`, begins as a bare pickle does."""
    if suffix == ".bin":
        # OpenVINO's weights and warm-up rows are called so too, and may begin with any two bytes.
        return start.startswith(TORCH_START)
    return _PICKLE_START.match(start) is not None


def pickle_like(path: Path) -> str | None:
    """What in the file at `path` is a pickle, or None. Raises OSError where it cannot be read.

    What says that it is a zip archive and cannot be looked into may hold one: another reader may
    be less strict.
    """
    suffix = path.suffix.lower()
    if suffix in NAMES:
        return f"is called {suffix}"
    if suffix not in TORCH | NUMPY:
        return None
    # As PyTorch and NumPy do, by the start before anything else: an archive may follow a pickle.
    start = _head(path)
    if begins_as_pickle(suffix, start):
        return "is a pickle of PyTorch" if start.startswith(TORCH_START) else "begins as a pickle"
    if _OBJECTS.match(start):
        return "is an array of Python objects"
    is_said = start.startswith(ZIP_STARTS)
    if is_said or zipfile.is_zipfile(path):
        return _in_archive(path, by_chance=not is_said and suffix in _NUMBERS)
    return None


def _in_archive(path: Path, *, by_chance: bool) -> str | None:
    """`by_chance`: that it looks like an archive, if it is none."""
    is_open = False
    try:
        with zipfile.ZipFile(path) as archive:
            is_open = True
            return _among_members(archive)
    except Exception as error:  # whatever a malformed one makes zipfile and its decompressors raise
        if by_chance and not is_open:
            return None
        detail = " ".join(str(error).split()) or type(error).__name__
        return f"cannot be looked into: {detail.rstrip('. ')[:200]}; it may hold a pickle"


def _among_members(archive: zipfile.ZipFile) -> str | None:
    members = archive.infolist()
    for one in members:
        if Path(one.filename).suffix.lower() in NAMES:
            return f"holds {one.filename}"
    # NumPy takes a member for an array by how it begins, whatever it is called.
    for one in members:
        with archive.open(one) as member:
            if _OBJECTS.match(member.read(_HEADER_BYTES)):
                return f"holds Python objects in {one.filename}"
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)
