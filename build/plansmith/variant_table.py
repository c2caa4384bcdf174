"""One target's variants as a terminal shows them, and why some were refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from plansmith.figures import NOT_MEASURED, floor_percent, megabytes, percent, points
from plansmith.findings import relative_macs, table_order

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from plansmith.compare import Fidelity
    from plansmith.manifest import Manifest, TargetBuild, Trial

VERDICT_STYLES = {"chosen": "bold green", "refused": "red", "reference": "dim", "baseline": "dim"}
# What a narrow terminal does without, the first first.
SPARE_COLUMNS = ("range", "KL", "peak MB", "MACs", "MB", "p50 ms", "at 95 %")
UNLIMITED = 10_000


def fitting(manifest: Manifest, build: TargetBuild, console: Console) -> Table:
    """The table of variants; on a narrow terminal without the columns that matter least.

    No figure is cut off: half a figure is a wrong one.
    """
    table = variants(manifest, build)
    for count in range(1, len(SPARE_COLUMNS) + 1):
        needed = console.measure(table, options=console.options.update(width=UNLIMITED)).maximum
        if needed <= console.width:
            break
        table = variants(manifest, build, SPARE_COLUMNS[:count])
    return table


def refusals(build: TargetBuild) -> list[tuple[str, str]]:
    """Every form that was not made and every trial that was refused, with the reason."""
    forms = [(form.name, form.refused) for form in build.forms if form.refused]
    trials = [(trial.name, trial.reason) for trial in build.trials if trial.verdict == "refused"]
    return forms + trials


def variants(manifest: Manifest, build: TargetBuild, left_out: Collection[str] = ()) -> Table:
    """Every trial of one target, the chosen first, without the columns of `left_out`."""
    from rich.table import Table

    machine = build.machine
    table = Table(
        title=f"{manifest.model} v{manifest.version} on {build.target}: {machine.cpu}, "
        f"{machine.cores} cores",
        title_justify="left",
        caption=f"left out, for want of room: {', '.join(left_out)}" if left_out else None,
        caption_justify="left",
    )
    rows = [(trial, _cells(trial, build)) for trial in sorted(build.trials, key=table_order)]
    shown = [name for name in rows[0][1] if name not in left_out]
    for name in shown:
        justify = "left" if name in ("variant", "verdict") else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for trial, cells in rows:
        style = VERDICT_STYLES.get(trial.verdict)
        table.add_row(*(cells[name] for name in shown), style=style)
    return table


def _cells(trial: Trial, build: TargetBuild) -> dict[str, str]:
    """A trial's row by column; what is no variant has no fidelity to measure."""
    speed, near = trial.throughput, trial.fidelity
    nothing = "" if trial.verdict in ("reference", "baseline") else NOT_MEASURED
    top1, bound = _top1(near) if near else (nothing, "")
    macs = relative_macs(build.form(trial.form), build.forms)
    return {
        "variant": trial.name,
        "items/s": f"{speed.median_per_s:.1f}" if speed else NOT_MEASURED,
        "range": f"{speed.low_per_s:.0f}-{speed.high_per_s:.0f}" if speed else "",
        "p50 ms": f"{trial.latency.p50_ms:.2f}" if trial.latency else NOT_MEASURED,
        "top-1": top1,
        "at 95 %": bound,
        "KL": f"{near.mean_kl:.1e}" if near else nothing,
        "MACs": NOT_MEASURED if macs is None else "" if macs == 1 else f"{macs:.2f}x",
        "MB": megabytes(trial.size_bytes),
        "peak MB": megabytes(trial.peak_memory_bytes),
        "verdict": trial.verdict,
    }


def _top1(fidelity: Fidelity) -> tuple[str, str]:
    """The accuracy and the most it may have dropped; without labels the agreement with FP32."""
    if (labelled := fidelity.labelled) is not None:
        return percent(labelled.accuracy), f"drop <= {points(labelled.drop_high)}"
    low = floor_percent(fidelity.top1_agreement_low)
    return f"{percent(fidelity.top1_agreement)} as FP32", f">= {low}"
