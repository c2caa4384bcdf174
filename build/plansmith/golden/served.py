"""Every version that a server has, against the golden answers that the repository keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import manifest
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.findings import ServedCheck
from plansmith.golden import file
from plansmith.golden.check import check_model
from plansmith.golden.evaluation import allowed
from plansmith.integrity.beside import read_served
from plansmith.progress import Step
from plansmith.repository import config_for, version_folders

if TYPE_CHECKING:
    from plansmith_client import Client


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """One version on the server: `found` is None where it was not checked, and `note` says why.

    `version` is None where the server has none of the model.
    """

    model: str
    version: int | None
    found: ServedCheck | None
    note: str
    failed: bool


@dataclass(frozen=True, kw_only=True)
class RepositoryCheck:
    """All models of a repository, in order of name."""

    url: str
    models: tuple[ModelCheck, ...]

    @property
    def is_fine(self) -> bool:
        return not any(one.failed for one in self.models)

    def lines(self) -> list[str]:
        """For people: a table with a line for each version, and what it comes to."""
        head = ("MODEL", "VERSION", "ROWS", "DEVIATION", "ALLOWED", "TOP-1", "")
        rows = [head, *(_cells(one) for one in self.models)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(head) - 1)]
        failed = sum(one.failed for one in self.models)
        checked = sum(one.found is not None for one in self.models)
        return [
            *("  ".join((*map(str.ljust, row, widths), row[-1])).rstrip() for row in rows),
            f"{failed} of {len(self.models)} failed"
            if failed
            else f"{checked} checked, all as they are to be",
        ]


def check_repository(
    client: Client, url: str, repository: Path, target: str, step: Step
) -> RepositoryCheck:
    """The server at `url`, of which `repository` is a copy, with the configs of `target`.

    Versions without golden answers are told of and do not fail; a version that the configs serve
    and the server has not, one that the repository has not, and one that does not answer do.
    Raises PlansmithError where no server is ready there, UnusableInput where nothing has golden
    answers or a file of them is damaged.
    """
    if not client.is_ready():
        raise PlansmithError(f"{url}: no server is ready there; is this its gRPC port?")
    folders = sorted(
        path for path in repository.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    found = [one for folder in folders for one in _check_folder(client, folder, target, step)]
    if not any(one.found or one.failed for one in found):
        raise UnusableInput(
            f"{repository}: no served version has golden answers; `plansmith build` keeps some "
            "with every version"
        )
    return RepositoryCheck(url=url, models=tuple(found))


def check_version(
    client: Client, folder: Path, version: int, target: str, step: Step
) -> ServedCheck:
    """One version of the model in `folder` against its golden answers; it must have some.

    Raises UnusableInput where its files are damaged, and the client's errors.
    """
    place = folder / str(version)
    answers = file.read(place / file.FILE_NAME)
    limit = answers.max_deviation
    if (place / manifest.FILE_NAME).is_file():
        read = manifest.read(place / manifest.FILE_NAME)
        if target in read.targets:
            limit = allowed(answers, read.on(target))
    model = client.model(folder.name, version)
    return check_model(model, answers, step, max_deviation=limit)


def _check_folder(client: Client, folder: Path, target: str, step: Step) -> Iterator[ModelCheck]:
    from plansmith_client import ModelNotFound

    named = [int(one.name) for one in version_folders(folder)]
    wanted = _served_by_config(folder, target, named)
    try:
        served = client.model(folder.name).metadata().versions
    except ModelNotFound:
        served = ()
        if not wanted:
            yield _unchecked(folder, None, "the server has no such model", failed=bool(named))
    for version in sorted({*served, *wanted}):
        if version not in served:
            others = ", ".join(map(str, served)) or "none"
            note = f"not on the server, whose versions are: {others}"
            yield _unchecked(folder, version, note, failed=True)
        elif version not in named:
            yield _unchecked(folder, version, f"not in {folder.parent}", failed=True)
        elif not (folder / str(version) / file.FILE_NAME).is_file():
            yield _unchecked(folder, version, "not checked: no golden answers", failed=False)
        else:
            yield _checked(client, folder, version, target, step)


def _served_by_config(folder: Path, target: str, versions: Sequence[int]) -> tuple[int, ...]:
    config = config_for(folder, target)
    return () if config is None else read_served(folder, config, versions).versions


def _checked(client: Client, folder: Path, version: int, target: str, step: Step) -> ModelCheck:
    from plansmith_client import PlansmithClientError

    try:
        found = check_version(client, folder, version, target, step)
    except PlansmithClientError as error:
        return _unchecked(folder, version, str(error), failed=True)
    return ModelCheck(
        model=folder.name, version=version, found=found, note="", failed=not found.passed
    )


def _unchecked(folder: Path, version: int | None, note: str, *, failed: bool) -> ModelCheck:
    return ModelCheck(model=folder.name, version=version, found=None, note=note, failed=failed)


def _cells(one: ModelCheck) -> tuple[str, ...]:
    version = "-" if one.version is None else str(one.version)
    if one.found is None:
        dashes = ("-", "-", "-", "-")
        return (one.model, version, *dashes, f"FAILED: {one.note}" if one.failed else one.note)
    found = one.found
    agreement = found.top1_agreement
    return (
        *(one.model, version, str(found.count)),
        *(f"{found.max_abs_deviation:.3g}", f"{found.tolerance:.3g}"),
        "-" if agreement is None else f"{agreement:.1%}",
        f"FAILED: {found.fault}" if one.failed else "passed",
    )
