"""Will the engines that are served load there? The repository and this machine, read for the rules.

The rules are in engines/compatibility.py.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plansmith.engines import releases
from plansmith.engines.compatibility import Mismatch, Place, mismatches
from plansmith.errors import LacksSomething, UnusableInput
from plansmith.gpu import describe_gpu
from plansmith.manifest import Manifest
from plansmith.repository import ModelFolder
from plansmith.targets import tensorrt, tensorrt_rtx
from plansmith.targets.tensorrt_builder import Library, is_installed, load

# What describes a Place, in words, and in the order in which people are told.
_WORDS = {
    "compute_capability": "compute capability",
    "driver": "driver",
    "container": "container",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
}


@dataclass(frozen=True, kw_only=True)
class There:
    """Where engines are to run; `detected` names the fields of `place` that are this machine's."""

    place: Place
    detected: tuple[str, ...]

    def __str__(self) -> str:
        known = {name: getattr(self.place, name) for name in _WORDS}
        told = {name: f"{_WORDS[name]} {value}" for name, value in known.items() if value}
        given = [text for name, text in told.items() if name not in self.detected]
        found = [text for name, text in told.items() if name in self.detected]
        system = f"{self.place.system} {self.place.machine}"
        here = f"as this machine: {', '.join([*found, system])}"
        return f"{', '.join(given)}; {here}" if given else here


@dataclass(frozen=True, kw_only=True)
class ModelPreflight:
    """The served version of one model, the files of its engines, and why they would not load."""

    model: str
    version: int
    engines: tuple[str, ...]
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, kw_only=True)
class Preflight:
    target: str
    there: There
    models: tuple[ModelPreflight, ...]

    @property
    def is_fine(self) -> bool:
        return not any(one.mismatches for one in self.models)

    def lines(self) -> list[str]:
        """For people: the place, and for each model a line that it loads or one a mismatch."""
        told = [f"there: {self.there}"]
        for one in self.models:
            told += [f"{one.model}: version {one.version}: {found}" for found in one.mismatches]
            if not one.mismatches:
                told.append(f"{one.model}: version {one.version}: loads there")
        return told


def describe_place(
    *,
    compute_capability: str | None = None,
    driver: str | None = None,
    container: str | None = None,
    tensorrt_version: str | None = None,
    tensorrt_rtx_version: str | None = None,
) -> There:
    """The place as it is described, and where it is not, as this machine is.

    A container that is named brings its own TensorRT: this machine's is then not looked at.
    Raises UnusableInput where `container` is no release's name.
    """
    gpu = describe_gpu()
    found = {
        "compute_capability": gpu.compute_capability if gpu else None,
        "driver": gpu.driver if gpu else None,
        "container": os.environ.get(tensorrt.CONTAINER_VARIABLE),
        "tensorrt": None if container else _installed(tensorrt.TENSORRT),
        "tensorrt_rtx": _installed(tensorrt_rtx.RTX),
    }
    given = {
        "compute_capability": compute_capability,
        "driver": driver,
        "container": container,
        "tensorrt": tensorrt_version,
        "tensorrt_rtx": tensorrt_rtx_version,
    }
    fields = {name: found[name] if value is None else value for name, value in given.items()}
    if fields["container"] is not None:
        releases.find(fields["container"])
    return There(
        place=Place(**fields, system=platform.system(), machine=platform.machine()),
        detected=tuple(n for n, value in given.items() if value is None and found[n] is not None),
    )


def _installed(library: Library) -> str | None:
    """The library's version here; None where it is missing, or does not load."""
    if not is_installed(library):
        return None
    try:
        return str(load(library).__version__)
    except LacksSomething:
        return None


def preflight(folders: Sequence[Path], target: str, there: There) -> Preflight:
    """Whether the engines for `target` that each model in `folders` serves will load `there`.

    Models that are served as they are have none, and are passed over. Raises UnusableInput where
    another serves none: a server with it would not start.
    """
    models: list[ModelPreflight] = []
    problems: list[str] = []
    for folder in folders:
        latest = ModelFolder(path=folder).latest()
        if len(folders) > 1 and latest is not None and latest.budget is None:
            continue
        try:
            served = _served(folder, target)
        except UnusableInput as error:
            problems.append(str(error))
            continue
        passports = served.on(target).passports
        found = mismatches(passports, there.place, folder.name)
        models.append(
            ModelPreflight(
                model=folder.name,
                version=served.version,
                engines=tuple(passport.file for passport in passports),
                mismatches=found,
            )
        )
    if problems:
        raise UnusableInput("\n".join(problems))
    return Preflight(target=target, there=there, models=tuple(models))


def _served(folder: Path, target: str) -> Manifest:
    """The newest version with engines for `target` that its config lets the server serve."""
    place = ModelFolder(path=folder)
    for version in reversed(place.versions()):
        if place.serves(version, f"configs/{target}.pbtxt"):
            found = place.manifest(version)
            if target in found.targets and found.on(target).passports:
                return found
    raise UnusableInput(
        f"{folder}: serves no engine for {target}; "
        f"run `plansmith build {folder.name} --target {target}`"
    )
