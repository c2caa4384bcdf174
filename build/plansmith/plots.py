"""The report's plots of variants: trials in, one inline SVG each, or None without data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from plansmith import svg
from plansmith.figures import figure
from plansmith.manifest import Trial
from plansmith.svg import CHOSEN, FONT_SIZE, INK, MUTED, QUIET

# The mean width of a letter in SVG units, on the wide side: the page chooses the font.
LETTER = 0.6 * FONT_SIZE
# More bars than these are a wall; the table beside them has every variant.
MOST_BARS = 10


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What bars and points show of a trial: `of` gives low, middle and high, or None.

    `best` is 1 where more is better, -1 where less is.
    """

    title: str
    label: str
    unit: str
    best: int
    of: Callable[[Trial], tuple[float, float, float] | None]


def _speed(trial: Trial) -> tuple[float, float, float] | None:
    found = trial.throughput
    return (found.low_per_s, found.median_per_s, found.high_per_s) if found else None


def _size(trial: Trial) -> tuple[float, float, float]:
    size_mb = trial.size_bytes / 1e6
    return size_mb, size_mb, size_mb


SPEED = Measure(
    title="Throughput", label="items per second, in-process", unit="per second", best=1, of=_speed
)
SIZE = Measure(title="Size", label="size, MB (speed: not measured)", unit="MB", best=-1, of=_size)


def measure_for(trials: Sequence[Trial]) -> Measure:
    """Speed, or the size where no variant was timed: the reference's speed is not theirs."""
    timed = (trial.throughput for trial in trials if not _is_for_scale(trial))
    return SPEED if any(timed) else SIZE


def _is_for_scale(trial: Trial) -> bool:
    return trial.verdict in ("reference", "baseline")


def shown_bars(trials: Sequence[Trial], measure: Measure) -> list[Trial]:
    """The best `MOST_BARS` variants, the chosen, and all that is for scale; the best first."""
    known = [trial for trial in trials if measure.of(trial)]
    ordered = sorted(known, key=lambda trial: -measure.best * _middle(measure, trial))
    best = [trial.name for trial in ordered if not _is_for_scale(trial)][:MOST_BARS]
    return [
        trial
        for trial in ordered
        if trial.name in best or trial.verdict == "chosen" or _is_for_scale(trial)
    ]


def _values(measure: Measure, trial: Trial) -> tuple[float, float, float]:
    found = measure.of(trial)
    assert found is not None, "only trials that were measured are drawn"
    return found


def _middle(measure: Measure, trial: Trial) -> float:
    return _values(measure, trial)[1]


def bars(trials: Sequence[Trial], measure: Measure, name: str) -> str | None:
    """Bars, best first, the range over the rounds as a whisker, the chosen one in colour.

    `name` is that of the drawing in the page: no other has it.
    """
    shown = shown_bars(trials, measure)
    if not shown:
        return None
    with svg.styled(name):
        height = 44 + 37 * len(shown)
        drawing, (axes,) = svg.canvas(height, left=4, right=8, top=4, bottom=40)
        for row, trial in enumerate(reversed(shown)):
            _bar(axes, row, trial, _values(measure, trial))
        axes.set_ylim(-0.35, len(shown) - 0.25)
        axes.set_xlim(0, max(_values(measure, trial)[2] for trial in shown) * 1.14)
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel(measure.label)
        said = (f"{t.name} {figure(_middle(measure, t))} {measure.unit}" for t in shown)
        return svg.render(drawing, name, f"{measure.title}, best first: {', '.join(said)}")


def _bar(axes: Axes, row: int, trial: Trial, values: tuple[float, float, float]) -> None:
    low, middle, high = values
    chosen, refused = trial.verdict == "chosen", trial.verdict == "refused"
    axes.barh(
        row,
        middle,
        height=0.32,
        color="none" if refused else CHOSEN if chosen else QUIET,
        edgecolor=QUIET if refused else "none",
        linewidth=1.2,
    )
    if low < high:
        axes.plot([low, high], [row, row], color=INK, linewidth=1.3)
        for end in (low, high):
            axes.plot([end, end], [row - 0.1, row + 0.1], color=INK, linewidth=1.3)
    weight, colour = ("bold", INK) if chosen else ("normal", MUTED)
    label = f"{trial.name}, {trial.verdict}"
    svg.write(axes, (0, row), label, (0, 10), weight=weight, color=colour)
    svg.write(axes, (high, row), figure(middle), (6, -4), weight=weight, color=INK)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One trial in the drawing: `x` is low, middle and high, `y` as seen and at most (95 %)."""

    trial: Trial
    kind: str
    x: tuple[float, float, float]
    y: tuple[float, float]

    @property
    def chosen(self) -> bool:
        return self.trial.verdict == "chosen"


def fidelity(
    trials: Sequence[Trial],
    losses: Mapping[str, tuple[float, float]],
    kinds: Mapping[str, str],
    max_drop: float,
    measure: Measure,
    name: str,
) -> str | None:
    """What was lost against FP32 (log axis) against speed or size, and the budget's line.

    `losses`: name → (as seen, at most at 95 %), shares up to 1; the whisker reaches up to the
    second. `kinds`: name → what its point is called. A log axis has no zero: variants that lost
    nothing or gained stand in a band of their own, a row for each kind.
    """
    shown = [trial for trial in trials if trial.name in losses and measure.of(trial)]
    positive = [share for trial in shown for share in losses[trial.name] if share > 0]
    if not positive:
        return None
    limits = [max_drop] if max_drop > 0 else []
    bottom = math.log10(min(positive + limits)) - 0.25
    top = math.log10(max(positive + limits)) + 0.25
    rows = sorted({kinds[trial.name] for trial in shown if losses[trial.name][0] <= 0})
    band_row = (top - bottom) * 0.1
    points: list[Point] = []
    for trial in shown:
        kind, (seen, most) = kinds[trial.name], losses[trial.name]
        low = math.log10(seen) if seen > 0 else bottom - band_row * (rows.index(kind) + 0.7)
        high = math.log10(most) if most > 0 else low
        points.append(Point(trial=trial, kind=kind, x=_values(measure, trial), y=(low, high)))
    with svg.styled(name):
        height = 300 + 25 * len(rows)
        drawing, (axes,) = svg.canvas(height, left=50, right=8, top=14, bottom=40)
        # Room on the right for the name of the last.
        axes.set_xlim(0, max(point.x[2] for point in points) * 1.4)
        axes.set_ylim(bottom - band_row * (len(rows) + 0.4) if rows else bottom, top)
        marks = {math.log10(mark): f"{mark * 100:g} %" for mark in svg.marks(10**bottom, 10**top)}
        if rows:
            axes.axhline(bottom, color=MUTED, linewidth=0.8)
            marks[(bottom + axes.get_ylim()[0]) / 2] = "none"
        axes.set_yticks(list(marks), list(marks.values()))
        axes.yaxis.get_major_ticks()[-1].gridline.set_visible(not rows)
        _points(axes, points)
        _names(axes, points, max_drop)
        axes.set_xlabel(measure.label)
        said = (f"{trial.name} {losses[trial.name][0] * 100:.2g} %" for trial in shown)
        return svg.render(drawing, name, f"Lost against FP32: {', '.join(said)}")


def _points(axes: Axes, points: Sequence[Point]) -> None:
    """Markers, ranges over the rounds and whiskers up to the bound."""
    for point in points:
        (left, middle, right), (low, high) = point.x, point.y
        line: dict[str, Any] = {"color": CHOSEN if point.chosen else MUTED, "linewidth": 1.2}
        axes.plot([middle, middle], [low, high], **line)
        axes.plot(middle, high, "_", markersize=8, **line)
        axes.plot([left, right], [low, low], **line)
        line |= {"markerfacecolor": "none"} if point.trial.verdict == "refused" else {}
        axes.plot(middle, low, "o", markersize=9 if point.chosen else 6, **line)


# Left, bottom, right, top in SVG units.
Box = tuple[float, float, float, float]


def _names(axes: Axes, points: Sequence[Point], max_drop: float) -> None:
    """The budget's line, the chosen one's name and one name for each cluster, none on another."""
    taken: list[Box] = []
    for point in points:
        (left, middle, right), (low, high) = point.x, point.y
        taken.append(_span(axes, (left, low), (right, low)))
        taken.append(_span(axes, (middle, low), (middle, high)))
    if max_drop > 0:
        text, height = f"budget {max_drop * 100:g} %", math.log10(max_drop)
        svg.limit(axes, height, text)
        taken.append(_box(axes, (0, height), svg.LIMIT_OFFSET, LETTER * len(text), FONT_SIZE))
    for point in points:
        if point.chosen:
            _name(axes, point, point.trial.name, taken, weight="bold", color=INK)
    for point in _clusters(axes, points):
        _name(axes, point, point.kind, taken, color=MUTED)


def _name(axes: Axes, point: Point, text: str, taken: list[Box], **style: Any) -> None:
    """`text` beside `point`, at the first place inside the drawing where nothing else stands.

    Where there is none the chosen one's name goes over the others; any other is left out.
    """
    width = LETTER * len(text)
    left, right = (point.x[0], point.y[0]), (point.x[2], point.y[0])
    middle = (point.x[1], point.y[0])
    places = [
        (right, (10.0, -4.0)),
        (left, (-11 - width, -4.0)),
    ]
    if not point.chosen:
        places.reverse()
    # Above the whisker has its place, so a name there stands to one side of it.
    places += [(middle, (x, y)) for y in (8.0, -18.0, 22.0, -32.0) for x in (-8 - width, 8.0)]
    for anchor, offset in places:
        box = _box(axes, anchor, offset, width, FONT_SIZE)
        inside = axes.bbox.x0 <= box[0] and box[2] <= svg.WIDTH and axes.bbox.y0 <= box[1]
        if inside and not any(_overlap(box, other) for other in taken):
            break
    else:
        if not point.chosen:
            return
        anchor, offset = places[0]
        box = _box(axes, anchor, offset, width, FONT_SIZE)
    taken.append(box)
    svg.write(axes, anchor, text, offset, **style)


def _box(
    axes: Axes, anchor: tuple[float, float], offset: tuple[float, float], width: float, high: float
) -> Box:
    x, y = axes.transData.transform(anchor)
    left, bottom = float(x) + offset[0], float(y) + offset[1]
    return left, bottom, left + width, bottom + high


def _span(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> Box:
    """What a line from `start`, below and left, to `end` takes up, with its markers."""
    left, bottom = axes.transData.transform(start)
    right, top = axes.transData.transform(end)
    return float(left) - 5, float(bottom) - 5, float(right) + 5, float(top) + 3


def _overlap(one: Box, other: Box) -> bool:
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]


def _clusters(axes: Axes, points: Sequence[Point]) -> list[Point]:
    """The leftmost point of each cluster: same kind, about as high.

    Variants of one kind differ in speed and hardly in fidelity: one name serves them all, where a
    name each would be a heap of names. The table names every one.
    """
    low, high = axes.get_ylim()
    near = (high - low) * 2 * FONT_SIZE / axes.bbox.height
    found: list[Point] = []
    for point in sorted(points, key=lambda one: one.x[1]):
        same = (one for one in found if one.kind == point.kind)
        if not any(abs(point.y[0] - one.y[0]) < near for one in same):
            found.append(point)
    return found
