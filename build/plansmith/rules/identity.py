"""Rules of names, backends and platforms. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from plansmith.config.fields import newer_fields
from plansmith.rules import backends
from plansmith.rules.case import ConfigCase, ModelCase, enum_fields, tensors
from plansmith.rules.facts import CONFIG_FILE, RECIPE_FILE
from plansmith.rules.findings import ERROR, WARNING, Cut, Hit, Rule

_VALIDATOR = "core:src/model_config_utils.cc"
_REPOSITORY = "server:docs/user_guide/model_repository.md"
_CONFIGURATION = "server:docs/user_guide/model_configuration.md"


def _syntax(case: ModelCase) -> Iterator[Hit]:
    for text in case.model.configs:
        if text.problem is not None:
            told = f"column {text.problem.column}: {text.problem.message}"
            fix = "correct the text; the server reads none of it"
            yield Hit(file=text.file, line=text.problem.line, message=told, fix=fix)


def _name_differs(case: ConfigCase) -> Iterator[Hit]:
    name, folder = str(case.message.name), case.model.name
    if not name or name == folder or case.repository.named(name) is not None:
        return
    span = case.config.spans[("name",)]
    yield Hit(
        path=("name",),
        message=f"name is '{name}', the folder is '{folder}'",
        fix=f'write name: "{folder}", or leave name out',
        repair=Cut(file=case.config.file, start=span.start, end=span.end, text=f'name: "{folder}"'),
    )


def _name_twice(case: ConfigCase) -> Iterator[Hit]:
    name = str(case.message.name)
    if name and name != case.model.name and case.repository.named(name) is not None:
        fix = f'write name: "{case.model.name}": a model is called as its folder'
        yield Hit(path=("name",), message=f"'{name}' is the name of another model", fix=fix)


def _folder_twice(case: ModelCase) -> Iterator[Hit]:
    others = [one for one in case.repository.models if one.name == case.model.name]
    if others[0] is case.model:
        return
    message = f"a model '{case.model.name}' is in {others[0].repository} as well"
    fix = "rename one of the folders: a server takes each name once"
    yield Hit(file=_spokesman(case), message=message, fix=fix)


def _name_case(case: ModelCase) -> Iterator[Hit]:
    name = case.model.name
    for other in case.repository.models:
        if other.name < name and other.name.lower() == name.lower():
            message = f"differs from the model '{other.name}' in upper and lower case only"
            fix = "rename one: on many disks both would be one folder"
            yield Hit(file=_spokesman(case), message=message, fix=fix)


def _spokesman(case: ModelCase) -> str:
    """The file that says most about a model."""
    known = (RECIPE_FILE, CONFIG_FILE)
    return next((name for name in known if name in case.model.files), "")


def _name_dotted(case: ModelCase) -> Iterator[Hit]:
    if "." in case.model.name:
        message = f"the model's name '{case.model.name}' has a dot"
        fix = "rename the folder: the server may take the text after the dot for a backend"
        yield Hit(file=_spokesman(case), message=message, fix=fix)


def _name_shell(case: ConfigCase) -> Iterator[Hit]:
    name = case.model.name
    if case.serving.backend == backends.PYTHON and shlex.quote(name) != name:
        message = f"the model's name '{name}' has letters that a shell takes for its own"
        fix = "rename the folder: the Python backend starts it by a line of bash, and hangs"
        yield Hit(path=("name",), message=message, fix=fix)


def _config_name_space(case: ModelCase) -> Iterator[Hit]:
    for text in case.model.configs:
        if " " in text.file:
            fix = "rename it: --model-config-name takes no name with a space"
            yield Hit(file=text.file, message="the config's file name has a space", fix=fix)


def _backend_missing(case: ConfigCase) -> Iterator[Hit]:
    serving = case.serving
    if serving.backend or serving.platform:
        return
    fix = 'write backend: "onnxruntime", or what it is served by'
    yield Hit(path=("name",), message="no backend, and no file that tells which", fix=fix)


def _backend_guessed(case: ConfigCase) -> Iterator[Hit]:
    if case.serving.guessed:
        told = f"no backend: the server takes '{case.serving.backend}' from the model's name"
        yield Hit(path=("name",), message=told, fix="write backend: with the one that is meant")


def _platform_unknown(case: ConfigCase) -> Iterator[Hit]:
    platform = case.serving.platform
    if platform and not case.serving.backend and not case.serving.is_ensemble:
        known = ", ".join([*backends.PLATFORMS, backends.ENSEMBLE])
        message = f"platform '{platform}' is none that the server knows"
        yield Hit(path=("platform",), message=message, fix=f"write backend: instead, or: {known}")


def _backend_platform(case: ConfigCase) -> Iterator[Hit]:
    platform, backend = case.serving.platform, str(case.message.backend)
    known = set(backends.PLATFORMS.values()) - {backends.TENSORFLOW}
    fits = backends.PLATFORMS.get(platform) == backend
    if backend in known and platform and not fits and platform != backends.ENSEMBLE:
        message = f"platform '{platform}' is not one of backend '{backend}'"
        yield Hit(path=("platform",), message=message, fix="leave platform out")


def _backend_gone(case: ConfigCase) -> Iterator[Hit]:
    if case.serving.backend == backends.TENSORFLOW:
        path = ("backend",) if case.message.backend else ("platform",)
        message = "the TensorFlow backend is in no release since 25.03"
        yield Hit(path=path, message=message, fix="convert the model to ONNX")


def _field_newer(case: ConfigCase) -> Iterator[Hit]:
    version = case.place.server_version
    if version is None:
        return
    for path, newer in newer_fields(case.message):
        if _numbers(version) <= _numbers(newer.missing_in):
            message = f"Triton {version} does not know {newer.field} and refuses the config"
            fix = "leave it out, or serve with a newer release and say --server-version"
            yield Hit(path=path, message=message, fix=fix)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _enum_unknown(case: ConfigCase) -> Iterator[Hit]:
    for path, enum, numbers in enum_fields(case.message):
        for number in numbers:
            if number not in enum.values_by_number:
                known = ", ".join(enum.values_by_name)
                message = f"{path[-1]} is {number}, which names nothing"
                yield Hit(path=path, message=message, fix=f"write one of {known}")


def _config_missing(case: ModelCase) -> Iterator[Hit]:
    there = any(name.endswith(".pbtxt") for name in case.model.files)
    if case.model.versions and not there:
        message = f"has no {CONFIG_FILE}: the server fills it in, where auto-complete is on"
        fix = "write one; the server tells its own at /v2/models/<model>/config"
        yield Hit(file="", message=message, fix=fix)


def _targets_differ(case: ConfigCase) -> Iterator[Hit]:
    main = case.model.main_config
    if main is None or main is case.config:
        return
    ours = {(one.side, one.name): (one.data_type, one.dims) for one in tensors(case.message)}
    theirs = {(one.side, one.name): (one.data_type, one.dims) for one in tensors(main.message)}
    for tensor in tensors(case.message):
        key = (tensor.side, tensor.name)
        if theirs and theirs.get(key) != ours[key]:
            other = "is not there" if key not in theirs else "has another type or shape there"
            message = f"{tensor.label} differs from {main.file.rpartition('/')[2]}: it {other}"
            fix = "make them one: callers see the same model on every target"
            yield Hit(path=tensor.path, message=message, fix=fix)


RULES = (
    Rule(
        id="config-syntax",
        severity=ERROR,
        about="A config is protobuf text with fields of ModelConfig alone.",
        source="common:protobuf/model_config.proto",
        of_model=_syntax,
    ),
    Rule(
        id="name-differs",
        severity=ERROR,
        about="`name`, where it is given, is that of the model's folder.",
        source=_CONFIGURATION,
        of_config=_name_differs,
    ),
    Rule(
        id="name-twice",
        severity=ERROR,
        about="`name` is not that of another model's folder.",
        source=_REPOSITORY,
        of_config=_name_twice,
    ),
    Rule(
        id="folder-twice",
        severity=ERROR,
        about="No two repositories that are served together have a model (or recipe) of one name.",
        source=_REPOSITORY,
        of_model=_folder_twice,
    ),
    Rule(
        id="name-case",
        severity=WARNING,
        about="No two models differ only in upper and lower case.",
        source="file systems that ignore case",
        of_model=_name_case,
    ),
    Rule(
        id="name-dotted",
        severity=WARNING,
        about="A model's name has no dot: the text after it may be taken for a backend.",
        source=_VALIDATOR,
        of_model=_name_dotted,
    ),
    Rule(
        id="name-shell",
        severity=ERROR,
        about="A Python model's name has only letters, digits and `@%+=:,./-_`.",
        source="python_backend:src/stub_launcher.cc",
        of_config=_name_shell,
    ),
    Rule(
        id="config-name-space",
        severity=WARNING,
        about="The name of a config in `configs/` has no space.",
        source=_CONFIGURATION,
        of_model=_config_name_space,
    ),
    Rule(
        id="backend-missing",
        severity=ERROR,
        about="A model has a `backend`, a `platform` or a file that tells which.",
        source=_VALIDATOR,
        of_config=_backend_missing,
    ),
    Rule(
        id="backend-guessed",
        severity=ERROR,
        about="The backend is said, not left to be guessed from the model's name.",
        source=_VALIDATOR,
        of_config=_backend_guessed,
    ),
    Rule(
        id="platform-unknown",
        severity=ERROR,
        about="A `platform` without `backend` is one that the server knows.",
        source=_VALIDATOR,
        of_config=_platform_unknown,
    ),
    Rule(
        id="backend-platform",
        severity=ERROR,
        about="`platform` and `backend` are a pair that the server knows.",
        source=_VALIDATOR,
        of_config=_backend_platform,
    ),
    Rule(
        id="backend-gone",
        severity=WARNING,
        about="The backend is still released; TensorFlow's is not.",
        source="server:RELEASE.md of 25.03",
        of_config=_backend_gone,
    ),
    Rule(
        id="field-newer",
        severity=ERROR,
        about="Every field is known to the server (`--server-version`, else the embedded one).",
        source="config/fields.py, found by asking that server",
        of_config=_field_newer,
    ),
    Rule(
        id="enum-unknown",
        severity=ERROR,
        about="A number written for a name (`data_type: 11`) is one of its numbers.",
        source="common:protobuf/model_config.proto",
        of_config=_enum_unknown,
    ),
    Rule(
        id="config-missing",
        severity=WARNING,
        about="A model has a config: without one it needs a server that fills it in.",
        source="server:docs/user_guide/model_configuration.md, Auto-Generated",
        of_model=_config_missing,
    ),
    Rule(
        id="targets-differ",
        severity=WARNING,
        about="`configs/<target>.pbtxt` offers the inputs and outputs that config.pbtxt does.",
        source="one interface on every target",
        of_config=_targets_differ,
    ),
)
