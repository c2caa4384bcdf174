"""What compression looks at while it searches: calibration samples, never the evaluation's.

A bound on the evaluation samples holds only for forms that were not fitted to them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plansmith.compare import log_probabilities
from plansmith.measure import Feed, spread_out


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Rows for every input, and the FP32 `original`'s answers to them, float32 `[N, classes]`.

    `output` names the output that is compared, `kind` says whether its rows are "logits" or
    "probabilities". `goal` is the loss (share of top-1 answers that change, 0..1) aimed at.
    """

    feed: Feed
    output: str
    kind: str
    original: NDArray[np.float32]
    goal: float

    @property
    def count(self) -> int:
        return len(self.original)

    def spread(self, most: int) -> Tuning:
        """At most `most` rows of these, evenly spread."""
        places = spread_out(self.count, most)
        feed = {name: array[places] for name, array in self.feed.items()}
        return replace(self, feed=feed, original=self.original[places])

    def told(self, loss: float) -> str:
        """What `loss` means here, as a sentence for the report."""
        return (
            f"{loss:.2%} of the top-1 answers to {self.count} calibration samples change; "
            f"the search aims at {self.goal:.2%}"
        )

    def loss(self, answers: NDArray[np.float32]) -> float:
        """The share of rows whose best class is another than the original's."""
        return float((answers.argmax(axis=1) != self.original.argmax(axis=1)).mean())

    def divergence(self, answers: NDArray[np.float32]) -> float:
        """Mean Kullback-Leibler divergence from the original's answers, in nats.

        A large finite number stands for answers that are not finite: they can be ranked, too.
        """
        if not np.isfinite(answers).all():
            return float(np.finfo(np.float32).max)
        ours = log_probabilities(answers, self.kind)
        theirs = log_probabilities(self.original, self.kind)
        return float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())
