"""What can go wrong, one class per thing a caller can do about it.

PlansmithError                 (every error this package raises on purpose)    exit 1
├── UnusableInput              the user's file or argument is wrong             exit 2
│   ├── BadRecipe              a recipe with one or more problems               exit 2
│   └── BadConfig              a text that is no model configuration            exit 2
├── LacksSomething             this machine lacks a program, library or right   exit 3
└── LoadRefused                a running server could not load the version      exit 1

BadConfig is in config/parsing.py, LoadRefused in versions/control.py, beside what raises them.
"""

from __future__ import annotations

from dataclasses import dataclass


class PlansmithError(Exception):
    """A message for the person at the keyboard; `exit_code` ends the program."""

    exit_code = 1


class UnusableInput(PlansmithError):
    """What the user wrote or named cannot be used; the message says what, where and the fix."""

    exit_code = 2


class LacksSomething(PlansmithError):
    """This machine lacks something; the message names the one line that puts it there."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong in a file: `line` is 1-based; `field` is the dotted path in the file."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return (
            f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"
        )


class BadRecipe(UnusableInput):
    """All problems of one recipe at once, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
