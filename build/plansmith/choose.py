"""Which variant is served, and why not each of the others. Pure: figures in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plansmith.compare import Fidelity
from plansmith.manifest import Trial
from plansmith.recipe import Budget

# Below this many samples neither bound of compare.py means much: three hundred is where "no flip
# seen" first proves less than one in a hundred (the rule of three), and where the central limit
# theorem is commonly trusted for skewed values.
MIN_SAMPLES = 300
# Two medians closer than this are the same whatever the rounds say.
TIE_SHARE = 0.03
# Noise excuses no more than this: a median further behind is slower, whatever one round reached.
NOISE_SHARE = 0.10


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the accuracy gate says of one variant."""

    passed: bool
    reason: str


def judge(fidelity: Fidelity, budget: Budget) -> Judgement:
    """Whether `fidelity` keeps `budget` with confidence; the reason carries the figures."""
    if budget.metric == "top1_agreement":
        seen, worst = 1 - fidelity.top1_agreement, 1 - fidelity.top1_agreement_low
        what = "top-1 answers that differ"
    else:
        seen, worst = fidelity.expected_top1_drop, fidelity.expected_top1_drop_high
        what = "expected top-1 drop"
    figures = (
        f"{what} {seen:.3%} on {fidelity.count} samples, at most {worst:.3%} at 95 %, "
        f"budget {budget.max_drop:.3%}"
    )
    if seen > budget.max_drop:
        return Judgement(passed=False, reason=f"over the accuracy budget: {figures}")
    if fidelity.count >= MIN_SAMPLES and worst <= budget.max_drop:
        return Judgement(passed=True, reason=figures)
    need = f"; needs at least {MIN_SAMPLES} samples" if fidelity.count < MIN_SAMPLES else ""
    if budget.accept_not_proven:
        return Judgement(passed=True, reason=f"NOT PROVEN, accepted by the recipe: {figures}{need}")
    return Judgement(
        passed=False,
        reason=f"not proven: {figures}{need}; add evaluation data, or set "
        "budget.accept_not_proven in the recipe",
    )


def choose(trials: Sequence[Trial], budget: Budget) -> tuple[Trial, ...]:
    """`trials` with a verdict and a reason on each candidate; at most one is "chosen".

    A candidate is a trial with a fidelity. It is refused where the accuracy gate says so, or where
    it is slower than its parent, the fastest FP32 variant that passed: one that costs accuracy and
    buys no speed has no use. The speeds in the reasons are against the fastest trial with verdict
    "reference", which is not a way to serve. None chosen means that nothing passed.
    """
    references = [trial for trial in trials if trial.verdict == "reference"]
    reference = max(references, key=_speed)
    faithful = [_gate(trial, budget) for trial in trials]
    parents = [t for t in faithful if t.verdict == "kept" and t.precision == "fp32"]
    parent = max(parents, key=_speed, default=None)
    judged = [_beside(trial, parent) for trial in faithful]
    passed = [trial for trial in judged if trial.verdict == "kept"]
    if not passed:
        return tuple(judged)
    fastest = max(passed, key=_speed)
    ties = [trial for trial in passed if _cannot_be_told_from(fastest, trial)]
    chosen = min(ties, key=lambda trial: (trial.batch_size, trial.latency.p50_ms))
    return tuple(_rank(trial, chosen, reference, fastest) for trial in judged)


def _cannot_be_told_from(fastest: Trial, trial: Trial) -> bool:
    """Whether noise alone may set `trial` behind: one of its rounds was as fast as the fastest is.

    On a machine that others share, the one that happened to be fastest would be chosen by chance.
    Of those that may be, the smaller batch and then the lower latency of one request is better.
    """
    behind = 1 - _speed(trial) / _speed(fastest)
    reaches = trial.throughput.high_per_s >= _speed(fastest)
    return behind <= TIE_SHARE or (reaches and behind <= NOISE_SHARE)


def _speed(trial: Trial) -> float:
    return trial.throughput.median_per_s


def _gate(trial: Trial, budget: Budget) -> Trial:
    if trial.fidelity is None:
        return trial
    judgement = judge(trial.fidelity, budget)
    verdict = "kept" if judgement.passed else "refused"
    return replace(trial, verdict=verdict, reason=judgement.reason)


def _beside(trial: Trial, parent: Trial | None) -> Trial:
    if trial.verdict != "kept" or parent is None or trial.precision == parent.precision:
        return trial
    if (ratio := _speed(trial) / _speed(parent)) >= 1:
        return trial
    return replace(
        trial,
        verdict="refused",
        reason=f"slower than {parent.name}, its FP32 parent: {ratio:.2f}x its throughput",
    )


def _rank(trial: Trial, chosen: Trial, reference: Trial, fastest: Trial) -> Trial:
    if trial.verdict != "kept":
        return trial
    speed = _speed(trial)
    speedup = f"{speed / _speed(reference):.2f}x {reference.name}"
    if trial.name == chosen.name:
        how = "fastest"
        if trial.name != fastest.name:
            how = f"as fast as {fastest.name} within noise, smaller batch or lower latency"
        return replace(trial, verdict="chosen", reason=f"{how}: {speedup}; {trial.reason}")
    behind = 1 - speed / _speed(chosen)
    slower = f"{behind:.0%} slower than" if behind > 0 else "larger batch or latency than"
    return replace(trial, reason=f"{slower} {chosen.name}; {speedup}; {trial.reason}")
