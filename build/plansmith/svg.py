"""A matplotlib figure → inline SVG: the text is the page's text, the colours are the page's CSS.

matplotlib draws with sentinel colours; each is then replaced by a CSS custom property, so one
drawing serves light and dark.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# One SVG unit is one CSS pixel at this width; the page shows it 0.85 to 1.2 times as large.
WIDTH = 400
FONT_SIZE = 12
UNITS_PER_INCH = 72
# From the left end of a limit's line to the baseline of its name.
LIMIT_OFFSET = (4.0, 4.0)

# Sentinels: nobody draws in these by accident. The real colours are in templates/report.css.
INK, MUTED, GRID, QUIET, CHOSEN, LIMIT = (f"#01010{digit}" for digit in range(1, 7))
SERIES = ("#010201", "#010202", "#010203", "#010204")
PROPERTIES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    QUIET: "--quiet",
    CHOSEN: "--accent",
    LIMIT: "--limit",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}

STYLE: dict[Any, Any] = {
    "font.size": FONT_SIZE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelpad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


@contextmanager
def styled(name: str) -> Generator[None, None, None]:
    """Draw and `render` within this: our style, and element ids that depend on `name` alone."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks; only widths are guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(
    height: float, *, left: float, right: float, top: float, bottom: float, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure of WIDTH x `height` and its `rows` axes, top first; all sizes in SVG units."""
    # At this resolution display coordinates are SVG units too.
    size = (WIDTH / UNITS_PER_INCH, height / UNITS_PER_INCH)
    drawing = Figure(figsize=size, dpi=UNITS_PER_INCH)
    grid = drawing.add_gridspec(
        rows,
        1,
        left=left / WIDTH,
        right=1 - right / WIDTH,
        bottom=bottom / height,
        top=1 - top / height,
        hspace=0.25,
    )
    return drawing, [drawing.add_subplot(grid[row]) for row in range(rows)]


def render(drawing: Figure, name: str, description: str) -> str:
    """One <svg>: deterministic, with no font, colour or id that is not the page's or `name`'s.

    `description` is what a screen reader says instead of the picture.
    """
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawing.savefig(text, format="svg", transparent=True, metadata=nothing)
    # Prologue and doctype have no place inside HTML; the style element would reach the page.
    body = re.sub(r"^.*?<svg[^>]*>|<style.*?</style>", "", text.getvalue(), flags=re.DOTALL)
    # Groups are numbered anew in every figure and nothing refers to them.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r'style="([^"]*)"', _restyle, body)
    height = drawing.get_figheight() * UNITS_PER_INCH
    label = html.escape(description)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">'
        + re.sub(r"\n\s*", "\n", body)
    )


def write(
    axes: Axes, point: tuple[float, float], text: str, offset: tuple[float, float], **style: Any
) -> None:
    """`text` whose baseline starts `offset` SVG units from the data `point`."""
    axes.annotate(text, point, xytext=offset, textcoords="offset points", **style)


def limit(axes: Axes, height: float, text: str) -> None:
    """A dashed line at `height` across the axes, with its name above its left end."""
    axes.axhline(height, color=LIMIT, linewidth=1.3, linestyle=(0, (4, 3)))
    write(axes, (axes.get_xlim()[0], height), text, LIMIT_OFFSET, color=LIMIT)


def marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within `low`..`high`; the powers alone where it is wide."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 2000 else (1,)
    found = [step * 10.0**power for power in powers for step in steps]
    return [mark for mark in found if low <= mark <= high]


def _restyle(match: re.Match[str]) -> str:
    style = re.sub(r" ?font-family: [^;]*;?", "", match[1])
    for sentinel, name in PROPERTIES.items():
        style = style.replace(sentinel, f"var({name})")
    return f'style="{style}"'
