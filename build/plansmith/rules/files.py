"""Rules of what lies in a model's folder: versions, model files, leftovers, pickles. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules import backends
from plansmith.rules.case import ModelCase
from plansmith.rules.findings import ERROR, NOTE, WARNING, Hit, Removal, Rule

_REPOSITORY = "server:docs/user_guide/model_repository.md"
_EDITOR = (".swp", ".swo", "~", ".orig", ".rej")
_KNOWN_FOLDERS = ("configs", "warmup", "initial_state")
# repository.py and versions/keeping.py call them so.
_LEFTOVERS = (".unfinished-", ".removed-")
# By what a file was found to hold: why it is none to keep, and none that is TorchScript.
_PICKLES = {
    "pickle": "is a pickle",
    "checkpoint": "is a checkpoint with a pickle",
    "closed": "begins as a ZIP file and cannot be looked into: it may hold a pickle",
}
_NO_TORCHSCRIPT = {
    "pickle": "is a pickle, not TorchScript, and the pytorch backend does not load it",
    "checkpoint": "is a pickle, not TorchScript, and the pytorch backend does not load it",
    "closed": "begins as a ZIP file and cannot be looked into, by the pytorch backend neither",
}


def _version_missing(case: ModelCase) -> Iterator[Hit]:
    model = case.model
    if model.versions or any(_is_number(name) for name in model.folders):
        return
    is_source = "recipe.toml" in model.files and not model.configs
    if is_source or (not model.files and not model.folders):
        return
    fix = "make a folder 1 with the model file in it; an ensemble's stays empty"
    yield Hit(file="", message="there is no version: a folder with a number", fix=fix)


def _version_zero(case: ModelCase) -> Iterator[Hit]:
    for name in case.model.folders:
        if _is_number(name) and name.startswith("0"):
            message = f"the server ignores the folder {name}: a version does not start with 0"
            severity = WARNING if case.model.versions else None
            fix = f"rename it to {int(name) or 1}"
            yield Hit(file=name, message=message, fix=fix, severity=severity)


def _version_name(case: ModelCase) -> Iterator[Hit]:
    for name in case.model.folders:
        looks = name.lstrip("vV").replace(".", "").replace("_", "").replace("-", "")
        if name in _KNOWN_FOLDERS or name.startswith(".") or _is_number(name):
            continue
        if looks.isdecimal() and looks:
            message = f"the server ignores the folder {name}: it is no version's number"
            yield Hit(file=name, message=message, fix="name it by digits alone: 1, 2, 3")


def _is_number(name: str) -> bool:
    # The server knows no other digits than these.
    return name.isascii() and name.isdecimal()


def _file_unreadable(case: ModelCase) -> Iterator[Hit]:
    for name, fact in case.model.files.items():
        if fact.why_unreadable:
            message = f"cannot be read: {fact.why_unreadable}"
            yield Hit(file=name, message=message, fix="give the server's user the right, or repair")
    for name, why in case.model.unreadable_folders:
        message = f"the folder cannot be listed: {why}"
        yield Hit(file=name, message=message, fix="give the server's user the right to read it")


def _leftover(case: ModelCase) -> Iterator[Hit]:
    found = [name for name in case.model.folders if _is_leftover(name)]
    found += [name for name in case.model.files if _is_leftover(name) and "/" not in name]
    found += [name for name in case.model.files if _is_leftover(name) and "/" in name]
    for name in dict.fromkeys(found):
        if any(name.startswith(f"{other}/") for other in found):
            continue
        yield Hit(
            file=name,
            message="is of a build that runs, or was killed",
            fix="the next build removes it, or --fix while none runs",
            repair=Removal(file=f"{case.model.folder}/{name}"),
        )


def _is_leftover(name: str) -> bool:
    return name.rpartition("/")[2].startswith(_LEFTOVERS)


def _editor_file(case: ModelCase) -> Iterator[Hit]:
    for name in case.model.files:
        if name.endswith(_EDITOR):
            fix = "remove it: a server that polls loads the model again for every change"
            yield Hit(file=name, message="is an editor's or a merge's own file", fix=fix)


def _pickle(case: ModelCase) -> Iterator[Hit]:
    loaded = _loaded_weights(case)
    for name, fact in case.model.files.items():
        if fact.contents in _PICKLES and name not in loaded:
            fix = "remove it, or convert it to safetensors or ONNX: loading it runs its code"
            yield Hit(file=name, message=_PICKLES[fact.contents], fix=fix)


def _pytorch_file(case: ModelCase) -> Iterator[Hit]:
    for name in sorted(_loaded_weights(case)):
        message = _NO_TORCHSCRIPT.get(case.model.files[name].contents)
        if message is not None:
            yield Hit(file=name, message=message, fix="write it with torch.jit.save")


def _loaded_weights(case: ModelCase) -> set[str]:
    """What the pytorch backend would load."""
    names = {
        str(text.parsed.message.default_model_filename) or "model.pt"
        for text in case.model.configs
        if text.parsed is not None
        and (
            text.parsed.message.backend == backends.PYTORCH
            or backends.PLATFORMS.get(text.parsed.message.platform) == backends.PYTORCH
        )
    }
    files = {f"{version}/{name}" for version in case.model.versions for name in names}
    return files & set(case.model.files)


RULES = (
    Rule(
        id="version-missing",
        severity=ERROR,
        about="A model has a version: a folder with a number; an ensemble too.",
        source=_REPOSITORY,
        of_model=_version_missing,
    ),
    Rule(
        id="version-leading-zero",
        severity=ERROR,
        about="A version's folder does not start with 0 (a warning beside others): it is ignored.",
        source=_REPOSITORY,
        of_model=_version_zero,
    ),
    Rule(
        id="version-name",
        severity=WARNING,
        about="A version's folder is named by digits alone, not v1 or 1.0.",
        source=_REPOSITORY,
        of_model=_version_name,
    ),
    Rule(
        id="file-unreadable",
        severity=ERROR,
        about="Every file and folder can be read.",
        source="the file system",
        of_model=_file_unreadable,
    ),
    Rule(
        id="leftover",
        severity=NOTE,
        about="`.unfinished-*`, `.removed-*`: of a running or killed build; the next removes it.",
        source="plansmith's publishing",
        of_model=_leftover,
    ),
    Rule(
        id="editor-file",
        severity=WARNING,
        about="No editor's file lies in a model's folder: polling servers reload for it.",
        source="server:docs/user_guide/model_management.md",
        of_model=_editor_file,
    ),
    Rule(
        id="pickle-file",
        severity=WARNING,
        about="A repository holds no pickle: loading one runs whatever code is in it.",
        source="Python's documentation of pickle",
        of_model=_pickle,
    ),
    Rule(
        id="pytorch-file",
        severity=ERROR,
        about="What the pytorch backend loads is TorchScript, not a pickled checkpoint.",
        source="pytorch_backend:README.md",
        of_model=_pytorch_file,
    ),
)
