"""Versions of a model to publish, and what is looked at afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from plansmith import warm_up
from plansmith.manifest import FileDigest, Manifest
from plansmith.repository import CONFIG_FILE, ModelFolder, digest, publish

ARTIFACTS = ("model.xml", "model.bin")


def warm_up_file(version: int) -> str:
    return f"warmup/{version:032x}.bin"


def config_of(version: int) -> str:
    """A config that serves `version`, warmed up with a file of its own."""
    return f"""\
name: "tiny"
version_policy {{ specific {{ versions: [ {version} ] }} }}
model_warmup {{
  batch_size: 1
  inputs {{
    key: "x"
    value {{ input_data_file: "{Path(warm_up_file(version)).name}" }}
  }}
}}
"""


def writing_configs(folder: Path) -> Callable[[Manifest], dict[str, str]]:
    """Gives the configs of a version, and writes on the way what it is to be warmed up with."""

    def configs(found: Manifest) -> dict[str, str]:
        warm_up.write_files(folder, {warm_up_file(found.version): b"a row"})
        text = config_of(found.version)
        return {"configs/cpu.pbtxt": text, CONFIG_FILE: text}

    return configs


def publish_next(folder: Path, **options: Any) -> Manifest:
    """Publishes one more version; its artifacts are those beside the folder."""
    place = ModelFolder(path=folder)

    def describe(version: int, files: tuple[FileDigest, ...]) -> Manifest:
        first = place.latest("cpu")
        assert first is not None
        built = replace(first.on("cpu"), artifacts=files)
        return replace(first, version=version, builds=(built,))

    artifacts = files_in(folder.parent / f"artifacts of {folder.name}")
    return publish(place, artifacts, describe, writing_configs(folder), **options)


def files_in(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ARTIFACTS}


def served(folder: Path) -> int:
    (version,) = re.findall(r"versions: \[ (\d+) \]", (folder / CONFIG_FILE).read_text())
    return int(version)


def leftovers(folder: Path) -> list[Path]:
    return [*folder.rglob(".unfinished-*"), *folder.rglob(".removed-*")]


def warm_ups(folder: Path) -> set[str]:
    return {f"warmup/{path.name}" for path in (folder / "warmup").iterdir()}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def assert_complete(folder: Path, version: int) -> None:
    """The version's artifacts are those of its manifest, byte by byte."""
    place = folder / str(version)
    found = ModelFolder(path=folder).manifest(version)
    assert found.version == version
    assert files_below(place) == {"manifest.json", *(file.path for file in found.files)}
    assert {"configs/cpu.pbtxt", "configs/config.pbtxt", *ARTIFACTS} <= files_below(place)
    for file in found.files:
        assert digest(place / file.path, file.path) == file


def raising(error: type[BaseException], code: int | None) -> Callable[[object], None]:
    def fail(subject: object) -> None:
        raise error() if code is None else OSError(code, os.strerror(code), str(subject))

    return fail
