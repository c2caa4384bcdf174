"""What one config file lets a server read: which versions, and which files beside them. Pure.

Source of the fields: triton-inference-server/common protobuf/model_config.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from plansmith.config.message import ModelConfig
from plansmith.config.parsing import parse
from plansmith.config.version_policy import loaded_versions

# Of the Python backend: an archive or a folder with the interpreter's packages.
_ENVIRONMENT = "EXECUTION_ENV_PATH"
_MODEL_FOLDER = "$$TRITON_MODEL_DIRECTORY/"


@dataclass(frozen=True, kw_only=True)
class Served:
    """`versions` are ascending. `files` are relative to the model's folder, but for absolute ones.

    What a server reads of a version's own folder is not among `files`.
    """

    versions: tuple[int, ...]
    files: tuple[str, ...]


def served(text: str, there: Iterable[int], *, file: str) -> Served:
    """What the config `text` serves where the versions `there` are.

    Raises UnusableInput, with `file`, line and column, where it is no model configuration.
    """
    config = parse(text, file).message
    return Served(
        versions=loaded_versions(config, sorted(there)),
        files=tuple(sorted(set(_files(config)))),
    )


def _files(config: ModelConfig) -> Iterator[str]:
    yield from (one.label_filename for one in config.output if one.label_filename)
    for sample in config.model_warmup:
        for one in sample.inputs.values():
            if one.input_data_file:
                yield f"warmup/{one.input_data_file}"
    for state in config.sequence_batching.state:
        for one in state.initial_state:
            if one.data_file:
                yield f"initial_state/{one.data_file}"
    environment = config.parameters[_ENVIRONMENT].string_value
    if environment:
        yield environment.removeprefix(_MODEL_FOLDER)
