"""Evaluation samples through a running server against the FP32 reference's answers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from plansmith.compare import Fidelity
from plansmith.findings import ServedCheck
from plansmith.manifest import Manifest
from plansmith.progress import Step
from plansmith.stages.products import Golden

if TYPE_CHECKING:
    from plansmith_client import Client

MAX_SAMPLES = 300
# FP32 sums of another order, as engines of another batch size add them up, in logits: a hundred
# times what EfficientNet-Lite0's FP32 variants were seen to differ by (1e-5).
LEAST_TOLERANCE = 1e-3
# Another batch size rounds other values than the ones that were compared in the build.
TOLERANCE_FACTOR = 2.0


def tolerance(fidelity: Fidelity | None) -> float:
    """How far a served answer may be from FP32's, in logits.

    Twice as far as the same variant was in-process, on the same samples, when it was chosen.
    """
    seen = fidelity.max_abs_deviation if fidelity else 0.0
    return max(LEAST_TOLERANCE, TOLERANCE_FACTOR * seen)


def batch_sizes(max_batch_size: int) -> tuple[int, ...]:
    """The sizes to mix: the smallest, the largest, and an odd one that fits no fixed shape."""
    return tuple(sorted({1, max(1, max_batch_size), min(3, max(1, max_batch_size))}))


def check_served(
    client: Client, manifest: Manifest, target: str, golden: Golden, step: Step
) -> ServedCheck:
    """The first samples one by one, then again in batches of mixed sizes.

    Raises the client's errors where the server does not answer.
    """
    served = client.model(manifest.model)
    output = manifest.outputs[0].name
    count = min(MAX_SAMPLES, golden.samples.count)
    sizes = batch_sizes(served.metadata().max_batch_size)
    worst, agreeing, total = 0.0, 0, 0
    for start, stop in [*_pieces(count, (1,)), *_pieces(count, sizes)]:
        step.update(total, 2 * count, f"batch {stop - start}")
        feed = {name: array[start:stop] for name, array in golden.samples.arrays.items()}
        answer = served.infer(feed, [output])[output].astype(np.float32)
        reference = golden.answers[start:stop]
        # Not max(): it would pass over a NaN, which must fail the check.
        worst = float(np.maximum(worst, np.abs(answer - reference).max()))
        agreeing += int((answer.argmax(axis=1) == reference.argmax(axis=1)).sum())
        total += stop - start
    allowed = tolerance(manifest.on(target).chosen.fidelity)
    return ServedCheck(
        count=count,
        batch_sizes=sizes,
        max_abs_deviation=worst,
        tolerance=allowed,
        passed=worst <= allowed,
        top1_agreement=agreeing / total,
    )


def _pieces(count: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces of `sizes`, in turn, that make up `count`."""
    start = 0
    for size in cycle(sizes):
        if start >= count:
            return
        stop = min(start + size, count)
        yield start, stop
        start = stop
