"""Evidence of a run → pass, fail or unclear, with the reason. Pure.

In this order: too many failures fail; a p99 interval (95 %) below the SLO passes, one above
fails, anything else is unclear. A failure that the load generator itself may have caused is
unclear. A pass stands even where the generator was late: its lateness only adds to latency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from load_histogram import samples_needed
from load_tally import NOT_SENT

# Locust runs on one thread: from here on it, not the server, sets the pace.
SATURATED_SHARE = 0.9
QUEUED_SHARE_TOLD = 0.01
EXIT_CODES = {"pass": 0, "fail": 1, "unclear": 4}


@dataclass(frozen=True, kw_only=True)
class Generator:
    """The load generator's own health while it measured.

    `late_p99_ms`: p99 of how late its timers fired. `busy_share`: CPU time of its thread over
    wall time, 0..1, the largest of all workers. `missing_workers`: workers with no last report.
    """

    late_p99_ms: float = 0.0
    busy_share: float = 0.0
    missing_workers: int = 0

    @property
    def saturated(self) -> bool:
        return self.busy_share >= SATURATED_SHARE


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a verdict is given on. `queued`: requests of an open loop that waited for a free user.
     `p99_bounds_ms`: the interval's ends, the upper one None where
    there are too few answers for it; None where nothing succeeded.
    """

    succeeded: int
    queued: int
    failures: Mapping[str, int]
    p99_bounds_ms: tuple[float, float | None] | None
    slo_p99_ms: float
    max_error_share: float
    duration_s: float
    generator: Generator

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


@dataclass(frozen=True, kw_only=True)
class Verdict:
    verdict: Literal["pass", "fail", "unclear"]
    reason: str


def judge(evidence: Evidence) -> Verdict:
    """The verdict; its reason is one line, and where unclear it says what to do."""
    counted = evidence.succeeded + evidence.failed
    if counted == 0:
        return _unclear("no request fell into the measured time: measure longer (--duration-s)")
    if evidence.failed > evidence.max_error_share * counted:
        return _judge_failures(evidence, counted)
    if missing := evidence.generator.missing_workers:
        return _unclear(f"{missing} of Locust's workers sent no last report: run again")
    if evidence.p99_bounds_ms is None:
        return _unclear("no request succeeded, so there is no latency")
    return _judge_p99(evidence, evidence.p99_bounds_ms, evidence.slo_p99_ms)


def _judge_failures(evidence: Evidence, counted: int) -> Verdict:
    share = evidence.failed / counted
    reason = (
        f"{evidence.failed} of {counted} requests failed ({share:.2%}, allowed "
        f"{evidence.max_error_share:.2%}): {_kinds(evidence.failures)}"
    )
    if set(evidence.failures) == {NOT_SENT} and evidence.generator.saturated:
        return _unclear(f"{reason}; {_saturated(evidence.generator)}")
    return Verdict(verdict="fail", reason=f"{reason}{_queued(evidence)}")


def _judge_p99(evidence: Evidence, bounds_ms: tuple[float, float | None], slo_ms: float) -> Verdict:
    low_ms, high_ms = bounds_ms
    generator = evidence.generator
    between = f"at least {low_ms:.1f}" if high_ms is None else f"{low_ms:.1f} to {high_ms:.1f}"
    p99 = f"p99 is {between} ms (95 %)"
    if high_ms is not None and high_ms <= slo_ms:
        return Verdict(verdict="pass", reason=f"{p99}, within {slo_ms:g} ms; {_failures(evidence)}")
    if low_ms > slo_ms:
        above = f"{p99}, above {slo_ms:g} ms"
        if generator.saturated:
            return _unclear(f"{above}; {_saturated(generator)}")
        if low_ms - generator.late_p99_ms <= slo_ms:
            return _unclear(
                f"{above}, but the load generator's own timers were {generator.late_p99_ms:.1f} ms "
                "late (p99): give it a machine of its own"
            )
        return Verdict(verdict="fail", reason=f"{above}{_queued(evidence)}")
    if high_ms is None:
        needed = samples_needed(0.99)
        longer_s = math.ceil(evidence.duration_s * 1.1 * needed / max(1, evidence.succeeded))
        return _unclear(
            f"{evidence.succeeded} answers are too few for a p99, {needed} are needed: "
            f"--duration-s {longer_s}"
        )
    # The interval narrows with the square root of the number of answers: four times, half as wide.
    return _unclear(
        f"{p99}, on both sides of {slo_ms:g} ms: measure longer "
        f"(--duration-s {math.ceil(4 * evidence.duration_s)}) or on a quieter machine"
    )


def _unclear(reason: str) -> Verdict:
    return Verdict(verdict="unclear", reason=f"too noisy to tell: {reason}")


def _saturated(generator: Generator) -> str:
    return (
        f"the load generator itself was busy {generator.busy_share:.0%} of the time: "
        "spread it over more workers (--processes)"
    )


def _queued(evidence: Evidence) -> str:
    """Said with a failure: a server that can take more at once may not have been allowed to."""
    share = evidence.queued / (evidence.succeeded + evidence.failed)
    if share < QUEUED_SHARE_TOLD:
        return ""
    return f"; {share:.0%} of the requests first waited, with --max-in-flight others unanswered"


def _failures(evidence: Evidence) -> str:
    if not evidence.failed:
        return "no failures"
    return f"{evidence.failed} failures are within the allowed share"


def _kinds(failures: Mapping[str, int]) -> str:
    most_first = sorted(failures.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count} {kind}" for kind, count in most_first)
