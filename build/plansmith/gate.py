"""The accuracy gate: whether a variant's fidelity keeps the recipe's budget, provably. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plansmith.compare import Fidelity
from plansmith.recipe import Budget

# Below this many samples no bound means much: three hundred is where "no flip seen" first proves
# less than one in a hundred (the rule of three), and where the central limit theorem is commonly
# trusted for skewed values.
MIN_SAMPLES = 300


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the accuracy gate says of one variant."""

    passed: bool
    reason: str


def judge(fidelity: Fidelity, budget: Budget) -> Judgement:
    """Whether `fidelity` keeps all limits of `budget` with confidence; the reason has the figures.

    Of `max_deviation` only the samples can be told: it has no bound beyond them.
    """
    if budget.metric == "top1" and fidelity.labelled is None:
        return Judgement(passed=False, reason="not proven: budget.metric top1 needs data.labels")
    limits = list(_limits(fidelity, budget))
    figures = "; ".join([*(limit.figures for limit in limits), *_worst_groups(fidelity)])
    if any(limit.seen > limit.budget for limit in limits):
        return Judgement(passed=False, reason=f"over the accuracy budget: {figures}")
    is_enough = fidelity.count >= MIN_SAMPLES
    if is_enough and all(limit.high <= limit.budget for limit in limits):
        return Judgement(passed=True, reason=figures)
    need = "" if is_enough else f"; needs at least {MIN_SAMPLES} samples"
    if budget.accept_not_proven:
        return Judgement(passed=True, reason=f"NOT PROVEN, accepted by the recipe: {figures}{need}")
    return Judgement(
        passed=False,
        reason=f"not proven: {figures}{need}; add evaluation data, or set "
        "budget.accept_not_proven in the recipe",
    )


@dataclass(frozen=True, kw_only=True)
class _Limit:
    """One limit of the budget: what was `seen` and is still likely at worst (`high`)."""

    seen: float
    high: float
    budget: float
    figures: str


def _limits(fidelity: Fidelity, budget: Budget) -> Iterator[_Limit]:
    what, seen, high = _metric(fidelity, budget.metric)
    yield _Limit(
        seen=seen,
        high=high,
        budget=budget.max_drop,
        figures=f"{what} {seen:.3%} on {fidelity.count} samples, at most {high:.3%} at 95 %, "
        f"budget {budget.max_drop:.3%}",
    )
    if budget.max_kl is not None:
        yield _Limit(
            seen=fidelity.mean_kl,
            high=fidelity.mean_kl_high,
            budget=budget.max_kl,
            figures=f"mean KL {fidelity.mean_kl:.4g} nats, at most {fidelity.mean_kl_high:.4g} "
            f"at 95 %, budget {budget.max_kl:.4g}",
        )
    if budget.max_deviation is not None:
        seen = fidelity.max_abs_deviation
        yield _Limit(
            seen=seen,
            high=seen,
            budget=budget.max_deviation,
            figures=f"largest deviation {seen:.4g}, budget {budget.max_deviation:.4g}",
        )


def _metric(fidelity: Fidelity, metric: str) -> tuple[str, float, float]:
    """What the budget's metric is called, what was seen of it, and its bound."""
    if metric == "top1" and (found := fidelity.labelled):
        what = (
            f"top-1 accuracy from {found.original_accuracy:.3%} to {found.accuracy:.3%} "
            f"({found.lost} lost, {found.gained} gained), a drop of"
        )
        return what, found.drop, found.drop_high
    if metric == "top1_agreement":
        seen, high = 1 - fidelity.top1_agreement, 1 - fidelity.top1_agreement_low
        return "top-1 answers that differ", seen, high
    return "expected top-1 drop", fidelity.expected_top1_drop, fidelity.expected_top1_drop_high


def _worst_groups(fidelity: Fidelity) -> Iterator[str]:
    found, group = fidelity.labelled, fidelity.worst_slice
    if found and found.worst_class is not None:
        drop, count = found.worst_class_drop, found.worst_class_count
        yield f"worst class {found.worst_class}: {drop:.3%} of {count} samples"
    if group:
        yield f"worst slice {group.name}: {group.drop:.3%} of {group.count} samples"
