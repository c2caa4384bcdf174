"""Results on stdout: tables for people, or JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.table import Table

    from plansmith.demo import Done
    from plansmith.infer import Answer
    from plansmith.manifest import Manifest
    from plansmith.pipeline import Built
    from plansmith.server import Server

# Exit codes by verdict: the load tester's too.
EXIT_CODES = {"pass": 0, "fail": 1, "unclear": 4}
VERDICT_STYLES = {"chosen": "bold green", "refused": "red", "reference": "dim", "baseline": "dim"}
SHOWN_VALUES = 8


def show_plans(plans: Mapping[str, Mapping[str, str]], *, as_json: bool) -> None:
    """What a build would do, stage by stage."""
    if as_json:
        print(json.dumps(plans, indent=2))
        return
    for model, stages in plans.items():
        for stage, what in stages.items():
            print(f"{model}: {stage}: {what}")


def show_built(built: Sequence[Built], *, as_json: bool) -> None:
    """Each model's version: its variants where it is new, one line where it was current."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(list(built)), indent=2).decode())
        return
    for one in built:
        manifest = one.manifest
        if one.changed:
            _print(variants(manifest))
            print(f"{manifest.model}: version {manifest.version} published: {manifest.chosen.name}")
        else:
            print(
                f"{manifest.model}: version {manifest.version} is current "
                f"({manifest.chosen.name}): nothing to do"
            )


def variants(manifest: Manifest) -> Table:
    """Every trial of a version, the chosen first."""
    from rich.table import Table

    from plansmith.findings import table_order

    table = Table(
        title=f"{manifest.model} v{manifest.version} on {manifest.target}: {manifest.machine.cpu}, "
        f"{manifest.machine.cores} cores",
        title_justify="left",
    )
    for name, justify in (
        ("variant", "left"),
        ("items/s", "right"),
        ("range", "right"),
        ("p50 ms", "right"),
        ("top-1 as FP32", "right"),
        ("KL", "right"),
        ("MB", "right"),
        ("verdict", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # pyright: ignore[reportArgumentType]
    for trial in sorted(manifest.trials, key=table_order):
        speed, fidelity = trial.throughput, trial.fidelity
        table.add_row(
            trial.name,
            f"{speed.median_per_s:.1f}",
            f"{speed.low_per_s:.0f}-{speed.high_per_s:.0f}",
            f"{trial.latency.p50_ms:.2f}",
            f"{fidelity.top1_agreement:.2%}" if fidelity else "",
            f"{fidelity.mean_kl:.1e}" if fidelity else "",
            f"{trial.size_bytes / 1e6:.1f}",
            trial.verdict,
            style=VERDICT_STYLES.get(trial.verdict),
        )
    return table


def show_ready(server: Server, repository: Path, *, as_json: bool) -> None:
    """The ready line."""
    where = {"grpc": server.grpc_url, "http": server.http_url, "metrics": server.metrics_url}
    if as_json:
        table = {"ready": True, **where, "log": str(server.log), "repository": str(repository)}
        print(json.dumps(table), flush=True)
        return
    urls = ", ".join(f"{name} {url}" for name, url in where.items())
    print(f"ready: {repository} at {urls}; log {server.log}; Ctrl-C stops", flush=True)


def show_answers(answers: Sequence[Answer], *, as_json: bool) -> None:
    """Ranked classes with their probabilities, or the first values of each output."""
    if as_json:
        print(json.dumps([_plain(answer) for answer in answers], indent=2))
        return
    for answer in answers:
        for place, item in enumerate(answer.classes):
            print(str(answer.file) if len(answer.classes) == 1 else f"{answer.file} [{place}]")
            for one in item:
                print(f"  {one.probability:7.2%}  {one.index:4}  {one.label}")
        for name, array in answer.outputs.items():
            values = ", ".join(str(value) for value in array.ravel()[:SHOWN_VALUES])
            more = ", ..." if array.size > SHOWN_VALUES else ""
            print(f"{answer.file}: {name} {array.dtype} {list(array.shape)}: {values}{more}")


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "file": str(answer.file),
        "classes": [
            [
                {"index": one.index, "label": one.label, "probability": one.probability}
                for one in item
            ]
            for item in answer.classes
        ],
        "outputs": {
            name: {"dtype": array.dtype.name, "shape": list(array.shape), "values": _values(array)}
            for name, array in answer.outputs.items()
        },
    }


def _values(array: Any) -> list[Any]:
    if array.dtype.hasobject:
        return [value.decode("utf-8", "replace") for value in array.ravel()]
    return array.ravel().tolist()


def show_demo(done: Done, *, as_json: bool) -> int:
    """Variants, load runs, verdict and where the report is; the verdict's exit code."""
    from plansmith.findings import headline, verdict

    word, reason = verdict(done.report)
    if as_json:
        print(done.json.read_text(), end="")
        return EXIT_CODES[word]
    _print(variants(done.report.manifest))
    _print(_loads(done))
    _print(_predictions(done))
    print(headline(done.report))
    print(f"{word.upper()}: {reason}")
    print(f"report: {done.html} and {done.json}")
    return EXIT_CODES[word]


def _loads(done: Done) -> Table:
    from rich.table import Table

    table = Table(title=f"served: {done.report.server}", title_justify="left")
    for name in ("load", "items/s", "p50 ms", "p99 ms", "p99 interval", "failed", "verdict"):
        table.add_column(name, justify="left" if name in ("load", "verdict") else "right")
    for load in done.report.loads:
        latency, interval = load.latency_ms, load.p99_interval_ms
        table.add_row(
            str(load.arrivals),
            f"{load.throughput_per_s:.1f}",
            f"{latency.p50:.2f}" if latency else "",
            f"{latency.p99:.2f}" if latency else "",
            f"{interval[0]:.1f}-{interval[1]:.1f}" if interval else "too few",
            str(load.failed),
            load.verdict,
        )
    return table


def _predictions(done: Done) -> Table:
    from rich.table import Table

    table = Table(title="pictures through the server", title_justify="left")
    for name in ("picture", "class", "probability", "as FP32"):
        table.add_column(name)
    for shown in done.report.predictions:
        best = shown.served[0]
        table.add_row(
            shown.title, best.label, f"{best.probability:.1%}", "yes" if shown.agrees else "no"
        )
    return table


def _print(table: Table) -> None:
    import sys

    from rich.console import Console

    # A pipe has no width of its own: as wide as the table, so that no figure is cut off.
    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False).print(table)
