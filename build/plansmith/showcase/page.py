"""A page of print through a model that reads: what it says, and where."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plansmith_client import Client

MODEL = "ocr"
NEEDS = (MODEL,)
# Lines and their size, in pixels.
LINES = (
    ("Delivery note 4096", 44),
    ("One model repository, as ordered", 30),
    ("Checked before it was shipped", 30),
    ("Total due: 1,249.00 EUR", 36),
)
WIDTH, HEIGHT = 680, 320
PAPER, PRINT = (250, 248, 240), (20, 20, 60)
# A page is seldom laid down straight; degrees, counter-clockwise.
SLANT = 2.5

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One text that was read; `corners` in pixels, clockwise from the top left, `score` 0..1."""

    text: str
    score: float
    corners: tuple[Point, Point, Point, Point]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What was read, in reading order, of what was `written` on the picture, a PNG file."""

    picture: bytes = field(repr=False, compare=False)
    width: int
    height: int
    written: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def is_right(self) -> bool:
        """Whether every line was read as it was written, and nothing else.

        Spaces do not count: the recogniser, whose characters are Chinese before all, loses some.
        """
        read = [one.text.replace(" ", "") for one in self.lines]
        return read == [text.replace(" ", "") for text in self.written]


def read(client: Client) -> Page:
    """A page made here, through the server's MODEL. Raises the client's errors."""
    image = printed()
    answer = client.model(MODEL).infer({"image": image}, ["texts", "boxes", "scores"])
    return Page(
        picture=as_png(image),
        width=WIDTH,
        height=HEIGHT,
        written=tuple(text for text, _ in LINES),
        lines=lines_of(answer),
    )


def lines_of(answer: Mapping[str, NDArray[Any]]) -> tuple[Line, ...]:
    """`answer`: texts BYTES [N], boxes float32 [N, 4, 2], scores float32 [N]."""
    rows = zip(answer["texts"], answer["boxes"], answer["scores"], strict=True)
    return tuple(
        Line(
            text=text.decode("utf-8", "replace"),
            score=float(score),
            corners=_corners(box.astype(float).tolist()),
        )
        for text, box, score in rows
    )


def _corners(box: list[list[float]]) -> tuple[Point, Point, Point, Point]:
    first, second, third, fourth = ((x, y) for x, y in box)
    return first, second, third, fourth


def printed() -> NDArray[np.uint8]:
    """LINES, dark on light and a little aslant, uint8 RGB [HEIGHT, WIDTH, 3]."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    # A font that is there wherever a report can be drawn.
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    top = 38
    for text, size in LINES:
        draw.text((44, top), text, fill=PRINT, font=ImageFont.truetype(font, size))
        top += size + 34
    slanted = image.rotate(SLANT, Image.Resampling.BICUBIC, fillcolor=PAPER)
    return np.asarray(slanted)


def as_png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
