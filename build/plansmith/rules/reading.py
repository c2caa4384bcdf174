"""Repository folders → facts. The one module of the rules that opens files, each of them once."""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from plansmith.config.parsing import BadConfig, parse
from plansmith.config.version_policy import loaded_versions
from plansmith.errors import BadRecipe, Problem, UnusableInput
from plansmith.integrity import pickles
from plansmith.rules.case import case_of
from plansmith.rules.facts import (
    CONFIG_FILE,
    RECIPE_FILE,
    Artifact,
    ConfigText,
    Contents,
    EngineProfile,
    FileFact,
    Graph,
    ManifestFacts,
    ModelFacts,
    Place,
    RecipeFacts,
    RepositoryFacts,
)
from plansmith.rules.onnx_header import read_onnx
from plansmith.rules.openvino_ir import read_ir

# Triton skips a folder whose name starts with 0, as not a version.
VERSION = re.compile(r"[1-9]\d*", re.ASCII)
MANIFEST = "manifest.json"
_WEIGHTS = pickles.TORCH | {".pt2"}
# Of a ZIP file's member. Source: PKWARE's APPNOTE.TXT, 4.4.4.
_ENCRYPTED = 1
_MAX_DEPTH = 12


def read_repositories(roots: Sequence[Path]) -> RepositoryFacts:
    """All models of `roots`, in the order of their names.

    Raises UnusableInput where a root is no folder, or cannot be listed.
    """
    return RepositoryFacts(models=tuple(model for root in roots for model in _models(root)))


def _models(root: Path) -> Iterator[ModelFacts]:
    if not root.is_dir():
        why = "is not a folder" if root.exists() else "no such folder"
        raise UnusableInput(f"{root}: {why}; name the model repository to check")
    try:
        folders = sorted(one for one in root.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise UnusableInput(f"{root}: cannot be read: {error.strerror}") from error
    for folder in folders:
        if folder.is_dir():
            try:
                yield _model(folder, str(root))
            except OSError as error:
                # What cannot be read is a finding; this went, or broke, between list and read.
                why = f"{error.filename or folder}: {error.strerror}"
                raise UnusableInput(f"{why}; it changed meanwhile: check again") from error


def _model(folder: Path, repository: str) -> ModelFacts:
    listing = _Listing()
    listing.walk(folder, "", 0)
    names = listing.folders.get("", [])
    versions = tuple(sorted(int(name) for name in names if VERSION.fullmatch(name)))
    facts = ModelFacts(
        name=folder.name,
        folder=str(folder),
        repository=repository,
        folders=tuple(sorted(names)),
        files=dict(sorted(listing.files.items())),
        versions=versions,
        configs=tuple(_configs(folder, listing.files)),
        recipe=_recipe(folder, listing.files),
        manifests={
            version: _manifest(folder / f"{version}" / MANIFEST)
            for version in versions
            if _readable(listing.files, f"{version}/{MANIFEST}")
        },
        graphs={},
        labels={},
        unreadable_folders=tuple(listing.unreadable),
    )
    return _with_named_files(folder, facts)


@dataclass(kw_only=True)
class _Listing:
    files: dict[str, FileFact] = field(default_factory=dict[str, FileFact])
    folders: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    unreadable: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def walk(self, folder: Path, prefix: str, depth: int) -> None:
        try:
            found = list(os.scandir(folder))
        except OSError as error:
            self.unreadable.append((prefix.rstrip("/"), error.strerror or "unknown"))
            return
        names = self.folders.setdefault(prefix.rstrip("/"), [])
        for entry in found:
            if _is_folder(entry):
                names.append(entry.name)
                # Links to folders are followed, as the server does; a ring of them is not.
                if depth < _MAX_DEPTH and entry.name != "__pycache__":
                    self.walk(Path(entry.path), f"{prefix}{entry.name}/", depth + 1)
            else:
                self.files[f"{prefix}{entry.name}"] = _file(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, for one: `_file` meets the same error and keeps it.
        return False


def _file(entry: os.DirEntry[str]) -> FileFact:
    try:
        found = entry.stat()
    except OSError as error:
        return FileFact(size_bytes=0, why_unreadable=error.strerror or "unknown")
    size = found.st_size
    if not stat.S_ISREG(found.st_mode):
        # Opening a pipe waits for a writer, and a device may have no end.
        return FileFact(size_bytes=0, why_unreadable="it is a pipe or a device, not a file")
    if not os.access(entry.path, os.R_OK):
        return FileFact(size_bytes=size, why_unreadable="Permission denied")
    return FileFact(size_bytes=size, contents=_contents(Path(entry.path)))


def _contents(path: Path) -> Contents:
    suffix = path.suffix.lower()
    if suffix in pickles.NAMES:
        return "pickle"
    if suffix not in _WEIGHTS:
        return ""
    with path.open("rb") as file:
        start = file.read(len(pickles.TORCH_START))
    if start.startswith(pickles.ZIP_STARTS):
        return _archive(path)
    return "pickle" if pickles.begins_as_pickle(suffix, start) else ""


def _archive(path: Path) -> Contents:
    """What torch.jit.save, torch.save or somebody else put into a ZIP file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception:  # whatever a malformed one makes zipfile raise; a rule tells of it
        return "closed"
    if any(one.flag_bits & _ENCRYPTED for one in members):
        return "closed"
    inside = {one.filename.partition("/")[2] for one in members}
    if "data.pkl" not in inside:
        return ""
    return "torchscript" if "constants.pkl" in inside else "checkpoint"


def _readable(files: dict[str, FileFact], name: str) -> bool:
    return name in files and not files[name].why_unreadable


def _configs(folder: Path, files: dict[str, FileFact]) -> Iterator[ConfigText]:
    others = sorted(
        name
        for name in files
        if name.startswith("configs/") and name.endswith(".pbtxt") and name.count("/") == 1
    )
    for name in [CONFIG_FILE, *others]:
        if not _readable(files, name):
            continue
        # Triton reads bytes: what is not UTF-8 matters only where it stands in a string.
        text = (folder / name).read_bytes().decode("utf-8", "surrogateescape")
        try:
            yield ConfigText(file=name, parsed=parse(text, str(folder / name)))
        except BadConfig as error:
            yield ConfigText(file=name, problem=error)


def _recipe(folder: Path, files: dict[str, FileFact]) -> RecipeFacts | None:
    if not _readable(files, RECIPE_FILE):
        return None
    from plansmith.rules.recipe_facts import recipe_facts  # its parser is slow to import

    text = (folder / RECIPE_FILE).read_bytes().decode("utf-8", "replace")
    try:
        return recipe_facts(text, str(folder / RECIPE_FILE))
    except BadRecipe as error:
        return RecipeFacts(problems=error.problems)
    except RecursionError:
        told = Problem(file=RECIPE_FILE, line=1, field="", message="is nested too deeply")
        return RecipeFacts(problems=(told,))


def _manifest(path: Path) -> ManifestFacts:
    """What the rules ask of a manifest, of any schema; its own reader is stricter."""
    try:
        raw = cast("dict[str, Any]", json.loads(path.read_bytes()))
        builds = raw["builds"]
        tensors = [*raw["inputs"], *raw["outputs"]]
        return ManifestFacts(
            model=str(raw["model"]),
            version=int(raw["version"]),
            tensors={one["name"]: (one["dtype"], tuple(one["shape"])) for one in tensors},
            artifacts=tuple(
                Artifact(path=str(one["path"]), size_bytes=int(one["size_bytes"]))
                for build in builds
                for one in build["artifacts"]
            ),
            profiles=tuple(
                EngineProfile(
                    file=one["file"],
                    max_batch_size=min(shapes["max"][0] for shapes in one["profile"]["inputs"]),
                )
                for build in builds
                for one in build["passports"]
            ),
        )
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else str(error)
        return ManifestFacts(problem=what)


def _with_named_files(folder: Path, facts: ModelFacts) -> ModelFacts:
    """`facts` with what stands in the model and label files that the configs name."""
    alone = RepositoryFacts(models=(facts,))
    graphs: dict[str, Graph] = {}
    labels: dict[str, int] = {}
    for text in facts.configs or (empty_config(facts),):
        case = case_of(facts, text, alone, Place(cores=1))
        if case is None:
            continue
        for version in loaded_versions(case.message, facts.versions):
            for name in {case.serving.file, *case.message.cc_model_filenames.values()}:
                _read_graph(folder, facts, f"{version}/{name}", graphs)
        for output in case.message.output:
            name = str(output.label_filename)
            if name and name not in labels and _readable(dict(facts.files), name):
                labels[name] = len((folder / name).read_bytes().splitlines())
    return replace(facts, graphs=graphs, labels=labels)


def _read_graph(folder: Path, facts: ModelFacts, name: str, graphs: dict[str, Graph]) -> None:
    if name in graphs or name not in facts.files or facts.files[name].why_unreadable:
        return
    if name.endswith(".onnx"):
        graphs[name] = read_onnx(folder / name)
    elif name.endswith(".xml"):
        graphs[name] = read_ir(folder / name)


def empty_config(model: ModelFacts) -> ConfigText:
    """What the server reads where a model has no config."""
    return ConfigText(file=CONFIG_FILE, parsed=parse("", f"{model.folder}/{CONFIG_FILE}"))
