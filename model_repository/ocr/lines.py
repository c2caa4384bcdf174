"""Lines of text, cut out and read: the classifier's and the recogniser's inputs and answers. Pure.

Settings as in rapidocr-onnxruntime 1.4.4. The recogniser answers with one distribution over the
characters for every few columns, trained by connectionist temporal classification: A. Graves et
al., ICML 2006; the likeliest path is read off, repeats first made one, then blanks dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from text_boxes import normalised, sides

HEIGHT = 48
CLASSIFIER_WIDTH = 192
# Crops of one width go to the recogniser together, filled up with grey; wider ones are squeezed.
WIDTHS = (320, 480, 640, 960, 1440, 2000)
# As many lines as one request to a network may have; their recipes' max_batch_size.
AT_MOST_ROWS = 8
# Index of the classifier's answer for a crop that is upside down.
UPSIDE_DOWN = 1
# Higher than wide by this: the text runs down the page.
UPRIGHT = 1.5
BLANK = 0


def crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The text in `box` float32 [4, 2] of a page's pixels, made level: uint8 [height, width, 3]."""
    width, height = sides(box)
    level = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(box.astype(np.float32), level)
    cut = cv2.warpPerspective(
        pixels, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.rot90(cut) if height / width >= UPRIGHT else cut


def network_input(cut: np.ndarray, width: int) -> np.ndarray:
    """float32 [3, HEIGHT, width] in -1..1, as wide as the text and grey (0) from there on."""
    own_width = min(width, text_width(cut))
    row = np.zeros((3, HEIGHT, width), np.float32)
    row[:, :, :own_width] = normalised(cv2.resize(cut, (own_width, HEIGHT)))
    return row


def text_width(cut: np.ndarray) -> int:
    """How wide the crop is when it is HEIGHT high; at least 1."""
    height, width = cut.shape[:2]
    return max(1, -(-HEIGHT * width // height))


def classifier_batches(cuts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """float32 [n, 3, HEIGHT, CLASSIFIER_WIDTH] each, n <= AT_MOST_ROWS; all crops in order."""
    rows = [network_input(cut, CLASSIFIER_WIDTH) for cut in cuts]
    starts = range(0, len(rows), AT_MOST_ROWS)
    return [np.stack(rows[start : start + AT_MOST_ROWS]) for start in starts]


def upside_down(answers: np.ndarray) -> list[int]:
    """Numbers of the crops that are, by the classifier's answers float32 [N, 2]."""
    return np.flatnonzero(answers.argmax(axis=1) == UPSIDE_DOWN).tolist()


def both_ways(cuts: Sequence[np.ndarray], down: Sequence[int]) -> list[np.ndarray]:
    """The crops, and behind them those of the numbers `down` set upright.

    The classifier is sure of itself where it errs, too: what it calls upside down is read both
    ways, and `better` keeps what the recogniser is surer of.
    """
    return [*cuts, *(np.rot90(cuts[number], 2) for number in down)]


def better(
    read: Sequence[tuple[str, float]], down: Sequence[int], count: int
) -> list[tuple[str, float]]:
    """For each of `count` crops the one of its readings with the higher score; see both_ways."""
    best = list(read[:count])
    for number, other in zip(down, read[count:], strict=True):
        best[number] = max(best[number], other, key=lambda one: one[1])
    return best


def recogniser_batches(cuts: Sequence[np.ndarray]) -> list[tuple[list[int], np.ndarray]]:
    """(numbers of the crops, float32 [n, 3, HEIGHT, width]) each, n <= AT_MOST_ROWS, by width."""
    buckets: defaultdict[int, list[int]] = defaultdict(list)
    for number, cut in enumerate(cuts):
        own_width = text_width(cut)
        buckets[next((width for width in WIDTHS if width >= own_width), WIDTHS[-1])].append(number)
    batches: list[tuple[list[int], np.ndarray]] = []
    for width, numbers in sorted(buckets.items()):
        for start in range(0, len(numbers), AT_MOST_ROWS):
            part = numbers[start : start + AT_MOST_ROWS]
            batches.append((part, np.stack([network_input(cuts[one], width) for one in part])))
    return batches


def read_line(answer: np.ndarray, characters: Sequence[str]) -> tuple[str, float]:
    """float32 [columns, characters] → the text and its score, the mean over its characters.

    `characters` has the blank first. No characters: an empty text of score 0.
    """
    best = answer.argmax(axis=1)
    kept = (best != BLANK) & np.concatenate([[True], best[1:] != best[:-1]])
    if not kept.any():
        return "", 0.0
    text = "".join(characters[index] for index in best[kept])
    return text, float(answer.max(axis=1)[kept].mean())
