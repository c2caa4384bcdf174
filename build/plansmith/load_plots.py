"""The report's plots of load runs: one inline SVG each, or None where no request succeeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from plansmith import svg
from plansmith.load_result import LoadResult
from plansmith.svg import FONT_SIZE, INK, LIMIT, SERIES

# Colour is never the only difference between two lines.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
BINS = 44
# The lines of the percentile plot are drawn through this many exact percentiles.
POINTS = 240
# A log axis needs a smallest value; the load tester's clock has this one.
RESOLUTION_MS = 0.001


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
            svg.limit(axes, limit, f"SLO: p99 {limit:g} ms")
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
    marks = svg.marks(low, high)
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
                svg.write(axes, point, "SLO", (-4, -11), color=LIMIT, ha="right")
            if axes is not rows[-1]:
                axes.tick_params(labelbottom=False)
        rows[-1].set_xlabel("milliseconds (bins widen with latency)")
        said = (f"{load.arrivals}: {load.succeeded} requests" for _, load in runs)
        return svg.render(drawing, "histograms", f"Latency distribution. {'; '.join(said)}")
