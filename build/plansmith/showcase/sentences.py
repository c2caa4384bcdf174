"""Sentences through an embedding model on the server: which of them mean the same?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from plansmith_client import Client

MODEL = "sentence_embedding"
NEEDS = (MODEL,)
SENTENCES = (
    "How do I change my password?",
    "I would like to set a new password.",
    "The train to Berlin leaves at seven.",
    "At seven o'clock there is a train to Berlin.",
    "A cat sleeps on the warm windowsill.",
)
# Which of them say the same in other words, by place.
PARAPHRASES = ((0, 1), (2, 3))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How alike sentences are: `cosines[i][j]` is that of sentence i with j, -1..1.

    `paraphrases` are the pairs that mean the same, by the places of their sentences.
    """

    texts: tuple[str, ...]
    paraphrases: tuple[tuple[int, int], ...]
    cosines: tuple[tuple[float, ...], ...]

    @property
    def least_of_paraphrases(self) -> float:
        """The cosine of the paraphrases that are least alike."""
        return min(self.cosines[one][other] for one, other in self.paraphrases)

    @property
    def most_of_others(self) -> float:
        """The cosine of the two other sentences that are most alike."""
        pairs = combinations(range(len(self.texts)), 2)
        return max(self.cosines[i][j] for i, j in pairs if (i, j) not in self.paraphrases)


def compare(client: Client) -> Likeness:
    """SENTENCES through the server's MODEL, in one batch. Raises the client's errors."""
    texts = np.array([[text.encode()] for text in SENTENCES], object)
    found = client.model(MODEL).infer({"text": texts}, ["embedding"])["embedding"]
    return Likeness(texts=SENTENCES, paraphrases=PARAPHRASES, cosines=cosines(found))


def cosines(vectors: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """Of every row of `vectors`, [N, length], with every row: their product over their lengths."""
    rows = vectors.astype(np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    # Rounding may leave a vector a hair more than itself.
    return tuple(tuple(row) for row in np.clip(rows @ rows.T, -1, 1).tolist())
