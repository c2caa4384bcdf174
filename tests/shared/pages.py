"""Pages of print whose text is known, and how far what was read of one is from it."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
WHITE = (255, 255, 255)


def rendered(lines: tuple[str, ...], font: str = "DejaVuSans.ttf", size: int = 30) -> np.ndarray:
    """A page, uint8 RGB: a line under the other, black on white."""
    image = Image.new("RGB", (760, 30 + 62 * len(lines)), WHITE)
    draw = ImageDraw.Draw(image)
    kind = ImageFont.truetype(FONTS / font, size)
    for number, text in enumerate(lines):
        draw.text((40, 24 + 62 * number), text, fill=(0, 0, 0), font=kind)
    return np.asarray(image)


def wrong_characters(found: str, wanted: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(wanted) + 1))
    for i, one in enumerate(found, start=1):
        last, row[0] = row[0], i
        for j, other in enumerate(wanted, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (one != other))
    return row[-1]
