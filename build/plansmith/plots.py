"""The report's four plots: trials and load runs in, one inline SVG each, or None without data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from plansmith import svg
from plansmith.load_result import LoadResult
from plansmith.manifest import Trial
from plansmith.svg import CHOSEN, FONT_SIZE, INK, LIMIT, MUTED, QUIET, SERIES

# Colour is never the only difference between two lines.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
BINS = 44
# The lines of the percentile plot are drawn through this many exact percentiles.
POINTS = 240
# A log axis needs a smallest value; the load tester's clock has this one.
RESOLUTION_MS = 0.001
# The mean width of a letter in SVG units, on the wide side: the page chooses the font.
LETTER = 0.6 * FONT_SIZE


def throughput(trials: Sequence[Trial]) -> str | None:
    """Bars, fastest first, the range over the rounds as a whisker, the chosen one in colour."""
    if not trials:
        return None
    ordered = sorted(trials, key=lambda trial: trial.throughput.median_per_s)
    with svg.styled("throughput"):
        height = 44 + 37 * len(ordered)
        drawing, (axes,) = svg.canvas(height, left=4, right=8, top=4, bottom=40)
        for row, trial in enumerate(ordered):
            _bar(axes, row, trial)
        axes.set_ylim(-0.35, len(ordered) - 0.25)
        axes.set_xlim(0, max(trial.throughput.high_per_s for trial in ordered) * 1.14)
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("items per second, in-process")
        said = (f"{t.name} {t.throughput.median_per_s:.0f} per second" for t in reversed(ordered))
        return svg.render(drawing, "throughput", f"Throughput, fastest first: {', '.join(said)}")


def _bar(axes: Axes, row: int, trial: Trial) -> None:
    found, chosen = trial.throughput, trial.verdict == "chosen"
    refused = trial.verdict == "refused"
    axes.barh(
        row,
        found.median_per_s,
        height=0.32,
        color="none" if refused else CHOSEN if chosen else QUIET,
        edgecolor=QUIET if refused else "none",
        linewidth=1.2,
    )
    axes.plot([found.low_per_s, found.high_per_s], [row, row], color=INK, linewidth=1.3)
    for end in (found.low_per_s, found.high_per_s):
        axes.plot([end, end], [row - 0.1, row + 0.1], color=INK, linewidth=1.3)
    weight, colour = ("bold", INK) if chosen else ("normal", MUTED)
    _write(axes, (0, row), f"{trial.name}, {trial.verdict}", (0, 10), weight=weight, color=colour)
    number, end = f"{found.median_per_s:,.0f}", (found.high_per_s, row)
    _write(axes, end, number, (6, -4), weight=weight, color=INK)


def _write(
    axes: Axes, point: tuple[float, float], text: str, offset: tuple[float, float], **style: Any
) -> None:
    """`text` whose baseline starts `offset` SVG units from the data `point`."""
    axes.annotate(text, point, xytext=offset, textcoords="offset points", **style)


def fidelity(
    trials: Sequence[Trial], losses: Mapping[str, tuple[float, float]], max_drop: float
) -> str | None:
    """What was lost against FP32 (log axis) against throughput, and the budget's line.

    `losses`: name → (as seen, at most at 95 %), shares 0..1; the whisker reaches up to the second.
    A log axis has no zero: variants that lost nothing stand in a band of their own, a row
    for each precision.
    """
    fastest_first = sorted(trials, key=lambda trial: -trial.throughput.median_per_s)
    shown = [trial for trial in fastest_first if trial.name in losses]
    positive = [share for pair in losses.values() for share in pair if share > 0]
    if not shown or not positive:
        return None
    limits = [max_drop] if max_drop > 0 else []
    bottom = math.log10(min(positive + limits)) - 0.25
    top = math.log10(max(positive + limits)) + 0.25
    zeros = {trial.name: trial.precision for trial in shown if losses[trial.name][0] <= 0}
    rows = sorted(set(zeros.values()))
    band_row = (top - bottom) * 0.1
    heights = {name: math.log10(seen) for name, (seen, _) in losses.items() if seen > 0}
    heights |= {n: bottom - band_row * (rows.index(kind) + 0.7) for n, kind in zeros.items()}
    bounds = {n: math.log10(most) if most > 0 else heights[n] for n, (_, most) in losses.items()}
    with svg.styled("fidelity"):
        height = 300 + 25 * len(rows)
        drawing, (axes,) = svg.canvas(height, left=50, right=8, top=14, bottom=40)
        # Room on the right for the name of the fastest.
        axes.set_xlim(0, fastest_first[0].throughput.high_per_s * 1.4)
        axes.set_ylim(bottom - band_row * (len(rows) + 0.4) if rows else bottom, top)
        marks = {math.log10(mark): f"{mark * 100:g} %" for mark in _marks(10**bottom, 10**top)}
        if rows:
            axes.axhline(bottom, color=MUTED, linewidth=0.8)
            marks[(bottom + axes.get_ylim()[0]) / 2] = "none"
        axes.set_yticks(list(marks), list(marks.values()))
        axes.yaxis.get_major_ticks()[-1].gridline.set_visible(not rows)
        if max_drop > 0:
            _limit(axes, math.log10(max_drop), f"budget {max_drop * 100:g} %")
        _points(axes, [(t, heights[t.name], bounds[t.name]) for t in shown])
        axes.set_xlabel("items per second, in-process")
        said = (f"{name} {seen * 100:.2g} %" for name, (seen, _) in losses.items())
        return svg.render(drawing, "fidelity", f"Lost against FP32: {', '.join(said)}")


def _points(axes: Axes, points: Sequence[tuple[Trial, float, float]]) -> None:
    """Markers, ranges over the rounds and whiskers up to the bound; the chosen one is named."""
    for trial, low, high in points:
        found, chosen = trial.throughput, trial.verdict == "chosen"
        line: dict[str, Any] = {"color": CHOSEN if chosen else MUTED, "linewidth": 1.2}
        axes.plot([found.median_per_s] * 2, [low, high], **line)
        axes.plot(found.median_per_s, high, "_", markersize=8, **line)
        axes.plot([found.low_per_s, found.high_per_s], [low, low], **line)
        line |= {"markerfacecolor": "none"} if trial.verdict == "refused" else {}
        axes.plot(found.median_per_s, low, "o", markersize=9 if chosen else 6, **line)
        if chosen:
            point = (found.median_per_s, low)
            fits = _left_of(axes, point) + 10 + LETTER * len(trial.name) < svg.WIDTH
            place: dict[str, Any] = {} if fits else {"ha": "right"}
            offset = (9, -4) if fits else (6, -20)
            _write(axes, point, trial.name, offset, weight="bold", color=INK, **place)
    for precision, x, y in _clusters(axes, points):
        fits = _left_of(axes, (x, y)) - 12 - LETTER * len(precision) > axes.bbox.x0
        place = {"ha": "right"} if fits else {}
        offset = (-11, -4) if fits else (-4, -20)
        _write(axes, (x, y), precision, offset, color=MUTED, **place)


def _left_of(axes: Axes, point: tuple[float, float]) -> float:
    """SVG units from the drawing's left edge to the data `point`."""
    return float(axes.transData.transform(point)[0])


def _clusters(
    axes: Axes, points: Sequence[tuple[Trial, float, float]]
) -> list[tuple[str, float, float]]:
    """(precision, x, y) of the slowest point of each cluster: same precision, about as high.

    Variants of one precision differ in speed and hardly in fidelity: one name serves them all,
    where a name each would be a heap of names. The bars beside name every one.
    """
    low, high = axes.get_ylim()
    near = (high - low) * 2 * FONT_SIZE / axes.bbox.height
    found: list[tuple[str, float, float]] = []
    for trial, y, _ in sorted(points, key=lambda point: point[0].throughput.median_per_s):
        if not any(trial.precision == name and abs(y - top) < near for name, _, top in found):
            found.append((trial.precision, trial.throughput.low_per_s, y))
    return found


def _limit(axes: Axes, height: float, text: str) -> None:
    """A dashed line at `height` across the axes, with its name above its left end."""
    axes.axhline(height, color=LIMIT, linewidth=1.3, linestyle=(0, (4, 3)))
    left = axes.get_xlim()[0]
    _write(axes, (left, height), text, (4, 4), color=LIMIT)


def _marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within `low`..`high`; the powers alone where it is wide."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 2000 else (1,)
    marks = [step * 10.0**power for power in powers for step in steps]
    return [mark for mark in marks if low <= mark <= high]


def percentiles(loads: Sequence[LoadResult]) -> str | None:
    """Latency by percentile, the axis stretched towards 100 % as in HdrHistogram's plots.

    The step of every run ends at its slowest request; the p99 carries its 95 % interval.
    """
    runs = [(number, load) for number, load in enumerate(loads) if load.latency_ms is not None]
    if not runs:
        return None
    with svg.styled("percentiles"):
        drawing, (axes,) = svg.canvas(380, left=50, right=14, top=22 * len(runs) + 10, bottom=40)
        for number, load in runs:
            _percentile_line(axes, number, load)
        axes.set_xscale("log")
        most = max(load.succeeded for _, load in runs)
        nines = math.floor(math.log10(most))
        shares = [0, 0.5, *(1 - 10.0**-power for power in range(1, nines + 1))]
        names = ["min", "p50", *(f"p{(1 - 10.0**-n) * 100:.10g}" for n in range(1, nines + 1))]
        axes.set_xlim(1, max(most, 2) * 1.1)
        axes.xaxis.set_major_locator(FixedLocator([1 / (1 - share) for share in shares]))
        axes.xaxis.set_major_formatter(FixedFormatter(names))
        axes.xaxis.set_minor_locator(NullLocator())
        _milliseconds(axes, "y", [load for _, load in runs])
        for limit in sorted({load.slo.p99_ms for _, load in runs if load.slo}):
            _limit(axes, limit, f"SLO: p99 {limit:g} ms")
        axes.set_xlabel("percentile of the requests that succeeded")
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1), borderaxespad=0.2, handlelength=2.4
        )
        said = (f"{load.arrivals}: p99 {load.quantiles_ms([0.99])[0]:.3g} ms" for _, load in runs)
        return svg.render(drawing, "percentiles", f"Latency by percentile. {'; '.join(said)}")


def _percentile_line(axes: Axes, number: int, load: LoadResult) -> None:
    colour, dash = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
    tails = np.geomspace(1, load.succeeded, POINTS)
    latencies = load.quantiles_ms([1 - 1 / float(tail) for tail in tails])
    style: dict[str, Any] = {"color": colour, "linewidth": 1.9, "linestyle": dash}
    axes.plot(tails, latencies, drawstyle="steps-post", label=str(load.arrivals), **style)
    if load.latency_ms is not None and load.p99_interval_ms is not None:
        axes.plot([100, 100], load.p99_interval_ms, color=colour, linewidth=1.3)
        axes.plot([100, 100], load.p99_interval_ms, "_", color=colour, markersize=9)
        axes.plot(100, load.latency_ms.p99, "o", color=colour, markersize=6)


def _milliseconds(axes: Axes, which: str, loads: Sequence[LoadResult]) -> None:
    """A log axis in milliseconds from the fastest request seen to the slowest, or to the SLO."""
    seen = [latency for load in loads for latency in load.quantiles_ms([0, 1])]
    limits = [load.slo.p99_ms for load in loads if load.slo is not None]
    low, high = max(min(seen), RESOLUTION_MS) / 1.25, max(*seen, *limits) * 1.6
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis, unit = (axes.xaxis, "") if which == "x" else (axes.yaxis, " ms")
    marks = _marks(low, high)
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(FixedFormatter([f"{mark:g}{unit}" for mark in marks]))
    axis.set_minor_locator(NullLocator())


def histograms(loads: Sequence[LoadResult]) -> str | None:
    """Requests per latency bin, one row a run, all with the same log axis and the SLO's line."""
    runs = [(number, load) for number, load in enumerate(loads) if load.latency_ms is not None]
    if not runs:
        return None
    with svg.styled("histograms"):
        height = 50 + 165 * len(runs)
        drawing, rows = svg.canvas(height, left=50, right=14, top=20, bottom=40, rows=len(runs))
        for axes, (number, load) in zip(rows, runs, strict=True):
            _milliseconds(axes, "x", [load for _, load in runs])
            edges = np.geomspace(*axes.get_xlim(), BINS + 1)
            latencies_us, counts = np.array(load.histogram_us).T
            latencies_ms = np.maximum(latencies_us / 1000, RESOLUTION_MS)
            heights, _ = np.histogram(latencies_ms, edges, weights=counts)
            axes.stairs(heights, edges, fill=True, color=SERIES[number % len(SERIES)])
            if load.slo is not None:
                axes.axvline(load.slo.p99_ms, color=LIMIT, linewidth=1.3, linestyle=(0, (4, 3)))
            axes.set_title(str(load.arrivals), loc="left", fontsize=FONT_SIZE, color=INK)
            if load.slo is not None and axes is rows[0]:
                point = (load.slo.p99_ms, axes.get_ylim()[1])
                _write(axes, point, "SLO", (-4, -11), color=LIMIT, ha="right")
            if axes is not rows[-1]:
                axes.tick_params(labelbottom=False)
        rows[-1].set_xlabel("milliseconds (bins widen with latency)")
        said = (f"{load.arrivals}: {load.succeeded} requests" for _, load in runs)
        return svg.render(drawing, "histograms", f"Latency distribution. {'; '.join(said)}")
