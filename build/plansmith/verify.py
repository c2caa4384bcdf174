"""Are published files as they were built, and signed by whom they should be?

Every version against its manifest and signature, every config against its version's copy. What is
looked at in one version is in integrity/version.py, what is beside it in integrity/beside.py.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plansmith import manifest
from plansmith.errors import UnusableInput
from plansmith.integrity import beside
from plansmith.integrity.version import Demand, check_version
from plansmith.repository import CONFIGS, KEPT_CONFIGS, config_for, digest, version_folders


@dataclass(frozen=True, kw_only=True)
class VersionFault:
    """One thing wrong with one file of one version; `file` is relative to the version's folder.

    `version` None is for a file beside the versions: it is relative to the model's folder.
    """

    model: str
    version: int | None
    file: str
    message: str

    def __str__(self) -> str:
        version = "" if self.version is None else f"{self.version}/"
        return f"{self.model}/{version}{self.file}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """`files` are those recorded in the manifests of all `versions`.

    `signed` is how many versions have a signature, None where none was looked at.
    """

    files: int
    versions: int
    signed: int | None
    faults: tuple[VersionFault, ...]

    @property
    def is_fine(self) -> bool:
        return not self.faults

    def lines(self) -> list[str]:
        """For people: a line a fault, or one that there is none."""
        if self.faults:
            return [str(fault) for fault in self.faults]
        signed = (
            "signatures were not checked (--public-key or --certificate-chain)"
            if self.signed is None
            else f"{self.signed} of them signed"
        )
        return [f"{self.files} files of {self.versions} versions are whole; {signed}"]


def verify(folders: Sequence[Path], demand: Demand | None = None) -> Verification:
    """Every version in `folders`, and every config that serves one.

    Raises UnusableInput where there is no version, or a file cannot be read.
    """
    with _reading():
        versions = {folder: version_folders(folder) for folder in folders}
        configs = {folder: beside.config_files(folder) for folder in folders if versions[folder]}
    if not any(versions.values()):
        names = ", ".join(folder.name for folder in folders)
        raise UnusableInput(f"{names}: no version has been published yet; run `plansmith build`")
    return _verify(versions, configs, demand or Demand())


def verify_served(repository: Path, target: str, demand: Demand | None = None) -> Verification:
    """What a server of `repository` would load with the configs of `target`, and only that.

    Hidden folders too, for Triton serves them. Versions of another tool, without a manifest, are
    passed over unless they must be signed.
    Raises UnusableInput where a file cannot be read.
    """
    asked = demand or Demand()
    versions: dict[Path, list[Path]] = {}
    configs: dict[Path, tuple[str, ...]] = {}
    with _reading():
        for folder in sorted(path for path in repository.iterdir() if path.is_dir()):
            there = version_folders(folder)
            config = config_for(folder, target)
            if config is not None and there:
                served = _served(folder, config, there)
                ours = [path for path in served if _is_ours(path)]
                versions[folder] = served if asked.must_be_signed else ours
                configs[folder] = (config,)
            elif there and asked.must_be_signed:
                # It may load nevertheless: Triton makes up a config for some kinds of models.
                wanted = folder / CONFIGS / f"{target}.pbtxt"
                raise UnusableInput(f"{wanted}: no such file; build it, or remove {folder}")
    return _verify(versions, configs, asked)


@contextmanager
def _reading() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise UnusableInput(f"{error.filename}: cannot be read: {error.strerror}") from error


def _is_ours(version: Path) -> bool:
    # A copy that was broken off may lack the manifest alone; no other tool keeps configs there.
    return (version / manifest.FILE_NAME).exists() or (version / KEPT_CONFIGS).is_dir()


def _served(folder: Path, config: str, there: Sequence[Path]) -> list[Path]:
    try:
        what = beside.read_served(folder, config, (int(path.name) for path in there))
    except UnusableInput:
        # A fault that is found with the others: whatever it was to serve is looked at.
        return list(there)
    return [folder / str(version) for version in what.versions]


def _verify(
    versions: dict[Path, list[Path]], configs: dict[Path, tuple[str, ...]], demand: Demand
) -> Verification:
    files, signed, faults = 0, 0, list[VersionFault]()
    with _reading():
        for folder in (one for found in versions.values() for one in found):
            checked = check_version(folder, demand)
            files += checked.recorded
            signed += checked.signed
            faults += [
                VersionFault(
                    model=folder.parent.name,
                    version=int(folder.name),
                    file=fault.file,
                    message=fault.message,
                )
                for fault in checked.faults
            ]
        for folder, names in configs.items():
            faults += _beside(folder, names, demand)
    return Verification(
        files=files,
        versions=sum(map(len, versions.values())),
        signed=None if demand.verifying is None else signed,
        faults=tuple(faults),
    )


def _beside(folder: Path, configs: Sequence[str], demand: Demand) -> list[VersionFault]:
    there = [int(path.name) for path in version_folders(folder)]
    found: dict[str, str] = {}
    digest_of = cache(digest)
    for config in configs:
        try:
            what = beside.read_served(folder, config, there)
        except UnusableInput as error:
            detail = str(error).removeprefix(f"{folder / config}:").strip()
            found[config] = f"is no model configuration: {detail}; publish again"
            continue
        strict = demand.must_be_signed
        faults = beside.faults_beside(folder, config, what, strict=strict, digest_of=digest_of)
        found |= {fault.file: fault.message for fault in faults}
    return [
        VersionFault(model=folder.name, version=None, file=file, message=message)
        for file, message in found.items()
    ]
