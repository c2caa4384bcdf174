"""A version on a running server under a name of its own, out of every client's sight.

A request that names no version goes to the highest that is loaded, so a candidate must not be
loaded as a version of the model itself. The control API takes a model's config and files along with
the call: nothing is written into the repository, and a model that is not there may be loaded so
(found on Triton 2.51).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.protobuf import json_format, text_format

from plansmith.config.message import ModelConfig
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.integrity.served import served
from plansmith.repository import CONFIGS, KEPT_CONFIGS, ModelFolder
from plansmith.versions.control import ModelControl

SUFFIX = "__candidate"
# gRPC's messages are shorter than 2 GiB: Protocol Buffers' limit.
MAX_BYTES = 2**31 - 2**20


def name_of(model: str) -> str:
    return f"{model}{SUFFIX}"


@contextmanager
def loaded(
    control: ModelControl, folder: ModelFolder, version: int, target: str
) -> Generator[str, None, None]:
    """The name under which `version` answers at the server until the block is left.

    One that a killed run left there is replaced. Raises UnusableInput where the version has no
    config for `target` or is too large to be sent, LoadRefused where the server cannot load it.
    """
    name = name_of(folder.path.name)
    text = config_of(folder, version, target)
    files = files_of(folder, version, text)
    try:
        control.load(name, config=as_candidate(text, name, version), files=files)
        control.wait_ready(name, version)
        yield name
    except BaseException:
        # What went wrong is told, not that the server cannot be asked to unload either.
        with suppress(PlansmithError):
            control.unload(name)
        raise
    control.unload(name)


def config_of(folder: ModelFolder, version: int, target: str) -> str:
    """The text of the config that serves `version` on `target`."""
    texts = folder.kept_configs(version)
    name = f"{CONFIGS}/{target}.pbtxt"
    if name not in texts:
        targets = ", ".join(folder.targets(version))
        raise UnusableInput(
            f"{folder.path}/{version}: was not built for {target!r}; it has {targets}: --target"
        )
    return texts[name]


def as_candidate(text: str, name: str, version: int) -> str:
    """The config `text` as JSON, for a model called `name` that has `version` alone."""
    config = ModelConfig()
    text_format.Parse(text, config)
    config.name = name
    config.version_policy.Clear()
    config.version_policy.specific.versions.append(version)
    return json_format.MessageToJson(config, preserving_proto_field_name=True)


def files_of(folder: ModelFolder, version: int, text: str) -> dict[str, bytes]:
    """What a server reads of `version` and its config, by path in the model's folder.

    Raises UnusableInput where a file cannot be read and where all are too large to be sent.
    """
    place = folder.path / str(version)
    names = [path for path in place.rglob("*") if path.is_file()]
    beside = served(text, [version], file=str(place)).files
    # As published; the configs are sent apart.
    paths = [path for path in names if path.relative_to(place).parts[0] != KEPT_CONFIGS]
    paths += [folder.path / name for name in beside if not Path(name).is_absolute()]
    try:
        size = sum(path.stat().st_size for path in paths)
        if size > MAX_BYTES:
            raise UnusableInput(
                f"{place}: has {size} bytes, and {MAX_BYTES} can be sent to a server; compare it "
                "on a server of its own, then publish it without --shadow and --canary"
            )
        return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths}
    except OSError as error:
        raise UnusableInput(f"{error.filename}: cannot be read: {error.strerror}") from error
