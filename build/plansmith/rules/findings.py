"""What a rule is, what it finds, and how a finding is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from plansmith.config.message import Path

if TYPE_CHECKING:
    from plansmith.rules.case import ConfigCase, ModelCase

Severity = Literal["error", "warning", "note"]
ERROR: Severity = "error"
WARNING: Severity = "warning"
# Worth knowing, and no mistake: it makes no repository unclean.
NOTE: Severity = "note"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Text from offset `start` to `end` of `file` becomes `text`: a repair of a config."""

    file: str
    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """The file or folder `file` goes: a repair of what a killed program has left."""

    file: str


Repair = Cut | Removal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing wrong. `file` begins with the repository as it was given.

    `line` is 1-based; where no text can have one (a missing file) it is 1. `repair` is what `--fix`
    may do about it without changing what the server is told, None where a person has to decide.
    """

    file: str
    line: int
    rule: str
    severity: Severity
    message: str
    fix: str
    repair: Repair | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.rule} {self.message} \u2192 {self.fix}"


@dataclass(frozen=True, kw_only=True)
class Hit:
    """What a rule says: `message` and `fix` without the place.

    The place is `file` (relative to the model's folder; a rule of a config leaves it out and means
    that config), and in it the line of the field at `path`, or `line`. `severity` None is the
    rule's own.
    """

    message: str
    fix: str
    path: Path = ()
    file: str | None = None
    line: int | None = None
    severity: Severity | None = None
    repair: Repair | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. `about` is its line in the docs, `source` where it comes from.

    Exactly one of `of_config`, asked for every config of a model, and `of_model`, asked once.
    """

    id: str
    severity: Severity
    about: str
    source: str
    of_config: Callable[[ConfigCase], Iterable[Hit]] | None = None
    of_model: Callable[[ModelCase], Iterable[Hit]] | None = None

    def __post_init__(self) -> None:
        if (self.of_config is None) == (self.of_model is None):
            raise ValueError(f"{self.id}: is asked of a config or of a model, one of them")
