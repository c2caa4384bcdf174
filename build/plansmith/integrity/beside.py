"""What a server reads of a model beside its versions: configs, and the files that these name.

A config outside the versions' folders is what publishing replaces, so no signature can cover it.
Each version keeps copies of its own in <version>/configs/, which are covered: a config that is
served must be one of those, byte for byte. Files that it names (labels, warm-up requests, initial
states) must be as the version's manifest says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from plansmith import manifest
from plansmith.engines.integrity import Fault
from plansmith.errors import UnusableInput
from plansmith.integrity.served import Served, served
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import CONFIG_FILE, CONFIGS, KEPT_CONFIGS, digest

DigestOf: TypeAlias = Callable[[Path, str], FileDigest]


def read_served(folder: Path, config: str, versions: Iterable[int]) -> Served:
    """What the file `config` of the model in `folder` serves of its `versions`.

    Raises OSError where it cannot be read, UnusableInput where it is no model configuration.
    """
    path = folder / config
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path}: is not UTF-8: {error.reason}") from error
    return served(text, versions, file=str(path))


def config_files(folder: Path) -> tuple[str, ...]:
    """Every config of the model in `folder`, by its path there."""
    found = (folder / CONFIGS).glob("*.pbtxt")
    named = sorted(f"{CONFIGS}/{path.name}" for path in found)
    return (CONFIG_FILE, *named) if (folder / CONFIG_FILE).is_file() else tuple(named)


def faults_beside(
    folder: Path, config: str, what: Served, *, strict: bool, digest_of: DigestOf = digest
) -> tuple[Fault, ...]:
    """What is wrong with the file `config` and those that it names; by path in `folder`.

    `strict`: what no digest and no copy is kept of is a fault too. `digest_of` may remember files:
    several configs name the same ones, and one may be a whole environment. Raises OSError.
    """
    library = [
        Fault(file=path.name, message="is code that a server would load as a backend; remove it")
        for path in sorted(folder.glob("libtriton_*"))
    ]
    if not what.versions:
        message = "serves no version that is there; publish again"
        return (*library, Fault(file=config, message=message))
    version = what.versions[-1]
    place = folder / str(version)
    found = [*library, *_config_fault(folder, config, place, strict=strict)]
    try:
        read = manifest.read(place / manifest.FILE_NAME)
    except UnusableInput:
        # The version's own fault.
        return tuple(found)
    return (*found, *_named_faults(folder, what.files, read, digest_of, strict=strict))


def _config_fault(folder: Path, config: str, place: Path, *, strict: bool) -> Sequence[Fault]:
    kept = place / KEPT_CONFIGS / Path(config).name
    if not kept.is_file():
        message = f"version {place.name} keeps no copy of it that is signed; publish it again"
        return [Fault(file=config, message=message)] if strict else []
    if (folder / config).read_bytes() == kept.read_bytes():
        return []
    message = (
        f"is not the config that version {place.name} was published with; "
        f"copy {place.name}/{KEPT_CONFIGS}/{kept.name} over it, or publish again"
    )
    return [Fault(file=config, message=message)]


def _named_faults(
    folder: Path, files: Sequence[str], read: Manifest, digest_of: DigestOf, *, strict: bool
) -> Sequence[Fault]:
    recorded = {one.path: one for one in (*read.sources, *read.served)}
    faults: list[Fault] = []
    for name in files:
        path = folder / name
        if name not in recorded:
            if strict:
                message = f"version {read.version} has no digest of it, so it is not signed"
                faults.append(Fault(file=name, message=f"{message}; publish the model again"))
        elif not path.is_file():
            faults.append(Fault(file=name, message="is missing; copy it again"))
        elif digest_of(path, name) != recorded[name]:
            message = f"has been changed since version {read.version} was published"
            faults.append(Fault(file=name, message=f"{message}; copy it again, or publish anew"))
    return faults
