"""Why a tuned value is what it is, from the trials that chose it: comments of a config. Pure."""

from __future__ import annotations

from collections.abc import Collection

from plansmith.figures import figure
from plansmith.manifest import TargetBuild, Trial, rate


def why_chosen(build: TargetBuild) -> str:
    """The variant and the reason it was chosen for, and where and when that was measured."""
    chosen = build.chosen
    return f"{chosen.name} was chosen: {chosen.reason} ({_measured(build)})"


def against(build: TargetBuild, chosen: str, rivals: Collection[str]) -> str | None:
    """The chosen trial's speed beside that of the fastest of the trials called `rivals`.

    `chosen` says what it has that they have not, for instance "2 instances of 1 thread". None where
    either was not measured.
    """
    mine = build.chosen
    others = [one for one in build.trials if one.name in rivals and one.throughput is not None]
    if mine.throughput is None or not others:
        return None
    best = max(others, key=lambda trial: (rate(trial), trial.name))
    return (
        f"{chosen}: {_speed(mine)} samples/s; the fastest otherwise, {best.name}: {_speed(best)} "
        f"({_measured(build)})"
    )


def _speed(trial: Trial) -> str:
    return figure(rate(trial))


def _measured(build: TargetBuild) -> str:
    machine = build.machine
    where = machine.gpu if machine.gpu and build.target != "cpu" else machine.cpu
    return f"{where}, {machine.cores} cores, {build.created_utc[:10]}"
