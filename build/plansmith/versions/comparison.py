"""Is a candidate as good as the version that is served? Outcomes of requests → a verdict. Pure.

Three criteria, each with a limit and an interval at 95 %: the share of requests that fail, the
ratio of latencies, and the share of answers that differ. What was seen over the limit fails, what
may still be over it is not proven.

Shadow: both got every request, so all is paired. Errors: the drop of paired answers
(statistics.paired_drop_bound). Latency: the median of the pairs' ratios by order statistics
(statistics.ratio_interval). Canary: each request went to one of them. Errors: the difference of two
shares (two_samples.share_difference_bound). Latency: Hodges and Lehmann's ratio
(two_samples.ratio_interval). Answers that differ, in both: of distinct rows, for the same row sent
again tells nothing new, by the exact bound of a share (statistics.share_bound).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from plansmith import statistics
from plansmith.statistics import CONFIDENCE, Interval
from plansmith.versions import two_samples

Verdict = Literal["pass", "fail", "not proven"]
LATENCY = "latency"
PERCENT = f"{CONFIDENCE:.0%}".replace("%", " %")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a candidate may be worse by: shares 0..1, and a ratio of latencies."""

    max_drift: float
    max_errors: float = 0.01
    max_slowdown: float = 1.1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one request for the row `row`.

    `error` is empty where it was answered; `deviation` is how far the answer is from the one that
    it is compared with, and `differs` whether that is too far. None: there was nothing to compare.
    """

    row: int
    latency_ms: float
    error: str = ""
    deviation: float | None = None
    differs: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One thing that was looked at; `figures` is a sentence."""

    name: str
    verdict: Verdict
    figures: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`way` is how it was done; `served` and `candidate` are how many requests each of them got."""

    way: str
    served: int
    candidate: int
    criteria: tuple[Criterion, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all criteria."""
        verdicts = [one.verdict for one in self.criteria]
        return (
            "fail" if "fail" in verdicts else "not proven" if "not proven" in verdicts else "pass"
        )

    @property
    def figures(self) -> tuple[str, ...]:
        sent = (
            f"{self.way}: {self.served} requests to the served, {self.candidate} to the candidate"
        )
        return (sent, *(f"{one.name}: {one.verdict}: {one.figures}" for one in self.criteria))


def shadow(pairs: Sequence[tuple[Outcome, Outcome]], limits: Limits) -> Comparison:
    """`pairs` are (served, candidate) of the same request; there is at least one."""
    lost = sum(1 for old, new in pairs if new.error and not old.error)
    gained = sum(1 for old, new in pairs if old.error and not new.error)
    count = len(pairs)
    answered = [(old, new) for old, new in pairs if not old.error and not new.error]
    interval = None
    if answered:
        interval = statistics.ratio_interval(
            [new.latency_ms for _, new in answered], [old.latency_ms for old, _ in answered]
        )
    candidate = [new for _, new in pairs]
    return Comparison(
        way="shadow",
        served=count,
        candidate=count,
        criteria=(
            _errors(
                (lost - gained) / count,
                statistics.paired_drop_bound(lost, gained, count),
                limits,
                [old for old, _ in pairs],
                candidate,
            ),
            _latency(interval, len(answered), limits),
            _drift(candidate, limits),
        ),
    )


def canary(
    served: Sequence[Outcome],
    candidate: Sequence[Outcome],
    limits: Limits,
    *,
    way: str,
    timed: tuple[Sequence[Outcome], Sequence[Outcome]] | None,
) -> Comparison:
    """`served` and `candidate` got different requests; each at least one.

    `timed` are those of both whose latencies can be compared, None where there are none yet: of two
    equal versions that get unlike traffic one is the slower.
    """
    old_failed = sum(1 for one in served if one.error)
    new_failed = sum(1 for one in candidate if one.error)
    bound = two_samples.share_difference_bound(new_failed, len(candidate), old_failed, len(served))
    seen = new_failed / len(candidate) - old_failed / len(served)
    return Comparison(
        way=way,
        served=len(served),
        candidate=len(candidate),
        criteria=(
            _errors(seen, bound, limits, served, candidate),
            _canary_latency(timed, limits),
            _drift(candidate, limits),
        ),
    )


def _errors(
    seen: float,
    bound: float,
    limits: Limits,
    served: Sequence[Outcome],
    candidate: Sequence[Outcome],
) -> Criterion:
    limit = limits.max_errors
    new = [one.error for one in candidate if one.error]
    old = [one.error for one in served if one.error]
    example = f", the first: {new[0]}" if new else ""
    return Criterion(
        name="errors",
        verdict=_verdict(seen, bound, limit),
        figures=f"{len(new)} of {len(candidate)} against {len(old)} of {len(served)}: "
        f"{seen:.2%} more, at most {bound:.2%} at {PERCENT}, limit {limit:.2%}{example}",
    )


def _canary_latency(
    timed: tuple[Sequence[Outcome], Sequence[Outcome]] | None, limits: Limits
) -> Criterion:
    if timed is None:
        figures = "is looked at where both get the same traffic"
        return Criterion(name=LATENCY, verdict="not proven", figures=figures)
    old, new = ([one.latency_ms for one in side if not one.error] for side in timed)
    interval = two_samples.ratio_interval(new, old) if old and new else None
    return _latency(interval, min(len(old), len(new)), limits)


def _latency(interval: Interval | None, count: int, limits: Limits) -> Criterion:
    name, limit = LATENCY, limits.max_slowdown
    if interval is None:
        return Criterion(name=name, verdict="fail", figures="no request was answered by both")
    figures = (
        f"{interval.median:.3f} times that of the served version, {interval.low:.3f} to "
        f"{interval.high:.3f} at {interval.confidence:.0%} from {count} requests, limit {limit:g}"
    ).replace("%", " %")
    if interval.confidence < CONFIDENCE or interval.low <= limit < interval.high:
        return Criterion(name=name, verdict="not proven", figures=figures)
    verdict: Verdict = "pass" if interval.high <= limit else "fail"
    return Criterion(name=name, verdict=verdict, figures=figures)


def _drift(candidate: Sequence[Outcome], limits: Limits) -> Criterion:
    name, limit = "answers", limits.max_drift
    compared = [one for one in candidate if one.differs is not None]
    rows = {one.row for one in compared}
    if not rows:
        return Criterion(name=name, verdict="not proven", figures="none could be compared")
    differing = {one.row for one in compared if one.differs}
    bound = statistics.share_bound(len(differing), len(rows))
    deviations = [one.deviation for one in compared if one.deviation is not None]
    largest = f"; largest deviation {max(deviations):.4g}" if deviations else ""
    seen = len(differing) / len(rows)
    return Criterion(
        name=name,
        verdict=_verdict(seen, bound, limit),
        figures=f"{len(differing)} of {len(rows)} rows differ: {seen:.2%}, at most {bound:.2%} at "
        f"{PERCENT}, limit {limit:.2%}{largest}",
    )


def _verdict(seen: float, bound: float, limit: float) -> Verdict:
    return "fail" if seen > limit else "pass" if bound <= limit else "not proven"
