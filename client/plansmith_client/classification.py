"""Triton's classification extension: what to ask for, and its answers as ranked classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_client.errors import ServerFault
from plansmith_client.tensors import TensorMetadata

# What Triton ranks: TopkClassifications in src/classification.cc of triton-inference-server/server.
# It refuses the others, but for BYTES: asked for classes of texts Triton 2.51 ends with a
# segmentation fault, over either protocol.
RANKED_DTYPES = frozenset(
    ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64")
)
# The server caps the count at the classes there are, so this is "all" where metadata is free.
_ALL = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One class of one item: `probability` is 0..1; `label` is None if the server has none.

    `logit` has the server's six decimals.
    """

    index: int
    label: str | None
    logit: float
    probability: float


def class_count(output: TensorMetadata, max_batch_size: int | None) -> int:
    """How many classes to ask for: all of an item's, for the softmax needs every one."""
    if max_batch_size is None:
        # Which axis is the batch is not known.
        return _ALL
    classes = output.shape[1:] if max_batch_size else output.shape
    return _ALL if -1 in classes else math.prod(classes)


def ranked(answers: NDArray[Any], top: int, *, model: str) -> list[list[Ranked]]:
    """The `top` classes of each item, likeliest first.

    `answers`: object `[N, classes]` or, of a model that does not batch, `[classes]`; each
    `b"value:index"` or `b"value:index:label"`, in which the label may hold more colons.
    Raises ServerFault for values that have no softmax (NaN or +infinity), and for answers that are
    no classes.
    """
    if not answers.dtype.hasobject:
        raise ServerFault(
            f"{model}: classes were asked for and {answers.dtype} values came: this server ranks "
            "none, call the model itself",
            model=model,
        )
    return [_ranked_item(item, top, model) for item in np.atleast_2d(answers)]


def _ranked_item(answers: NDArray[Any], top: int, model: str) -> list[Ranked]:
    parts: list[list[bytes]] = [answer.split(b":", 2) for answer in answers]
    logits = np.array([float(part[0]) for part in parts], np.float64)
    if not logits.size or not math.isfinite(logits.max()):
        raise ServerFault(f"{model}: logits with NaN or infinity cannot be ranked", model=model)
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    # The server sends them sorted; its order among equals stands.
    best: list[int] = np.argsort(-logits, kind="stable")[:top].tolist()
    return [
        Ranked(
            index=int(parts[place][1]),
            label=parts[place][2].decode("utf-8", "replace") if len(parts[place]) > 2 else None,
            logit=float(logits[place]),
            probability=float(probabilities[place]),
        )
        for place in best
    ]
