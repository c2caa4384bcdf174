"""The files that go with a recipe: those that it names, and labels that fit."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import UnusableInput
from plansmith.recipe.words import Output

if TYPE_CHECKING:
    from plansmith.manifest import FileDigest

RECIPE_FILE = "recipe.toml"
LABEL_FILES = "labels*.txt"


def check_labels(output: Output, folder: Path) -> None:
    """One label for each class, in a file that deploy/container takes along: labels*.txt."""
    if output.labels is None:
        return
    place = f"{folder / RECIPE_FILE}: output.{output.spec.name}.labels"
    if "/" in output.labels or not fnmatch.fnmatch(output.labels, LABEL_FILES):
        raise UnusableInput(
            f"{place}: is {output.labels!r}; expected a file beside the recipe called {LABEL_FILES}"
        )
    try:
        count = len((folder / output.labels).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{place}: {output.labels} cannot be read: {error}") from error
    classes = output.spec.shape[-1]
    if classes not in (-1, count):
        raise UnusableInput(f"{place}: {output.labels} has {count} lines for {classes} classes")


def file_of(place: str) -> str:
    """The file of `file.py:function`; any other place is one itself."""
    return place.rpartition(":")[0] if ".py:" in place else place


def origin(
    place: str, sources: Iterable[FileDigest], installed: Mapping[str, str]
) -> dict[str, str]:
    """What the files that `place` names hold, by path.

    A function may take weights and data from any package, so all that are installed count.
    """
    if ".py:" in place:
        file = file_of(place)
        digests = {one.path: one.sha256 for one in sources if one.path == file}
        return {"function": place, **digests, **installed}
    # A folder's files, and the external data of an ONNX file: their names begin like its own.
    return {one.path: one.sha256 for one in sources if one.path.startswith(place)}


def source_files(
    places: Mapping[str, str], folder: Path, onnx_file: str | None = None
) -> list[str]:
    """The files in `folder` that a recipe names or that go with them, and the recipe itself.

    `places` are what it names, by what it is for; `onnx_file` is one that may have external data.
    """
    names = {RECIPE_FILE}
    for key, place in places.items():
        name = file_of(place)
        path = folder / name
        if name.endswith("/") and path.is_dir():
            found = (one for one in path.rglob("*") if one.is_file())
            names |= {str(one.relative_to(folder)) for one in found}
        elif path.is_file():
            names.add(name)
        else:
            what = "folder" if name.endswith("/") else "file"
            raise UnusableInput(
                f"{path}: no such {what}; {folder / RECIPE_FILE} names it as {key!r}"
            )
    if onnx_file is not None:
        model = folder / onnx_file
        names |= {
            str(path.relative_to(folder))
            for path in model.parent.glob(f"{glob.escape(model.name)}[._]data*")
        }
    return sorted(names)
