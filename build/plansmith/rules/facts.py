"""A repository as the rules see it: plain values, read once, no file is opened after that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from plansmith.config.parsing import BadConfig, ConfigFile
from plansmith.errors import Problem

CONFIG_FILE = "config.pbtxt"
RECIPE_FILE = "recipe.toml"
# What a file holds that looks like weights of PyTorch, or ends like a pickle. "closed" is what
# begins as a ZIP file and cannot be looked into.
Contents = Literal["", "pickle", "checkpoint", "torchscript", "closed"]


@dataclass(frozen=True, kw_only=True)
class FileFact:
    """One file. `why_unreadable` is the system's reason, "" where it can be read."""

    size_bytes: int
    contents: Contents = ""
    why_unreadable: str = ""


@dataclass(frozen=True, kw_only=True)
class GraphTensor:
    """A model file's input or output: Triton's name of its type ("" for one that Triton lacks).

    `shape` has the batch axis where there is one, -1 for a free size; None where it is unknown.
    `names` are all that it goes by.
    """

    names: tuple[str, ...]
    data_type: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a model file says of itself; `outside` are the files with weights that it refers to.

    `problem` is why the file is not what its name says, "" where it is.
    """

    inputs: tuple[GraphTensor, ...] = ()
    outputs: tuple[GraphTensor, ...] = ()
    outside: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    path: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class EngineProfile:
    """The largest batch that an engine file takes, and what for."""

    file: str
    max_batch_size: int


@dataclass(frozen=True, kw_only=True)
class ManifestFacts:
    """What of a version's manifest.json can be held against the rest; `problem` as in Graph."""

    model: str = ""
    version: int = 0
    tensors: Mapping[str, tuple[str, tuple[int, ...]]] = field(
        default_factory=dict[str, tuple[str, tuple[int, ...]]]
    )
    artifacts: tuple[Artifact, ...] = ()
    profiles: tuple[EngineProfile, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ConfigText:
    """One config of a model: config.pbtxt or configs/<target>.pbtxt; `parsed`, or why not."""

    file: str
    parsed: ConfigFile | None = None
    problem: BadConfig | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeFacts:
    """What a recipe says that serving can contradict; `problems` where it does not parse.

    Files are relative to the model's folder; they and the models called go with the line that names
    them. `max_idle_us`: after how long a silent sequence may
    be forgotten, None for a model without sequences.
    """

    problems: tuple[Problem, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    p99_ms: float | None = None
    max_idle_us: int | None = None
    calls: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """One model's folder; all paths are relative to it.

    `folder` is how the folder is told to people. `files` are all files in it, at any depth;
    `folders` those right in it. `versions` are the numbers that Triton takes for versions,
    ascending. `graphs` and `labels` (lines) are of the files that a config names.
    """

    name: str
    folder: str
    repository: str
    folders: tuple[str, ...]
    files: Mapping[str, FileFact]
    versions: tuple[int, ...]
    configs: tuple[ConfigText, ...]
    recipe: RecipeFacts | None
    manifests: Mapping[int, ManifestFacts]
    graphs: Mapping[str, Graph]
    labels: Mapping[str, int]
    unreadable_folders: tuple[tuple[str, str], ...] = ()

    @property
    def main_config(self) -> ConfigFile | None:
        """config.pbtxt, or the first of the others, where it parses."""
        return next((one.parsed for one in self.configs if one.parsed is not None), None)


@dataclass(frozen=True, kw_only=True)
class RepositoryFacts:
    """All models of one or several repositories."""

    models: tuple[ModelFacts, ...]

    def named(self, name: str) -> ModelFacts | None:
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the repository is to be served: CPU cores, and the server's version ("2.51") or None.

    Without a version nothing is said of fields that are too new.
    """

    cores: int
    server_version: str | None = None
