"""The drawings of real calls: what was heard over time, and what was read where. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from plansmith import svg
from plansmith.showcase.page import Page
from plansmith.showcase.speech import Hearing, Segment
from plansmith.svg import CHOSEN, FONT_SIZE, INK, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Left of the picture, where the lines' numbers stand, in its own pixels.
MARGIN = 36
NUMBER_SIZE = 20


def speech(heard: Hearing | None) -> str | None:
    """The sound above, the probability that it is speech below; segments shaded and numbered."""
    if heard is None:
        return None
    with svg.styled("speech"):
        drawing, (sound, chance) = svg.canvas(300, left=50, right=8, top=24, bottom=40, rows=2)
        ends = [place * heard.frame_s for place in range(len(heard.probabilities) + 1)]
        loudest = max((*heard.peaks, 1e-9))
        sound.stairs(
            [one / loudest for one in heard.peaks],
            ends,
            baseline=[-one / loudest for one in heard.peaks],
            fill=True,
            color=QUIET,
        )
        sound.set_ylim(-1.1, 1.1)
        sound.set_yticks([0], ["sound"])
        sound.tick_params(labelbottom=False)
        chance.stairs(heard.probabilities, ends, color=CHOSEN, linewidth=1.3, baseline=None)
        chance.set_ylim(-0.05, 1.05)
        chance.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        chance.set_xlabel("seconds")
        for axes in (sound, chance):
            axes.set_xlim(0, heard.duration_s)
            _shade(axes, heard.segments)
        _number(sound, heard.segments)
        told = "; ".join(f"{one.start_s:.1f} to {one.end_s:.1f} s" for one in heard.segments)
        return svg.render(drawing, "speech", f"Speech: {told or 'none'}")


def _shade(axes: Axes, segments: tuple[Segment, ...]) -> None:
    for one in segments:
        axes.axvspan(one.start_s, one.end_s, color=CHOSEN, alpha=0.16, linewidth=0)


def _number(axes: Axes, segments: tuple[Segment, ...]) -> None:
    """Above the middle of each, but for those that are too close to the one before."""
    per_second = axes.bbox.width / max(axes.get_xlim()[1], 1e-9)
    free = 0.0
    for number, one in enumerate(segments, start=1):
        middle, width = (one.start_s + one.end_s) / 2, 0.6 * FONT_SIZE * len(str(number))
        left = middle * per_second - width / 2
        if left >= free:
            svg.write(axes, (middle, 1.1), str(number), (0, 5), ha="center", color=INK)
            free = left + width + 2


def page(read: Page | None) -> str | None:
    """The picture with a frame around every line that was read; the numbers stand in the margin."""
    if read is None:
        return None
    parts: list[str] = []
    for number, line in enumerate(read.lines, start=1):
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.corners)
        parts.append(f'<polygon points="{corners}"/>')
        middle = (line.corners[0][1] + line.corners[3][1]) / 2 + NUMBER_SIZE / 3
        parts.append(f'<text x="-12" y="{middle:.1f}" text-anchor="end">{number}</text>')
    picture = base64.b64encode(read.picture).decode()
    told = f"A page of {len(read.written)} lines; {len(read.lines)} were read"
    return (
        f'<svg class="plot read" viewBox="{-MARGIN} 0 {read.width + MARGIN} {read.height}" '
        f'role="img" aria-label="{told}">'
        f'<image width="{read.width}" height="{read.height}" '
        f'href="data:image/png;base64,{picture}"/>{"".join(parts)}</svg>'
    )
