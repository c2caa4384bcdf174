"""What identifies data, and the data that a recipe may not be built with. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.data.samples import Samples
from plansmith.errors import UnusableInput
from plansmith.measure import spread_out

# A range of values taken from fewer rows says little of the next row's.
MIN_CALIBRATION = 32
# So many values, of rows evenly spread, are looked at for statistics: more do not change a verdict.
LOOKED_AT = 4_000_000
MIN_LOOKED_AT_ROWS = 16
# Values that stand side by side in a row: |r| of noise is below 0.05 over 10 000 pairs in all but
# one of a million sets (5 standard deviations of 1/sqrt(n)); photos, spectrograms and text are
# above 0.3. Only where the evaluation data is clearly correlated is noise told from data that has
# no order.
NOISE_AT_MOST = 0.05
CLEAR_FROM = 0.2
MIN_PAIRS = 10_000
# Two honest sets of one kind of data differ less than this; unscaled data (0..255 against 0..1)
# differs more.
MAX_MEAN_SHIFT = 1.0
MAX_SPREAD_RATIO = 3.0


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """What a manifest says of data: the digest of its rows, and what they cover.

    `classes` of `class_count` have a labelled row; both are None without labels. `ranges` are the
    lowest and highest value by input. `skipped` are files that could not be decoded.
    """

    sha256: str
    count: int
    classes: int | None
    class_count: int | None
    ranges: dict[str, tuple[float, float]]
    skipped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of one input's values: `correlation` is that of neighbours, None of too few to tell."""

    low: float
    high: float
    mean: float
    spread: float
    correlation: float | None

    def __str__(self) -> str:
        text = f"mean {self.mean:.4g}, spread {self.spread:.4g}, {self.low:.4g}..{self.high:.4g}"
        alike = self.correlation
        return text if alike is None else f"{text}, correlation of neighbours {alike:.3f}"


def describe(
    samples: Samples,
    labels: NDArray[np.int64] | None = None,
    class_count: int | None = None,
    skipped: tuple[str, ...] = (),
) -> DataIdentity:
    """The identity of `samples`; `labels`: int64 [N]. `skipped`: see `Samples.skipped`."""
    return DataIdentity(
        sha256=samples.sha256,
        count=samples.count,
        classes=None if labels is None else len(np.unique(labels)),
        class_count=None if labels is None else class_count,
        ranges={
            name: (float(array.min()), float(array.max())) for name, array in samples.arrays.items()
        },
        skipped=skipped,
    )


def overlap(one: Samples, other: Samples) -> int:
    """How many rows of `one` are in `other` too, byte for byte over all inputs."""
    known = set(_row_digests(other))
    return sum(digest in known for digest in _row_digests(one))


def refuse_overlap(evaluation: Samples, other: Samples, key: str = "data.calibration") -> None:
    """Raises UnusableInput where `evaluation` has rows of `other`, the data of recipe key `key`.

    What a variant was fitted to says nothing of how it answers data it has not seen.
    """
    shared = overlap(other, evaluation)
    if shared:
        raise UnusableInput(
            f"{key}: {shared} of its {other.count} rows are in data.evaluation too: keep the two "
            "apart, or what is measured is not what will be served"
        )


def refuse_unusable_calibration(calibration: Samples, evaluation: Samples) -> None:
    """Raises UnusableInput where value ranges taken from `calibration` would not be `evaluation`'s.

    Refused, with the figures: fewer than MIN_CALIBRATION rows that are distinct and not constant;
    noise (neighbouring values are uncorrelated, the evaluation's are not); and values of another
    scale. Noise of the right mean and spread passes where the evaluation data has no order either.
    """
    key = "data.calibration"
    distinct = len(set(_row_digests(calibration)))
    varied = sum(_varies(calibration, row) for row in range(calibration.count))
    usable = min(distinct, varied)
    if usable < MIN_CALIBRATION:
        raise UnusableInput(
            f"{key}: has {calibration.count} rows, {distinct} of them distinct and {varied} not "
            f"constant; needs {MIN_CALIBRATION} such rows of real data to take value ranges from"
        )
    for name, array in calibration.arrays.items():
        ours, theirs = statistics_of(array), statistics_of(evaluation.arrays[name])
        fault = _fault(ours, theirs)
        if fault is not None:
            raise UnusableInput(
                f"{key}: {name} {fault}: {ours}; data.evaluation has {theirs}; give real data of "
                "the kind that will be served"
            )


def statistics_of(array: NDArray[Any]) -> Statistics:
    """Of LOOKED_AT values or so of `array` [N, ...], but for the range, which is that of all."""
    count = max(MIN_LOOKED_AT_ROWS, LOOKED_AT // array[0].size)
    rows = spread_out(len(array), count)
    looked_at = array[rows].astype(np.float64)
    return Statistics(
        low=float(array.min()),
        high=float(array.max()),
        mean=float(looked_at.mean()),
        spread=float(looked_at.std()),
        correlation=_neighbour_correlation(looked_at),
    )


def _fault(ours: Statistics, theirs: Statistics) -> str | None:
    """What is wrong with calibration values beside those of the evaluation, or None."""
    if ours.correlation is not None and theirs.correlation is not None:
        noisy = abs(ours.correlation) < NOISE_AT_MOST
        if noisy and theirs.correlation > CLEAR_FROM:
            return "looks like noise"
    if theirs.spread == 0:
        return None
    if abs(ours.mean - theirs.mean) > MAX_MEAN_SHIFT * theirs.spread:
        return "has values of another level"
    if not 1 / MAX_SPREAD_RATIO <= ours.spread / theirs.spread <= MAX_SPREAD_RATIO:
        return "has values of another spread"
    return None


def _spatial_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a row of `shape` along which neighbours are alike: not that of channels."""
    if len(shape) < 3:
        return tuple(range(len(shape)))
    channels = len(shape) - 1 if shape[-1] <= 4 else 0
    return tuple(axis for axis in range(len(shape)) if axis != channels)


def _neighbour_correlation(rows: NDArray[np.float64]) -> float | None:
    """Pearson's r of neighbours in `rows` [N, ...], all pairs of all spatial axes together.

    Each row and channel is centred first: a bright row beside a dark one counts for nothing.
    """
    axes = tuple(axis + 1 for axis in _spatial_axes(rows.shape[1:]))
    centred = rows - rows.mean(axis=axes, keepdims=True)
    pairs, products, first, second = 0, 0.0, 0.0, 0.0
    for axis in axes:
        moved = np.moveaxis(centred, axis, 0)
        before, after = moved[:-1], moved[1:]
        pairs += before.size
        products += float((before * after).sum())
        first += float((before * before).sum())
        second += float((after * after).sum())
    if pairs < MIN_PAIRS or first == 0 or second == 0:
        return None
    return products / float(np.sqrt(first * second))


def _row_digests(samples: Samples) -> Iterator[bytes]:
    names = sorted(samples.arrays)
    for row in range(samples.count):
        digest = hashlib.blake2b(digest_size=16)
        for name in names:
            values = samples.arrays[name][row]
            digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
            digest.update(values.tobytes())
        yield digest.digest()


def _varies(samples: Samples, row: int) -> bool:
    """Whether a row's values are not all alike, in any input; one value alone cannot vary."""
    arrays = [array[row] for array in samples.arrays.values()]
    wide = [array for array in arrays if array.size > 1]
    return not wide or any(bool((array != array.flat[0]).any()) for array in wide)
