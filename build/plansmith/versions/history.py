"""What became of every version: when it was built, what was chosen by which figures, who serves it.

From the versions' manifests, the configs and history.jsonl. Pure but for reading these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plansmith.figures import figure, megabytes, percent
from plansmith.manifest import TargetBuild
from plansmith.repository import ModelFolder
from plansmith.versions import events
from plansmith.versions.disk import reading
from plansmith.versions.events import Event


@dataclass(frozen=True, kw_only=True)
class ChosenVariant:
    """What a target of a version serves, with what it was chosen for; None: not measured.

    `top1_agreement` is that with FP32, a share.
    """

    target: str
    variant: str
    throughput_per_s: float | None
    p50_ms: float | None
    top1_agreement: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class VersionHistory:
    """One version, or what is told of one whose files are gone: then `is_there` is false.

    `served_by` are the config files that may serve it. `replaced_by` is what came in its place the
    last time, None for what is served or never was.
    """

    version: int
    created_utc: str | None
    chosen: tuple[ChosenVariant, ...]
    size_bytes: int
    served_by: tuple[str, ...]
    replaced_by: int | None
    is_there: bool
    is_held: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, kw_only=True)
class ModelHistory:
    """A model's versions, newest first."""

    model: str
    versions: tuple[VersionHistory, ...]


def of(folder: ModelFolder) -> ModelHistory:
    """The history of the model in `folder`; raises UnusableInput for what cannot be read."""
    happened = [one for one in events.read(folder.path) if one.kind != "admitting"]
    with reading(folder.path):
        there, served, held = set(folder.versions()), folder.served(), events.held(happened)
        known = sorted({*there, *(one.version for one in happened)}, reverse=True)
        return ModelHistory(
            model=folder.path.name,
            versions=tuple(
                _version(folder, version, happened, served, held, is_there=version in there)
                for version in known
            ),
        )


def lines(found: ModelHistory) -> list[str]:
    """For people: a paragraph for each version."""
    told: list[str] = []
    for one in found.versions:
        told.append(f"{found.model} version {one.version}: {_state(one)}")
        if one.is_there:
            built = one.created_utc or "by another plansmith"
            told.append(f"  built {built}, {megabytes(one.size_bytes)} MB")
        told += [f"  {_reason(chosen)}" for chosen in one.chosen]
        told += [f"  {line}" for event in one.events for line in _told(event)]
    return told or [f"{found.model}: no version has been built"]


def _state(one: VersionHistory) -> str:
    if not one.is_there:
        return "removed"
    if one.served_by:
        return f"served by {', '.join(one.served_by)}"
    held = "held back" if one.is_held else "not served"
    return held if one.replaced_by is None else f"{held}, replaced by version {one.replaced_by}"


def _reason(chosen: ChosenVariant) -> str:
    known = (
        (chosen.throughput_per_s, f"{figure(chosen.throughput_per_s)} items/s"),
        (chosen.p50_ms, f"p50 {figure(chosen.p50_ms)} ms"),
        (chosen.top1_agreement, f"{percent(chosen.top1_agreement)} top-1 as FP32"),
    )
    figures = [text for value, text in known if value is not None]
    return f"{chosen.target}: {', '.join([chosen.variant, *figures])}: {chosen.reason}"


def _told(event: Event) -> list[str]:
    what = f"{event.kind}: version {event.version}"
    if event.replaced is not None:
        what += f" instead of {event.replaced}"
    why = f": {event.reason}" if event.reason else ""
    return [f"{event.at_utc} {what}{why}", *(f"  {line}" for line in event.figures)]


def _version(
    folder: ModelFolder,
    version: int,
    happened: Sequence[Event],
    served: dict[str, tuple[int, ...]],
    held: frozenset[int],
    *,
    is_there: bool,
) -> VersionHistory:
    found = folder.manifest_if_ours(version) if is_there else None
    served_by = tuple(name for name, versions in served.items() if version in versions)
    replacing = [one.version for one in happened if one.replaced == version]
    return VersionHistory(
        version=version,
        created_utc=found and found.created_utc,
        chosen=tuple(_chosen(build) for build in found.builds) if found else (),
        size_bytes=_size(folder, version) if is_there else 0,
        served_by=served_by if is_there else (),
        replaced_by=replacing[-1] if replacing and not served_by else None,
        is_there=is_there,
        is_held=version in held,
        events=tuple(one for one in happened if version in (one.version, one.replaced)),
    )


def _chosen(build: TargetBuild) -> ChosenVariant:
    trial = build.chosen
    return ChosenVariant(
        target=build.target,
        variant=trial.name,
        throughput_per_s=trial.throughput.median_per_s if trial.throughput else None,
        p50_ms=trial.latency.p50_ms if trial.latency else None,
        top1_agreement=trial.fidelity.top1_agreement if trial.fidelity else None,
        reason=trial.reason,
    )


def _size(folder: ModelFolder, version: int) -> int:
    place = folder.path / str(version)
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
