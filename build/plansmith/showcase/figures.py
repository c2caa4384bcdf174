"""What real calls came to, as figures: for report.json, and for the page."""

from __future__ import annotations

from typing import Any

from plansmith.showcase.calls import Showcase

# From which cosine on a cell has the second shade, the third ...: report.css has five.
SHADES = (0.2, 0.4, 0.6, 0.8)


def cosine(value: float) -> str:
    """Two digits, and a minus sign that is one."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\u2212")


def heat(cosine: float) -> int:
    """The shade of a cell, 0 for the palest."""
    return sum(cosine >= one for one in SHADES)


def figures_of(showcase: Showcase) -> dict[str, Any]:
    """All of `showcase` but the picture; None for what there was nothing to show of."""
    sentences, page = showcase.sentences, showcase.page
    return {
        "sentences": sentences
        and {
            "texts": sentences.texts,
            "paraphrases": sentences.paraphrases,
            "cosines": sentences.cosines,
            "least_of_paraphrases": sentences.least_of_paraphrases,
            "most_of_others": sentences.most_of_others,
        },
        "speech": showcase.speech,
        "page": page
        and {
            "width": page.width,
            "height": page.height,
            "written": page.written,
            "lines": page.lines,
            "is_right": page.is_right,
        },
    }
