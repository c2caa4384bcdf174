"""The candidate beside the served version on a running server, before any caller meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plansmith.errors import UnusableInput
from plansmith.versions import candidate, comparison, replay
from plansmith.versions.comparison import Comparison, Limits, Outcome
from plansmith.versions.control import ModelControl
from plansmith.versions.replay import Ask, Pace
from plansmith.versions.requests import Replay, Sameness

if TYPE_CHECKING:
    from plansmith.repository import ModelFolder
    from plansmith_client import Client

# Where both get the same traffic, so that their latencies can be compared.
EVEN = 0.5


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`share` None is a shadow run, else it is the canary's first share, above 0 and up to EVEN."""

    pace: Pace
    limits: Limits
    sameness: Sameness
    share: float | None = None


def served_version(control: ModelControl, model: str, version: int) -> int:
    """The version that unversioned requests get now; raises UnusableInput where it is no other."""
    versions = control.versions(model)
    if not versions:
        raise UnusableInput(
            f"{control.url}: {model} is not loaded, so there is nothing to compare with; publish "
            "it without --shadow and --canary"
        )
    if versions[-1] == version:
        raise UnusableInput(f"{control.url}: answers with {model} version {version} already")
    return versions[-1]


def run(
    control: ModelControl,
    client: Client,
    folder: ModelFolder,
    version: int,
    target: str,
    requests: Replay,
    plan: Plan,
    tell: Callable[[str], None],
) -> Comparison:
    """Loads `version` under a name of its own, compares it and takes it away again.

    Raises UnusableInput where the served version answers no request: then nothing is told of the
    candidate.
    """
    model = folder.path.name
    old = served_version(control, model, version)
    with candidate.loaded(control, folder, version, target) as name:
        tell(f"version {version} is loaded as {name}, beside version {old}")
        served = replay.asking(client.model(model, old))
        other = replay.asking(client.model(name, version))
        replay.warm_up(requests, (served, other), plan.pace)
        if plan.share is None:
            pairs = replay.send_to_both(requests, served, other, plan.pace, plan.sameness)
            _refuse_dead([one for one, _ in pairs])
            return comparison.shadow(pairs, plan.limits)
        return _canary(served, other, requests, plan, plan.share, tell)


def shares(first: float) -> Iterator[float]:
    """The shares of a canary's steps: doubled each time, then an even one, the last is all."""
    share = first
    while share < EVEN:
        yield share
        share *= 2
    yield EVEN
    yield 1.0


def _canary(
    served: Ask,
    other: Ask,
    requests: Replay,
    plan: Plan,
    first: float,
    tell: Callable[[str], None],
) -> Comparison:
    """Ends at the first step after which what was seen is over a limit."""
    answers = replay.stored_answers(requests, served)
    old, new = list[Outcome](), list[Outcome]()
    timed: tuple[list[Outcome], list[Outcome]] | None = None
    found: Comparison | None = None
    for step, share in enumerate(shares(first)):
        # Rows in another order each time, so that all are sent.
        pace = replace(plan.pace, seed=plan.pace.seed + step)
        to_old, to_new = replay.split(requests, answers, served, other, share, pace, plan.sameness)
        old += to_old
        new += to_new
        if share == EVEN:
            # With less traffic it may seem faster, for it never waits, or slower, for it idles.
            timed = (to_old, to_new)
        _refuse_dead(old)
        found = comparison.canary(
            old, new, plan.limits, way=f"canary up to {share:.0%}".replace("%", " %"), timed=timed
        )
        tell(found.figures[0] + f": {found.verdict}")
        if found.verdict == "fail":
            break
    assert found is not None, "there is at least one share"
    return found


def _refuse_dead(outcomes: list[Outcome]) -> None:
    if outcomes and all(one.error for one in outcomes):
        raise UnusableInput(
            f"the served version answers none of the requests: {outcomes[0].error}; are these "
            "requests of this model?"
        )
