"""One config, or one model, with all that a rule may hold it against. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor

from plansmith.config.message import ModelConfig, Path
from plansmith.config.parsing import ConfigFile
from plansmith.config.version_policy import loaded_versions
from plansmith.rules import backends
from plansmith.rules.facts import ConfigText, ModelFacts, Place, RecipeFacts, RepositoryFacts

WILDCARD = -1


@dataclass(frozen=True, kw_only=True)
class ModelCase:
    """A model among the others."""

    model: ModelFacts
    repository: RepositoryFacts
    place: Place


@dataclass(frozen=True, kw_only=True)
class ConfigCase:
    """A config of a model. `message` is Triton's ModelConfig; `served` are the versions it serves.

    `file` is relative to the model's folder. Where a model has no config at all, rules see an
    empty one, as the server does.
    """

    model: ModelFacts
    repository: RepositoryFacts
    place: Place
    file: str
    config: ConfigFile
    serving: backends.Serving
    served: tuple[int, ...]

    @property
    def message(self) -> ModelConfig:
        return self.config.message

    @property
    def recipe(self) -> RecipeFacts | None:
        return self.model.recipe

    @property
    def batches(self) -> bool:
        return self.message.max_batch_size > 0

    @property
    def model_files(self) -> tuple[str, ...]:
        """The default model file of each served version, as a path in the model's folder."""
        name = self.serving.file
        return tuple(f"{version}/{name}" for version in self.served) if name else ()

    def has(self, field: str) -> bool:
        """Whether the optional block `field` is set at the top of the config."""
        return bool(self.message.HasField(field))

    def parameter(self, key: str) -> str | None:
        """The value of a backend's parameter, None where it is not set."""
        found = self.message.parameters
        return str(found[key].string_value) if key in found else None


def case_of(
    model: ModelFacts, text: ConfigText, repository: RepositoryFacts, place: Place
) -> ConfigCase | None:
    """The case of one config; None where it does not parse."""
    config = text.parsed
    if config is None:
        return None
    first = min(model.folders, default="")
    inside = {name.split("/")[1] for name in model.files if name.startswith(f"{first}/")}
    serving = backends.serving_of(config.message, model.name, frozenset(inside))
    return ConfigCase(
        model=model,
        repository=repository,
        place=place,
        file=text.file,
        config=config,
        serving=serving,
        served=loaded_versions(config.message, model.versions),
    )


def main_case(case: ModelCase | ConfigCase, name: str) -> ConfigCase | None:
    """The case of another model's config of the same target, or of its config.pbtxt."""
    model = case.repository.named(name)
    if model is None:
        return None
    wanted = case.file if isinstance(case, ConfigCase) else ""
    parsed = [one for one in model.configs if one.parsed is not None]
    text = next((one for one in parsed if one.file == wanted), parsed[0] if parsed else None)
    return case_of(model, text, case.repository, case.place) if text is not None else None


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a config; `path` is where it stands, `message` Triton's own."""

    side: str
    path: Path
    message: Any

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def label(self) -> str:
        return f"{self.side} '{self.name}'"

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(self.message.dims)

    @property
    def data_type(self) -> str:
        return type_name(self.message, self.message.data_type)

    @property
    def shape_for_backend(self) -> tuple[int, ...]:
        """What the backend gets: `reshape` where there is one, else `dims`."""
        reshaped = self.message.HasField("reshape")
        return tuple(self.message.reshape.shape) if reshaped else self.dims


def tensors(message: Any) -> Iterator[Tensor]:
    """All inputs, then all outputs."""
    for side in ("input", "output"):
        for index, one in enumerate(getattr(message, side)):
            yield Tensor(side=side, path=(side, index), message=one)


def type_name(message: Any, number: int, field: str = "data_type") -> str:
    """Triton's name of an enum's value, TYPE_FP32; the number as text for an unknown one."""
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(known[number].name) if number in known else str(number)


def repeated(names: Sequence[str]) -> list[int]:
    """The indexes at which a name stands that stood before."""
    return [index for index, name in enumerate(names) if name in names[:index]]


def entries(field: Any) -> Mapping[Any, Any]:
    """A map of the message, in the order of its keys: protobuf's own order is none."""
    return dict(sorted(cast("Mapping[Any, Any]", field).items()))


def enum_fields(message: Any, at: Path = ()) -> Iterator[tuple[Path, EnumDescriptor, Any]]:
    """Every field of `message`, at any depth, that holds enums: its path, which, its values."""
    for field, value in message.ListFields():
        path: Path = (*at, field.name)
        if field.enum_type is not None:
            yield path, field.enum_type, value if field.is_repeated else (value,)
        elif field.message_type is None:
            continue
        elif not field.is_repeated:
            yield from enum_fields(value, path)
        elif field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"].message_type
            for key, one in entries(value).items() if inner is not None else ():
                yield from enum_fields(one, (*path, key))
        else:
            for index, one in enumerate(value):
                yield from enum_fields(one, (*path, index))
