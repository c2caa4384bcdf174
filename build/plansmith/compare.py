"""How far a variant's answers are from the FP32 original's, on the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A variant against the original: shares are 0..1, divergences in nats.

    `expected_top1_drop` is the top-1 accuracy that is lost if the original's own probabilities are
    right: the mean over all samples of p(original's class) - p(variant's class), both taken from
    the original. A flip between two classes the original holds for equally likely costs nothing;
    a flip away from a sure answer costs one. Needs no labels.
    The two bounds are one-sided at `CONFIDENCE`.
    """

    count: int
    top1_agreement: float
    top1_agreement_low: float
    expected_top1_drop: float
    expected_top1_drop_high: float
    mean_kl: float
    max_abs_deviation: float


def compare_logits(original: NDArray[np.float32], variant: NDArray[np.float32]) -> Fidelity:
    """`original`, `variant`: logits [N, classes] of the same N >= 1 samples in the same order.

    KL is that of the variant's softmax from the original's. Raises ValueError for unlike or
    empty shapes and for answers that are not finite: such a variant has no fidelity.
    """
    if original.shape != variant.shape or original.ndim != 2 or 0 in original.shape:
        raise ValueError(f"unlike or empty answers: {original.shape} against {variant.shape}")
    for name, logits in (("original", original), ("variant", variant)):
        if not np.isfinite(logits).all():
            raise ValueError(f"the {name}'s answers hold NaN or infinity")
    reference, other = _log_softmax(original), _log_softmax(variant)
    probabilities = np.exp(reference)
    divergences = (probabilities * (reference - other)).sum(axis=1)
    deviations = np.abs(original.astype(np.float64) - variant.astype(np.float64))
    rows = np.arange(len(original))
    theirs, ours = original.argmax(axis=1), variant.argmax(axis=1)
    losses = probabilities[rows, theirs] - probabilities[rows, ours]
    flips = int((theirs != ours).sum())
    return Fidelity(
        count=len(original),
        top1_agreement=1 - flips / len(original),
        top1_agreement_low=1 - share_bound(flips, len(original)),
        expected_top1_drop=float(losses.mean()),
        expected_top1_drop_high=mean_bound(losses),
        mean_kl=float(divergences.mean()),
        max_abs_deviation=float(deviations.max()),
    )


def share_bound(found: int, count: int) -> float:
    """The largest share that `found` of `count` still agrees with at `CONFIDENCE`, one-sided.

    Exact: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated
    in the case of the binomial" (1934), by bisection on the binomial distribution.
    """
    if not 0 <= found <= count or count == 0:
        raise ValueError(f"{found} of {count} is not a share")
    if found == count:
        return 1.0
    low, high = found / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(found, count, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(found: int, count: int, share: float) -> float:
    """The chance of `found` or fewer in `count` draws at `share` (0 < share < 1)."""
    log_terms = (
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(share)
        + (count - k) * math.log1p(-share)
        for k in range(found + 1)
    )
    return math.fsum(math.exp(term) for term in log_terms)


def mean_bound(values: NDArray[np.float64]) -> float:
    """Upper bound at `CONFIDENCE`, one-sided, of the mean of independent values of at most 1.

    Holds for any number of samples and any distribution, unlike that of the central limit theorem,
    which takes values that were never seen for impossible: W. Hoeffding, "Probability inequalities
    for sums of bounded random variables" (1963), theorem 1, turned round by bisection. Of flips
    alone it is a little wider than the exact bound of their share.
    """
    seen = max(0.0, float(values.mean()))
    limit = -math.log(1 - CONFIDENCE) / len(values)
    low, high = seen, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _divergence(seen, middle) < limit:
            low = middle
        else:
            high = middle
    return high


def _divergence(seen: float, mean: float) -> float:
    """Relative entropy of two Bernoulli variables with these means (0 <= seen <= mean < 1)."""
    hit = seen * math.log(seen / mean) if seen > 0 else 0.0
    miss = (1 - seen) * math.log((1 - seen) / (1 - mean)) if seen < 1 else 0.0
    return hit + miss


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
