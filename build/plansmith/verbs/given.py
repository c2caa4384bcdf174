"""What a verb's arguments name, found on this machine; and how a verb shows its findings."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from plansmith.errors import UnusableInput
from plansmith.versions.disk import reading

if TYPE_CHECKING:
    from plansmith.server import Ports
    from plansmith.server_files import ServerFiles


def with_recipe(repository: Path, models: list[str]) -> list[Path]:
    """The folders of `models`, or of all that have a recipe."""
    if models:
        return [repository / name for name in models]
    folders = _with_recipe(repository)
    if not folders:
        raise UnusableInput(f"{repository}: no model has a recipe there (MODEL/recipe.toml)")
    return folders


def _with_recipe(repository: Path) -> list[Path]:
    if not repository.is_dir():
        return []
    # Not by glob, which passes over what it may not read.
    with reading(repository):
        return sorted(one for one in repository.iterdir() if (one / "recipe.toml").exists())


def published(repository: Path, models: list[str]) -> list[Path]:
    """The folders of `models`, or of all that a server would load: a recipe is not needed."""
    if not repository.is_dir():
        raise UnusableInput(f"{repository}: no such folder; run `plansmith build`")
    with reading(repository):
        there = sorted(m for m in repository.iterdir() if m.is_dir() and not m.name.startswith("."))
    if not there:
        raise UnusableInput(f"{repository}: no model in it; run `plansmith build`")
    wanted = [repository / name for name in dict.fromkeys(models)] if models else there
    known = ", ".join(folder.name for folder in there)
    missing = [f"{one}: no such model; there are {known}" for one in wanted if one not in there]
    if missing:
        raise UnusableInput("\n".join(missing))
    return wanted


def server_files(cache: Path) -> ServerFiles:
    """The embedded server; raises LacksSomething where it is not installed."""
    from plansmith import places
    from plansmith.cache import Cache
    from plansmith.server_files import assemble, find_environment

    return assemble(find_environment(), places.backends(), Cache(root=cache))


def chosen_ports(arguments: Namespace) -> Ports:
    """Those of options.ports."""
    from plansmith.server import Ports

    return Ports(http=arguments.http_port, grpc=arguments.grpc_port, metrics=arguments.metrics_port)


def raise_interrupt(_number: int, _frame: object) -> None:
    """A signal handler that ends a verb as Ctrl-C does."""
    raise KeyboardInterrupt


class Found(Protocol):
    """What a verb that looks for faults came to: a frozen dataclass, so that it becomes JSON."""

    @property
    def is_fine(self) -> bool: ...

    def lines(self) -> list[str]: ...


def show(found: Found, *, as_json: bool) -> int:
    """Prints `found`, for people or as JSON; 0 where all is fine, else 1."""
    if as_json:
        print_json(found)
    else:
        print("\n".join(found.lines()))
    return 0 if found.is_fine else 1


def print_json(value: object) -> None:
    """Prints `value`, frozen dataclasses and what JSON knows, as indented JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
