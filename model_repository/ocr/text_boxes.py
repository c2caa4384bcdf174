"""Where text is in an image: the detector's input, and boxes from its map of probabilities. Pure.

Method: M. Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI
2020: the network draws text shrunken, so what it draws is grown again. The settings are those of
rapidocr-onnxruntime 1.4.4 (its config.yaml, which has them from PaddleOCR).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Images are brought into these limits, each side a multiple of what the network needs.
LONGEST_SIDE, SHORTEST_SIDE = 2000, 30
DETECTOR_SIDE, MULTIPLE = 736, 32
# Not rapidocr's, which makes an image of 3 x 500 pixels one of 736 x 115,000 for the network.
DETECTOR_LONGEST_SIDE = 8 * DETECTOR_SIDE
# Strips get black bars above and below: wider than this, or this low.
STRIP_RATIO, STRIP_HEIGHT = 8, 30
# A pixel of text; the mean over a box of text; how much a box is grown.
PIXEL, BOX, GROWTH = 0.3, 0.5, 1.6
MOST_BOXES = 1000
# In pixels of the map: what is smaller, before and after it has grown, is noise.
SMALLEST, SMALLEST_GROWN = 3, 5
# In pixels of the page: what a crop needs, and how far apart the tops of one line may be.
SMALLEST_CROP, SAME_LINE = 3, 10


@dataclass(frozen=True, kw_only=True)
class Page:
    """An image made fit to be searched: `pixels` BGR uint8 [height, width, 3].

    A place in it is a place in the original after `bar` is taken from y, then both times `scale`.
    """

    pixels: np.ndarray
    bar: int
    scale: tuple[float, float]
    size: tuple[int, int]

    def original(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [N, 4, 2] of x, y in the image as it was given, cut off at its edges."""
        places = (boxes - np.array([0, self.bar])) * np.array(self.scale)
        return np.clip(places, 0, np.array(self.size)).astype(np.float32)


def page_of(image: np.ndarray) -> Page:
    """The page of an image, RGB uint8 [height, width, 3], of at least one pixel."""
    height, width = image.shape[:2]
    # The networks were trained on BGR.
    pixels = np.ascontiguousarray(image[:, :, ::-1])
    if max(height, width) > LONGEST_SIDE:
        pixels = _scaled(pixels, LONGEST_SIDE / max(height, width))
    short, long = sorted(pixels.shape[:2])
    if short < SHORTEST_SIDE:
        pixels = _scaled(pixels, min(SHORTEST_SIDE / short, LONGEST_SIDE / long))
    high, wide = pixels.shape[:2]
    bar = 0
    if high <= STRIP_HEIGHT or wide / high > STRIP_RATIO:
        bar = abs(2 * max(wide // STRIP_RATIO, STRIP_HEIGHT) - high) // 2
        pixels = cv2.copyMakeBorder(pixels, bar, bar, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return Page(pixels=pixels, bar=bar, scale=(width / wide, height / high), size=(width, height))


def detector_input(page: Page) -> np.ndarray:
    """float32 [1, 3, height, width] in -1..1; both sides are multiples of MULTIPLE."""
    short, long = sorted(page.pixels.shape[:2])
    scale = max(1.0, min(DETECTOR_SIDE / short, DETECTOR_LONGEST_SIDE / long))
    return normalised(_scaled(page.pixels, scale))[np.newaxis]


def normalised(pixels: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] → float32 [3, height, width] in -1..1."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Both sides times `scale`, then to the nearest multiple of MULTIPLE; at least one of it."""
    height, width = (
        max(MULTIPLE, round(int(side * scale) / MULTIPLE) * MULTIPLE) for side in pixels.shape[:2]
    )
    return cv2.resize(pixels, (width, height))


def find_boxes(probabilities: np.ndarray, page: Page) -> np.ndarray:
    """float32 [height, width] of the detector → boxes float32 [N, 4, 2] of x, y in the page.

    Corners go clockwise from the top left one. In reading order: lines from the top, each from
    the left.
    """
    height, width = page.pixels.shape[:2]
    scale = np.array([width / probabilities.shape[1], height / probabilities.shape[0]])
    mask = (probabilities > PIXEL).astype(np.uint8)
    # Joins parts that a single pixel keeps apart.
    mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes: list[np.ndarray] = []
    for contour in contours[:MOST_BOXES]:
        drawn = _box(contour, probabilities)
        if drawn is None:
            continue
        box = np.clip(np.round(drawn * scale), 0, np.array([width - 1, height - 1]))
        if min(sides(box)) > SMALLEST_CROP:
            boxes.append(box.astype(np.float32))
    return np.array(in_reading_order(boxes), np.float32).reshape(-1, 4, 2)


def _box(contour: np.ndarray, probabilities: np.ndarray) -> np.ndarray | None:
    """The corners around a shape's text, [4, 2] in the map; None where it is no text."""
    centre, (width, height), angle = cv2.minAreaRect(contour)
    if min(width, height) < SMALLEST:
        return None
    if _mean_inside(probabilities, cv2.boxPoints((centre, (width, height), angle))) < BOX:
        return None
    # The paper's D' = A' * r' / L': every side moves out by area * ratio / perimeter. Of a
    # rectangle that is a rectangle again, rounded at its corners: no polygon has to be offset.
    out = width * height * GROWTH / (2 * (width + height))
    grown = (width + 2 * out, height + 2 * out)
    if min(grown) < SMALLEST_GROWN:
        return None
    return clockwise(cv2.boxPoints((centre, grown, angle)))


def _mean_inside(probabilities: np.ndarray, corners: np.ndarray) -> float:
    edge = np.array(probabilities.shape[::-1]) - 1
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, edge)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, edge)
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - [left, top]).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[top : bottom + 1, left : right + 1], inside)[0])


def clockwise(corners: np.ndarray) -> np.ndarray:
    """[4, 2] from the upper one of the two left corners on."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = (pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:]))
    return np.array([left[0], right[0], right[1], left[1]])


def sides(box: np.ndarray) -> tuple[int, int]:
    """A box's width and height in whole pixels: the longer of each two sides."""
    across = max(np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[3] - box[2]))
    down = max(np.linalg.norm(box[0] - box[3]), np.linalg.norm(box[1] - box[2]))
    return int(across), int(down)


def in_reading_order(boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Lines from the top, each from the left; a line's boxes begin less than SAME_LINE apart."""
    ordered: list[np.ndarray] = []
    line: list[np.ndarray] = []
    for box in sorted(boxes, key=lambda box: float(box[0][1])):
        if line and box[0][1] - line[-1][0][1] >= SAME_LINE:
            ordered += sorted(line, key=lambda box: float(box[0][0]))
            line = []
        line.append(box)
    return ordered + sorted(line, key=lambda box: float(box[0][0]))
