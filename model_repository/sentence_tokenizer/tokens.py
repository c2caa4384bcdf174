"""Texts → token ids of one length. Pure but for the tokenizer's file, which is read once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

# Requests of one bucket have one shape, so the encoder can run them as one batch.
BUCKETS = (16, 32, 64, 128, 256)


class TextTokenizer:
    """Of a tokenizer.json; texts of more than `max_length` tokens are cut, as the library does."""

    def __init__(self, file: Path, max_length: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        # The file pads to and cuts at 128 by itself; the library overrides both.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def tokens(self, texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """(input_ids, attention_mask) int64 [len(texts), length] of UTF-8 texts.

        `length` is the bucket of the longest text; a mask of 0 marks padding, whose id is 0.
        Raises ValueError that names the first text which is not UTF-8.
        """
        found = self._tokenizer.encode_batch([decode(text, i) for i, text in enumerate(texts)])
        length = bucket(max((len(one.ids) for one in found), default=0))
        input_ids = np.zeros((len(found), length), np.int64)
        attention_mask = np.zeros((len(found), length), np.int64)
        for row, one in enumerate(found):
            input_ids[row, : len(one.ids)] = one.ids
            attention_mask[row, : len(one.ids)] = 1
        return input_ids, attention_mask


def decode(text: bytes, row: int) -> str:
    """`text` as UTF-8; raises ValueError with its number and the place of the first fault."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"text {row}: not UTF-8 at byte {error.start} ({error.reason}); send UTF-8"
        ) from error


def bucket(length: int) -> int:
    """The smallest bucket that holds `length` tokens; a longer text keeps its length."""
    place = bisect_left(BUCKETS, length)
    return BUCKETS[place] if place < len(BUCKETS) else length
