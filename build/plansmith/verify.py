"""Are published files as they were built? Every version against its manifest.

What is looked at in one file is in engines/integrity.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plansmith import manifest
from plansmith.engines.integrity import verify_files
from plansmith.errors import UnusableInput


@dataclass(frozen=True, kw_only=True)
class VersionFault:
    """One thing wrong with one file of one version; `file` is relative to the version's folder."""

    model: str
    version: int
    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.model}/{self.version}/{self.file}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """`files` are those recorded in the manifests of all `versions`."""

    files: int
    versions: int
    faults: tuple[VersionFault, ...]

    @property
    def is_fine(self) -> bool:
        return not self.faults

    def lines(self) -> list[str]:
        """For people: a line a fault, or one that there is none."""
        whole = f"{self.files} files of {self.versions} versions are whole"
        return [str(fault) for fault in self.faults] or [whole]


def verify(folders: Sequence[Path]) -> Verification:
    """Every version in `folders` against its manifest, every engine against its header.

    Raises UnusableInput where there is no version, or a file cannot be read.
    """
    files, faults = 0, list[VersionFault]()
    versions = [path for folder in folders for path in _version_folders(folder)]
    if not versions:
        names = ", ".join(folder.name for folder in folders)
        raise UnusableInput(f"{names}: no version has been published yet; run `plansmith build`")
    for folder in versions:
        try:
            recorded, found = _verify_version(folder)
        except OSError as error:
            raise UnusableInput(f"{error.filename}: cannot be read: {error.strerror}") from error
        files += recorded
        faults += found
    return Verification(files=files, versions=len(versions), faults=tuple(faults))


def _version_folders(folder: Path) -> list[Path]:
    """Those that Triton takes for versions, with a manifest or without."""
    number = re.compile(r"[1-9]\d*", re.ASCII)
    found = [path for path in folder.iterdir() if path.is_dir() and number.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name))


def _verify_version(folder: Path) -> tuple[int, list[VersionFault]]:
    """How many files are recorded of a version, and what is wrong with it."""
    model, version = folder.parent.name, int(folder.name)

    def fault(file: str, message: str) -> VersionFault:
        return VersionFault(model=model, version=version, file=file, message=message)

    path = folder / manifest.FILE_NAME
    try:
        read = manifest.read(path)
    except UnusableInput as error:
        return 0, [fault(path.name, str(error).removeprefix(f"{path}: "))]
    faults: list[VersionFault] = []
    if (read.model, read.version) != (model, version):
        faults.append(fault(path.name, f"is that of {read.model}/{read.version}; build it again"))
    digests = {file.path: file for build in read.builds for file in build.artifacts}
    passports = [passport for build in read.builds for passport in build.passports]
    found = verify_files(folder, tuple(digests.values()), passports)
    faults += [fault(one.file, one.message) for one in found]
    # verify_files tells of foreign engines, but a server may read any file.
    known = {path.name, *digests, *(one.file for one in found)}
    present = {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}
    faults += [fault(name, "is not of this version; remove it") for name in sorted(present - known)]
    return len(digests), faults
