"""Writes docs/client-reference.md from the client's docstrings: run it when they have changed.

.venv/bin/python docs/reference.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import plansmith_client
from plansmith_client import management

MODULES = (plansmith_client, management)
REFERENCE = Path(__file__).with_name("client-reference.md")
# Twins, whose own docstrings only point at these.
ASYNC = "Async"
LINE_LENGTH = 100
# A docstring's line that begins what it says of an argument or field.
_ITEM = re.compile(r"`\w+`[^.]*: ")
_HEAD = """# Reference of the client

Made from the docstrings by `docs/reference.py`; [client.md](client.md) is the guide. A class named
`Async...` has the methods of the one without it, awaited or for `async for`.
"""


def reference() -> str:
    """The whole page, as Markdown."""
    sections = [_HEAD]
    for module in MODULES:
        sections.append(f"# {module.__name__}\n")
        for name in sorted(module.__all__, key=str.lower):
            if not name.startswith(ASYNC):
                sections.append("\n".join(_section(name, module)))
    return "\n".join(sections)


def _section(name: str, module: ModuleType) -> Iterator[str]:
    yield f"## {name}"
    member = getattr(module, name)
    twin = getattr(module, f"{ASYNC}{name}", None)
    if inspect.isclass(member) and issubclass(member, Exception):
        yield f"A `{member.__mro__[1].__name__}`.\n"
    else:
        yield from _signature(name, member)
    yield from _text(member)
    if twin is not None:
        yield f"For asyncio: `{twin.__name__}`.\n"
    if inspect.isclass(member) and not issubclass(member, Exception):
        for attribute, found in _members(member).items():
            yield from _method(name, attribute, found)


def _members(owner: type) -> dict[str, Any]:
    """Its own and those of the classes of ours that it is made of, each once."""
    ours = [one for one in owner.__mro__ if one.__module__.startswith(plansmith_client.__name__)]
    return {name: member for one in reversed(ours) for name, member in vars(one).items()}


def _method(owner: str, name: str, member: Any) -> Iterator[str]:
    """Of what has a docstring of its own and is meant for callers."""
    is_public = not name.startswith("_") or name == "__call__"
    function = member.fget if isinstance(member, property) else member
    if not is_public or not (inspect.isfunction(function) and function.__doc__):
        return
    shown = "" if name == "__call__" else f".{name}"
    yield f"### {owner}{shown}"
    if not isinstance(member, property):
        yield from _signature(f"{owner.lower()}{shown}", function)
    yield from _text(function)


class _AsWritten:
    """Shown as in the source."""

    def __init__(self, written: object) -> None:
        self._written = written

    def __repr__(self) -> str:
        return str(self._written)


def _signature(name: str, member: Any) -> Iterator[str]:
    try:
        found = inspect.signature(member)
    except ValueError:
        return
    shown = [_shown(one) for one in found.parameters.values() if one.name != "self"]
    given = [str(one) for one in _separated(shown)]
    returned = found.return_annotation
    result = "" if returned in (found.empty, None, "None") else f" -> {returned}"
    line = f"{name}({', '.join(given)}){result}"
    if len(line) > LINE_LENGTH:
        line = f"{name}(\n" + "".join(f"    {one},\n" for one in given) + f"){result}"
    yield f"```text\n{line}\n```"


def _shown(parameter: inspect.Parameter) -> inspect.Parameter:
    """Its annotation as it is written, not as a text; a default that says nothing more, short."""
    default = parameter.default
    if dataclasses.is_dataclass(default) and default == type(default)():
        parameter = parameter.replace(default=_AsWritten(f"{type(default).__name__}()"))
    if parameter.annotation is parameter.empty:
        return parameter
    return parameter.replace(annotation=_AsWritten(parameter.annotation))


def _separated(parameters: list[inspect.Parameter]) -> Iterator[object]:
    """The parameters with the marks between their kinds."""
    before: Any = None
    for one in parameters:
        if before is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            yield "/"
        if one.kind is one.KEYWORD_ONLY and before not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL):
            yield "*"
        yield one
        before = one.kind
    if parameters and before is inspect.Parameter.POSITIONAL_ONLY:
        yield "/"


def _text(member: Any) -> Iterator[str]:
    """The docstring; what it says of each argument is an item of a list."""
    lines = inspect.cleandoc(member.__doc__ or "").splitlines()
    in_item = False
    for line in lines:
        if _ITEM.match(line):
            in_item = True
            yield f"- {line}"
        elif in_item and line and not line.startswith(("Raises ", "The ", "Under ", "Nothing ")):
            yield f"  {line}"
        else:
            if in_item and line:
                yield ""
            in_item = False
            yield line
    yield ""


if __name__ == "__main__":
    REFERENCE.write_text(reference())
    print(REFERENCE)
