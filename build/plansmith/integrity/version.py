"""One version's folder: its files against the manifest's digests and against its signature."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import manifest
from plansmith.engines.integrity import Fault, verify_files
from plansmith.errors import UnusableInput
from plansmith.integrity.pickles import pickle_like
from plansmith.integrity.signing import SIGNATURE_FILE, Verifying

if TYPE_CHECKING:
    from plansmith.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of signatures: `verifying` None looks at none of them."""

    verifying: Verifying | None = None
    must_be_signed: bool = False


@dataclass(frozen=True, kw_only=True)
class Checked:
    """`recorded` is how many files the manifest names; `signed` whether there is a signature."""

    recorded: int
    signed: bool
    faults: tuple[Fault, ...]


def check_version(folder: Path, demand: Demand) -> Checked:
    """All that is wrong with the version in `folder`; raises OSError for what cannot be read."""
    if folder.is_symlink():
        message = "is a symbolic link; put the version's own folder there"
        return Checked(recorded=0, signed=False, faults=(Fault(file=".", message=message),))
    present, faults = _entries(folder)
    has_only_files = not faults
    path = folder / manifest.FILE_NAME
    recorded, known = 0, dict[str, str]()
    try:
        read = manifest.read(path)
    except UnusableInput as error:
        faults.append(Fault(file=path.name, message=str(error).removeprefix(f"{path}: ")))
    else:
        recorded = len(read.files)
        faults += _unlike(folder, read, present)
        unlike = {fault.file for fault in faults}
        known = {one.path: one.sha256 for one in read.files if one.path not in unlike}
    for name in sorted(present):
        if (what := pickle_like(folder / name)) is not None:
            message = f"{what}: reading a pickle runs code; publish the model in another format"
            faults.append(Fault(file=name, message=message))
    signed = SIGNATURE_FILE in present
    if signed and demand.verifying is not None and has_only_files:
        named = {fault.file for fault in faults}
        found = demand.verifying.faults(folder, known)
        faults += [one for one in found if one.file not in named]
    elif not signed and demand.must_be_signed:
        message = "is missing: the version is not signed; run `plansmith sign`"
        faults.append(Fault(file=SIGNATURE_FILE, message=message))
    return Checked(recorded=recorded, signed=signed, faults=tuple(faults))


def _entries(folder: Path) -> tuple[set[str], list[Fault]]:
    """The names of all files in `folder`, at any depth, and what is neither file nor folder."""
    files, faults = set[str](), list[Fault]()
    for parent, folders, names in os.walk(folder, onerror=_raise):
        for path in sorted(Path(parent, name) for name in (*folders, *names)):
            name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if stat.S_ISREG(mode):
                files.add(name)
            elif stat.S_ISLNK(mode):
                message = "is a symbolic link; put the file itself there"
                faults.append(Fault(file=name, message=message))
            elif not stat.S_ISDIR(mode):
                faults.append(Fault(file=name, message="is neither a file nor a folder; remove it"))
    return files, faults


def _raise(error: OSError) -> None:
    raise error


def _unlike(folder: Path, read: Manifest, present: set[str]) -> list[Fault]:
    model, version = folder.parent.name, int(folder.name)
    faults: list[Fault] = []
    if (read.model, read.version) != (model, version):
        message = f"is that of {read.model}/{read.version}; build it again"
        faults.append(Fault(file=manifest.FILE_NAME, message=message))
    if not manifest.is_whole((folder / manifest.FILE_NAME).read_bytes()):
        message = "has been changed: its SHA-256 is not that of its last line; copy it again"
        faults.append(Fault(file=manifest.FILE_NAME, message=message))
    passports = [passport for build in read.builds for passport in build.passports]
    found = verify_files(folder, read.files, passports)
    # verify_files tells of foreign engines, but a server may read any file.
    known = {manifest.FILE_NAME, SIGNATURE_FILE}
    known |= {one.path for one in read.files} | {one.file for one in found}
    extra = sorted(present - known)
    faults += found
    return faults + [
        Fault(file=name, message="is not of this version; remove it") for name in extra
    ]
