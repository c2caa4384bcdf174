"""How far a variant's answers are from the FP32 original's, on the same samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A variant against the original: shares are 0..1, divergences in nats."""

    count: int
    top1_agreement: float
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
    divergences = (np.exp(reference) * (reference - other)).sum(axis=1)
    deviations = np.abs(original.astype(np.float64) - variant.astype(np.float64))
    agree = original.argmax(axis=1) == variant.argmax(axis=1)
    return Fidelity(
        count=len(original),
        top1_agreement=float(agree.mean()),
        mean_kl=float(divergences.mean()),
        max_abs_deviation=float(deviations.max()),
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
