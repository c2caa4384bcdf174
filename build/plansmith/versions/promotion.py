"""Serving another version: its configs on the disk, then the running server, or neither.

What serves a version are the config files that it keeps. They are put in place first, each by one
rename; a server that is told to load the model reads them, brings up the new version and only then
lets the old one go. Where it refuses, the old files are put back and the old version has never
been away.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import manifest
from plansmith.config.version_policy import versions_named
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.repository import ModelFolder
from plansmith.versions import events
from plansmith.versions.control import LoadRefused, ModelControl
from plansmith.versions.disk import disk_errors, reading, replace_text
from plansmith.versions.events import Event, Kind

if TYPE_CHECKING:
    from plansmith.integrity.version import Demand


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """`version` is served by the files `configs` now, instead of `replaced` (None: of nothing).

    `url` is the running server that answers with it, None where none was told.
    """

    model: str
    version: int
    replaced: int | None
    configs: tuple[str, ...]
    url: str | None

    def line(self) -> str:
        """For people."""
        instead = "" if self.replaced is None else f" instead of version {self.replaced}"
        where = "" if self.url is None else f"; ready at {self.url}"
        return f"{self.model}: version {self.version} is served{instead}{where}"


def newest(folder: ModelFolder) -> int:
    """The newest complete version.

    Raises UnusableInput where there is none, and where it was rolled back from, refused, or never
    checked to the end: who wants it all the same says its number.
    """
    with reading(folder.path):
        version = max(complete(folder), default=None)
    if version is None:
        raise UnusableInput(f"{folder.path}: no version has been built; run `plansmith build`")
    for event in reversed(events.read(folder.path)):
        if event.kind == "refused" and event.version == version:
            raise _is_held(folder, version, "was refused", event)
        if event.kind == "rolled back" and event.replaced == version:
            raise _is_held(folder, version, f"was rolled back to {event.version}", event)
        if event.kind == "admitting" and event.version == version:
            what = "was left by a build that stopped while it was checking it"
            raise _is_held(folder, version, what, event)
        if event.version == version:
            break
    return version


def _is_held(folder: ModelFolder, version: int, what: str, event: Event) -> UnusableInput:
    why = f" ({event.reason})" if event.reason else ""
    return UnusableInput(
        f"{folder.path}: version {version} {what} at {event.at_utc}{why}; "
        f"to serve it all the same say --version {version}"
    )


def previous(folder: ModelFolder) -> int:
    """The version to roll back to: the one that the served one replaced, else the one before it.

    Versions that were rolled back from or refused themselves are passed over. Raises UnusableInput
    where nothing is served, and where there is no such version.
    """
    with reading(folder.path):
        current, found = folder.current, complete(folder)
    if current is None:
        raise UnusableInput(f"{folder.path}: no version is served; run `plansmith publish`")
    happened = events.read(folder.path)
    held = events.held(happened)
    others = [one for one in found if one not in held and one != current]
    for event in reversed(happened):
        if event.version == current and event.replaced in others:
            return event.replaced
    before = [one for one in others if one < current]
    if not before:
        raise UnusableInput(
            f"{folder.path}: there is no version to go back to from {current}; complete are "
            f"{', '.join(map(str, found))}: say which with --to"
        )
    return max(before)


def complete(folder: ModelFolder) -> tuple[int, ...]:
    """The complete versions of this plansmith's schema, ascending."""
    return tuple(version for version in folder.versions() if folder.targets(version))


def check(folder: ModelFolder, version: int, demand: Demand) -> dict[str, str]:
    """The config files that serve `version`, text by path in the model's folder.

    Raises UnusableInput where there is no such version or it cannot be served again, and
    PlansmithError, with every fault, where its files are not as they were published.
    """
    from plansmith.integrity.version import check_version

    place = folder.path / str(version)
    with reading(folder.path):
        there = folder.versions()
        faults = check_version(place, demand).faults if version in there else ()
    if version not in there:
        known = ", ".join(map(str, there)) or "none"
        raise UnusableInput(f"{folder.path}: has no version {version}; there are {known}")
    if faults:
        told = [f"{place}/{one.file}: {one.message}" for one in faults]
        raise PlansmithError("\n".join([*told, "nothing was changed, what is served stays"]))
    texts = folder.kept_configs(version)
    for name, text in texts.items():
        for other in versions_named(text) or ():
            if not (folder.path / str(other) / manifest.FILE_NAME).is_file():
                raise UnusableInput(
                    f"{place}/{name}: serves version {other} too, which is gone; build again"
                )
    return texts


def promote(
    folder: ModelFolder,
    version: int,
    texts: Mapping[str, str],
    control: ModelControl | None,
    *,
    kind: Kind,
    reason: str = "",
    figures: Sequence[str] = (),
) -> Promoted:
    """Serves `version` by its configs `texts`, as `check` gives them; call it holding the lock.

    With `control` the server loads the model, and this returns when the version is ready there.
    Raises PlansmithError where the disk or the server fails; then all is as it was before. Where
    the server cannot load the version, what it goes on answering with is what the configs serve.
    """
    model = folder.path.name
    with reading(folder.path):
        replaced = folder.current
    fallback: Mapping[str, str] = {}
    if control is not None and replaced == version:
        # Built, so that the configs name it already, but not loaded yet.
        answering = [one for one in control.versions(model) if one != version]
        replaced = max(answering, default=None)
        fallback = _kept(folder, replaced)
    with _all_or_nothing(folder, version, texts, control, fallback):
        with disk_errors(folder.path, "what was served before stays"):
            for name, text in texts.items():
                if _content(folder.path / name) != text:
                    replace_text(folder.path / name, text)
        if control is not None:
            control.load(model)
            control.wait_ready(model, version)
    replaced = None if replaced == version else replaced
    loaded = "" if control is None else f"loaded at {control.url}"
    told = "; ".join(part for part in (reason, loaded) if part)
    with disk_errors(folder.path, "the version is served, but its history lacks that"):
        event = events.now(kind, version, replaced=replaced, reason=told, figures=figures)
        events.append(folder.path, event)
    return Promoted(
        model=model,
        version=version,
        replaced=replaced,
        configs=tuple(texts),
        url=None if control is None else control.url,
    )


def refuse(
    folder: ModelFolder, version: int, served: int, *, reason: str, figures: Sequence[str]
) -> None:
    """Holds `version` back; configs that name it serve `served` again. Call it with the lock."""
    with disk_errors(folder.path, "the version is not served by the running server"):
        events.append(folder.path, events.now("refused", version, reason=reason, figures=figures))
        if folder.current == version:
            for name, text in _kept(folder, served).items():
                _put_back(folder.path / name, text)


def _kept(folder: ModelFolder, version: int | None) -> Mapping[str, str]:
    """The configs that served `version`; none of one that is not there or kept none."""
    if version is None or version not in complete(folder):
        return {}
    with suppress(UnusableInput):
        return folder.kept_configs(version)
    return {}


@contextmanager
def _all_or_nothing(
    folder: ModelFolder,
    version: int,
    names: Iterable[str],
    control: ModelControl | None,
    fallback: Mapping[str, str],
) -> Generator[None, None, None]:
    """What is raised inside leaves the configs `names` as they were, and the server with them.

    Where the server refuses the version, that is told in the history, and the configs become those
    of `fallback` if there are any.
    """
    before = {name: _content(folder.path / name) for name in names}
    try:
        yield
    except BaseException as error:
        refused = isinstance(error, LoadRefused)
        texts = before | {name: text for name, text in fallback.items() if refused}
        with disk_errors(folder.path, "configs of both versions are in place now"):
            for name, text in texts.items():
                _put_back(folder.path / name, text)
            if refused:
                why = str(error)
                events.append(folder.path, events.now("refused", version, reason=why))
        if control is None:
            raise
        # The load may have gone through all the same; else this one changes nothing.
        with suppress(PlansmithError):
            control.load(folder.path.name)
        if isinstance(error, PlansmithError):
            stays = _answering(control, folder.path.name)
            raise type(error)(
                f"{error}; the configs serve what they did, and {stays} at {control.url}"
            ) from error
        raise


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{path}: cannot be read: {error}; remove it and try again") from error


def _put_back(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    elif _content(path) != text:
        replace_text(path, text)


def _answering(control: ModelControl, model: str) -> str:
    try:
        versions = control.versions(model)
    except PlansmithError:
        return "nothing answers"
    return f"version {', '.join(map(str, versions))} answers" if versions else "nothing answers"
