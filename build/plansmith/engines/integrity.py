"""A version's files against what was recorded of them: nothing missing, cut off or exchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.engines.passport import EnginePassport
from plansmith.engines.plan_file import read_header
from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    # The manifest holds passports, so it imports this package, not the other way round.
    from plansmith.manifest import FileDigest

PLAN_SUFFIX = ".plan"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong with one file of a version: a sentence with what to do."""

    file: str
    message: str


def verify_files(
    folder: Path, digests: Sequence[FileDigest], passports: Sequence[EnginePassport] = ()
) -> tuple[Fault, ...]:
    """What is wrong with the files in `folder`, all of it; empty where they are as recorded.

    Every file of `digests` has its size and SHA-256, every engine a header that is of its
    passport's library, version and GPUs, and no engine is there of which nothing is recorded.
    """
    by_file = {passport.file: passport for passport in passports}
    faults: list[Fault] = []
    for digest in digests:
        message = _fault(folder / digest.path, digest, by_file.get(digest.path))
        if message is not None:
            faults.append(Fault(file=digest.path, message=message))
    recorded = {digest.path for digest in digests}
    faults += [
        Fault(file=name, message="has a passport but no digest; build it again")
        for name in by_file
        if name not in recorded
    ]
    found = {path.name for path in folder.glob(f"*{PLAN_SUFFIX}")}
    faults += [
        Fault(file=name, message="is not of this version; remove it")
        for name in sorted(found - recorded)
    ]
    return tuple(faults)


def _fault(path: Path, digest: FileDigest, passport: EnginePassport | None) -> str | None:
    if not path.is_file():
        return "is missing; build or copy the version again"
    if path.suffix == PLAN_SUFFIX:
        message = _header_fault(path, passport)
        if message is not None:
            return message
    size = path.stat().st_size
    if size != digest.size_bytes:
        return f"has {size} bytes, recorded are {digest.size_bytes}; build or copy it again"
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest.sha256:
            return "has been changed: its SHA-256 is not the recorded one; build or copy it again"
    return None


def _header_fault(path: Path, passport: EnginePassport | None) -> str | None:
    try:
        header = read_header(path)
    except UnusableInput as error:
        return str(error).removeprefix(f"{path}: ")
    if passport is None:
        return None
    for what, has, wants in (
        ("library", header.library, passport.library),
        ("library version", header.version, passport.library_version),
    ):
        if has != wants:
            return f"has {what} {has}, its passport says {wants}; build or copy it again"
    capabilities = header.compute_capabilities
    if capabilities and capabilities != passport.compute_capabilities:
        return (
            f"is for compute capability {', '.join(capabilities)}, its passport says "
            f"{', '.join(passport.compute_capabilities)}; build or copy it again"
        )
    return None
