"""What samples prove, at a confidence: bounds of shares, means and drops, an interval of ratios.

Pure numbers. Every bound is one-sided and on the side of harm: what is still likely at worst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
# Of the jackknife behind `bootstrap_bound`: a skewness needs no more, and the work stays linear.
JACKKNIFE_GROUPS = 200
# As many values are drawn at a time: they stay in the cache.
BLOCK_VALUES = 65_536

# A NumPy reduction such as np.mean: (values [..., N], axis=-1) → [...].
Reduction = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A median and the two-sided interval about it that holds with `confidence` (0..1)."""

    low: float
    median: float
    high: float
    confidence: float


def share_bound(found: int, count: int, confidence: float = CONFIDENCE) -> float:
    """The largest share that `found` of `count` still agrees with at `confidence`, one-sided.

    Exact: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated
    in the case of the binomial" (1934), by bisection on the binomial distribution.
    """
    if not 0 <= found <= count or count == 0:
        raise ValueError(f"{found} of {count} is not a share")
    if found == count:
        return 1.0
    at_most = _chance_of_at_most(found, count)
    return _bisect(lambda share: at_most(share) > 1 - confidence, found / count, 1.0)


def _share_floor(found: int, count: int, confidence: float) -> float:
    """The smallest share that `found` of `count` still agrees with; as `share_bound`."""
    if found == 0:
        return 0.0
    fewer = _chance_of_at_most(found - 1, count)
    return _bisect(lambda share: fewer(share) > confidence, 0.0, found / count)


def _chance_of_at_most(found: int, count: int) -> Callable[[float], float]:
    """The chance of `found` or fewer in `count` draws, as a function of the share (0 < s < 1)."""
    hits = np.arange(found + 1)
    ways = np.array(
        [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in hits]
    )

    def chance(share: float) -> float:
        logs = ways + hits * math.log(share) + (count - hits) * math.log1p(-share)
        return float(np.exp(logs).sum())

    return chance


def mean_bound(values: NDArray[np.float64]) -> float:
    """Upper bound at `CONFIDENCE`, one-sided, of the mean of independent values of at most 1.

    Holds for any number of samples and any distribution, unlike that of the central limit theorem,
    which takes values that were never seen for impossible: W. Hoeffding, "Probability inequalities
    for sums of bounded random variables" (1963), theorem 1, turned round by bisection. Of flips
    alone it is a little wider than the exact bound of their share.
    """
    seen = max(0.0, float(values.mean()))
    limit = -math.log(1 - CONFIDENCE) / len(values)
    return _bisect(lambda mean: _divergence(seen, mean) < limit, seen, 1.0)


def _divergence(seen: float, mean: float) -> float:
    """Relative entropy of two Bernoulli variables with these means (0 <= seen <= mean <= 1)."""
    if mean >= 1:
        return math.inf if seen < 1 else 0.0
    hit = seen * math.log(seen / mean) if seen > 0 else 0.0
    miss = (1 - seen) * math.log((1 - seen) / (1 - mean)) if seen < 1 else 0.0
    return hit + miss


def paired_drop_bound(lost: int, gained: int, count: int, confidence: float = CONFIDENCE) -> float:
    """Upper bound, one-sided, of the drop (lost - gained) / count of paired right answers.

    Of the same `count` samples the original alone was right on `lost`, the variant alone on
    `gained`. It is Tango's score bound (`tango_bound`), but no less than the exact bounds of the
    two shares put together as in G. Y. Zou and A. Donner, "Construction of confidence limits about
    effect measures" (2008): of the score bound alone, at few discordant pairs, 7 % miss the truth
    rather than 5 %. Where no pair is discordant it is `share_bound(0, count)`.
    """
    score = tango_bound(lost, gained, count, confidence)
    above = share_bound(lost, count, confidence) - lost / count
    below = gained / count - _share_floor(gained, count, confidence)
    return min(1.0, max(score, (lost - gained) / count + math.hypot(above, below)))


def tango_bound(lost: int, gained: int, count: int, confidence: float = CONFIDENCE) -> float:
    """As `paired_drop_bound`, by the score alone; z²/(count + z²) where no pair is discordant.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design" (1998): the largest drop that the score test does not reject.
    """
    if min(lost, gained) < 0 or lost + gained > count or count == 0:
        raise ValueError(f"{lost} lost and {gained} gained of {count} samples cannot be")
    z = NormalDist().inv_cdf(confidence)

    def is_possible(drop: float) -> bool:
        # The likeliest share of gained answers given `drop`: the larger root of a quadratic.
        linear = (2 * count - lost + gained) * drop - lost - gained
        root = math.sqrt(linear**2 + 8 * count * gained * drop * (1 - drop))
        gained_share = (root - linear) / (4 * count)
        variance = count * (2 * gained_share + drop * (1 - drop))
        return count * drop - (lost - gained) < z * math.sqrt(max(0.0, variance))

    return _bisect(is_possible, (lost - gained) / count, 1.0)


def bootstrap_bound(
    values: NDArray[np.float64],
    statistic: Reduction = np.mean,
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> float:
    """Upper bound, one-sided, of `statistic` where no closed form is known: `values` is [N].

    `statistic` is one of NumPy's, or takes `axis` as they do.
    BCa: B. Efron, "Better bootstrap confidence intervals" (1987), with a jackknife by groups. The
    same `seed` gives the same bound. It knows nothing of values that were never seen: of a mean
    that rare large ones carry it is too low. Of equal values it is their statistic.
    """
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values of shape {values.shape} are no samples of one quantity")
    seen = float(statistic(values, axis=-1))
    if (values == values[0]).all():
        return seen
    rng = np.random.default_rng(seed)
    size = len(values)
    block = max(1, BLOCK_VALUES // size)
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    drawn = np.concatenate(
        [statistic(values[rng.integers(size, size=(many, size))], axis=-1) for many in sizes]
    )
    below = (np.count_nonzero(drawn < seen) + np.count_nonzero(drawn == seen) / 2) / resamples
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, 1 / resamples), 1 - 1 / resamples))
    shifted = bias + normal.inv_cdf(confidence)
    # Past this the correction would turn round: then all that was drawn lies below the bound.
    shrink = 1 - _acceleration(values, statistic) * shifted
    share = normal.cdf(bias + shifted / shrink) if shrink > 0 else 1.0
    return float(np.quantile(drawn, share))


def _acceleration(values: NDArray[np.float64], statistic: Reduction) -> float:
    """A sixth of the skewness of `statistic`, from what it is without each group of values."""
    groups = min(len(values), JACKKNIFE_GROUPS)
    without = np.array(
        [
            statistic(np.delete(values, slice(start, None, groups)), axis=-1)
            for start in range(groups)
        ]
    )
    pulls = without.mean() - without
    scale = float((pulls**2).sum()) ** 1.5
    return float((pulls**3).sum()) / (6 * scale) if scale > 0 else 0.0


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The median of the ratios of paired positive values, such as two speeds of the same rounds.

    From order statistics, so for any distribution: H. A. David and H. N. Nagaraja, "Order
    Statistics" (2003), section 7.1. It is the narrowest pair that holds at `CONFIDENCE`; of five
    rounds or fewer the whole range, whose confidence is less (93.75 % of five). Raises ValueError
    where the values are no pairs.
    """
    if not numerators or len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} and {len(denominators)} values are no pairs")
    ratios = sorted(a / b for a, b in zip(numerators, denominators, strict=True))
    count = len(ratios)
    cut, outside = 0, 1.0  # `outside`: of 2 ** count ways to fall, those beyond one end
    while 2 * cut + 2 < count:
        more = outside + math.comb(count, cut + 1)
        if 1 - 2 * more / 2**count < CONFIDENCE:
            break
        cut, outside = cut + 1, more
    return Interval(
        low=ratios[cut],
        median=float(np.median(ratios)),
        high=ratios[-1 - cut],
        confidence=1 - 2 * outside / 2**count,
    )


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `is_below` turns from true to false between `low` and `high`."""
    for _ in range(60):
        middle = (low + high) / 2
        if is_below(middle):
            low = middle
        else:
            high = middle
    return high
