"""How far a variant's answers are from the FP32 original's, on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.statistics import bootstrap_bound, mean_bound, paired_drop_bound, share_bound

# A class or slice of fewer samples is not called the worst: one wrong answer would make it so.
MIN_GROUP = 10
# Where a probability's logarithm ends: far below what a float32 softmax can tell from zero.
SMALLEST_PROBABILITY = 1e-12
# BF16 keeps 8 bits of each probability, so that sums move by half a percent.
SUM_TOLERANCE = 0.02
# Bounds the memory of the float64 working copies, whatever the number of samples.
BLOCK_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class SliceDrop:
    """A group of `count` samples and its drop: of the accuracy where there are labels.

    Without labels `drop` is the share of top-1 answers that differ. It describes these samples:
    with so few of them no bound is given.
    """

    name: str
    count: int
    drop: float


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Top-1 accuracy against labels, shares 0..1; drops are negative where the variant is better.

    `drop_high` is the paired bound from the samples on which only one was right: the original
    (`lost`) or the variant (`gained`). `worst_class` is the class with the largest drop of those
    with at least `MIN_GROUP` samples; it and its figures are None where there is no such class.
    """

    accuracy: float
    original_accuracy: float
    drop: float
    drop_high: float
    lost: int
    gained: int
    worst_class: int | None
    worst_class_drop: float | None
    worst_class_count: int | None


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A variant against the original: shares are 0..1, divergences in nats.

    `expected_top1_drop` is the top-1 accuracy that is lost if the original's own probabilities are
    right: the mean over all samples of p(original's class) - p(variant's class), both taken from
    the original. A flip between two classes the original holds for equally likely costs nothing;
    a flip away from a sure answer costs one. Needs no labels.
    Bounds (`_low`, `_high`) are one-sided at `statistics.CONFIDENCE`. `labelled` and `worst_slice`
    are None where no labels or slices were given, or no slice has `MIN_GROUP` samples.
    """

    count: int
    top1_agreement: float
    top1_agreement_low: float
    expected_top1_drop: float
    expected_top1_drop_high: float
    mean_kl: float
    mean_kl_high: float
    max_abs_deviation: float
    labelled: Labelled | None = None
    worst_slice: SliceDrop | None = None


def compare(
    original: NDArray[Any],
    variant: NDArray[Any],
    *,
    kind: str = "logits",
    labels: NDArray[np.integer[Any]] | None = None,
    slices: Sequence[str] | NDArray[np.str_] | None = None,
) -> Fidelity:
    """`original`, `variant`: floating-point scores [N, classes] of the same N >= 1 samples.

    `kind` is "logits", or "probabilities" where the scores are softmaxed already. `labels`: the
    right classes, integer [N], 0..classes-1. `slices`: the name of each sample's group, N of them.
    KL is that of the variant's probabilities from the original's. Raises ValueError for unlike or
    empty shapes, for a single score per sample, for answers that are not finite or no
    probabilities where they should be, and for labels and slices that do not fit.
    """
    _refuse_unusable(original, variant)
    count, classes = original.shape
    if kind == "probabilities":
        _refuse_no_probabilities("original", original)
        _refuse_no_probabilities("variant", variant)
    elif kind != "logits":
        raise ValueError(f"kind {kind!r} is not logits or probabilities")
    rows = _by_row(original, variant, kind)
    flips = rows.theirs != rows.ours
    lost_by_row = flips.astype(np.int64)
    labelled = None
    if labels is not None:
        _refuse_unfit(labels, count, classes)
        lost_by_row = (rows.theirs == labels).astype(np.int64) - (rows.ours == labels)
        labelled = _label(rows, labels, lost_by_row)
    return Fidelity(
        count=count,
        top1_agreement=1 - int(flips.sum()) / count,
        top1_agreement_low=1 - share_bound(int(flips.sum()), count),
        expected_top1_drop=float(rows.losses.mean()),
        expected_top1_drop_high=mean_bound(rows.losses),
        mean_kl=float(rows.divergences.mean()),
        mean_kl_high=bootstrap_bound(rows.divergences),
        max_abs_deviation=float(rows.deviations.max()),
        labelled=labelled,
        worst_slice=None if slices is None else _worst_slice(slices, lost_by_row),
    )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Figures of each sample, all [N]; `theirs` and `ours` are the top-1 classes."""

    theirs: NDArray[np.int64]
    ours: NDArray[np.int64]
    losses: NDArray[np.float64]
    divergences: NDArray[np.float64]
    deviations: NDArray[np.float64]


def _by_row(original: NDArray[Any], variant: NDArray[Any], kind: str) -> _Rows:
    theirs, ours = original.argmax(axis=1), variant.argmax(axis=1)
    losses, divergences, deviations = np.empty((3, len(original)))
    for start in range(0, len(original), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        one, other = original[block].astype(np.float64), variant[block].astype(np.float64)
        reference, logs = log_probabilities(one, kind), log_probabilities(other, kind)
        probabilities = np.exp(reference)
        at = np.arange(len(one))
        losses[block] = probabilities[at, theirs[block]] - probabilities[at, ours[block]]
        divergences[block] = (probabilities * (reference - logs)).sum(axis=1)
        deviations[block] = np.abs(one - other).max(axis=1)
    return _Rows(
        theirs=theirs, ours=ours, losses=losses, divergences=divergences, deviations=deviations
    )


def log_probabilities(scores: NDArray[np.floating[Any]], kind: str) -> NDArray[np.float64]:
    """Natural logarithms [N, classes] of each row's probabilities; `kind` as in `compare`."""
    scores = scores.astype(np.float64)
    if kind == "logits":
        shifted = scores - scores.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    clipped = np.maximum(scores, SMALLEST_PROBABILITY)
    # Sums are made exact: a divergence of rounded sums could be negative.
    return np.log(clipped / clipped.sum(axis=1, keepdims=True))


def _label(
    rows: _Rows, labels: NDArray[np.integer[Any]], lost_by_row: NDArray[np.int64]
) -> Labelled:
    count = len(labels)
    lost, gained = int((lost_by_row > 0).sum()), int((lost_by_row < 0).sum())
    worst = _worst_group(labels.astype(np.int64), lost_by_row)
    return Labelled(
        accuracy=int((rows.ours == labels).sum()) / count,
        original_accuracy=int((rows.theirs == labels).sum()) / count,
        drop=(lost - gained) / count,
        drop_high=paired_drop_bound(lost, gained, count),
        lost=lost,
        gained=gained,
        worst_class=worst[0] if worst else None,
        worst_class_drop=worst[1] if worst else None,
        worst_class_count=worst[2] if worst else None,
    )


def _worst_slice(
    slices: Sequence[str] | NDArray[np.str_], lost_by_row: NDArray[np.int64]
) -> SliceDrop | None:
    if len(slices) != len(lost_by_row):
        raise ValueError(f"{len(slices)} slice names for {len(lost_by_row)} samples")
    names, groups = np.unique(np.asarray(slices, dtype=np.str_), return_inverse=True)
    worst = _worst_group(groups, lost_by_row)
    return worst and SliceDrop(name=str(names[worst[0]]), drop=worst[1], count=worst[2])


def _worst_group(
    groups: NDArray[np.int64], lost_by_row: NDArray[np.int64]
) -> tuple[int, float, int] | None:
    """(group, drop, samples) of the largest drop in groups of `MIN_GROUP` samples or more."""
    counts = np.bincount(groups)
    losses = np.bincount(groups, weights=lost_by_row)
    drops = np.where(counts >= MIN_GROUP, losses / np.maximum(counts, 1), -np.inf)
    worst = int(drops.argmax())
    return (worst, float(drops[worst]), int(counts[worst])) if counts[worst] >= MIN_GROUP else None


def _refuse_unusable(original: NDArray[Any], variant: NDArray[Any]) -> None:
    if original.shape != variant.shape or original.ndim != 2 or 0 in original.shape:
        raise ValueError(f"unlike or empty answers: {original.shape} against {variant.shape}")
    if original.shape[1] == 1:
        raise ValueError(
            "one score per sample: top-1 needs one column per class; give a model with two classes "
            "an output of two"
        )
    for name, scores in (("original", original), ("variant", variant)):
        if not np.isfinite(scores).all():
            raise ValueError(f"the {name}'s answers hold NaN or infinity")


def _refuse_no_probabilities(name: str, scores: NDArray[Any]) -> None:
    if (scores < 0).any():
        raise ValueError(
            f"the {name}'s answers are no probabilities: {scores.min():.3g} is below 0"
        )
    sums = scores.sum(axis=1, dtype=np.float64)
    off = np.abs(sums - 1)
    if off.max() > SUM_TOLERANCE:
        row = int(off.argmax())
        raise ValueError(
            f"the {name}'s answers are no probabilities: row {row} sums to {sums[row]:.3g}, not 1; "
            "scores before softmax are logits"
        )


def _refuse_unfit(labels: NDArray[Any], count: int, classes: int) -> None:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}, not one integer for each of {count} samples"
        )
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
        raise ValueError(
            f"label {labels[wrong]} of sample {wrong} is outside the classes 0..{classes - 1}"
        )
