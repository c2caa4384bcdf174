"""Results on stdout: tables for people, or JSON for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from plansmith.demo import Done
    from plansmith.infer import Answer
    from plansmith.manifest import Manifest, TargetBuild
    from plansmith.pipeline import Built
    from plansmith.server import Server

# Exit codes by verdict: the load tester's too.
EXIT_CODES = {"pass": 0, "fail": 1, "unclear": 4}
SHOWN_VALUES = 8
PIPE_WIDTH = 240


def show_plans(plans: Mapping[str, Mapping[str, str]], *, as_json: bool) -> None:
    """What a build would do, stage by stage."""
    if as_json:
        print(json.dumps(plans, indent=2))
        return
    for model, stages in plans.items():
        for stage, what in stages.items():
            print(f"{model}: {stage}: {what}")


def show_built(built: Sequence[Built], *, as_json: bool) -> None:
    """For each target built anew its variants and what was refused, and a line for each other.

    What failed is in the JSON alone: people are told on stderr.
    """
    if as_json:
        # Of an error the message is what a machine can use.
        text = msgspec.json.encode(list(built), enc_hook=str)
        print(msgspec.json.format(text, indent=2).decode())
        return
    for one in built:
        found = one.manifest.targets if one.manifest else ()
        for target in dict.fromkeys((*one.targets, *one.current, *found)):
            if target in one.failures:
                continue
            if one.manifest is None or target not in found:
                what = "is current" if target in one.current else "served again"
                print(f"{one.model}: {target}: {what}, from an older version")
                continue
            _show_target(one, one.manifest, target)


def _show_target(one: Built, manifest: Manifest, target: str) -> None:
    build = manifest.on(target)
    version = f"{manifest.model}: {target}: version {manifest.version}"
    if target not in one.targets:
        # Whether it is current was asked only of the targets that were to be built.
        what = "is current" if target in one.current else "stays as it was"
        print(f"{version} {what}: {build.chosen.name}")
        return
    if manifest.budget is None:
        print(f"{version} published: {build.chosen.reason}")
        return
    from plansmith.variant_table import refusals

    _print_variants(manifest, build)
    for name, reason in refusals(build):
        print(f"refused: {name}: {reason}")
    done = "staged, not served yet" if one.staged else "published"
    print(f"{version} {done}: {build.chosen.name}")


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
            print(answer.source if len(answer.classes) == 1 else f"{answer.source} [{place}]")
            for one in item:
                print(f"  {one.probability:7.2%}  {one.index:4}  {one.label}")
        for name, array in answer.outputs.items():
            first = array.ravel()[:SHOWN_VALUES]
            values = ", ".join(map(str, _values(first) if array.dtype.hasobject else first))
            more = ", ..." if array.size > SHOWN_VALUES else ""
            print(f"{answer.source}: {name} {array.dtype} {list(array.shape)}: {values}{more}")


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "file": answer.source,
        "classes": [
            [
                {"index": one.index, "label": one.label, "probability": one.probability}
                for one in item
            ]
            for item in answer.classes
        ],
        "outputs": {
            name: {
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "values": [_in_json(value) for value in _values(array)],
            }
            for name, array in answer.outputs.items()
        },
    }


def _values(array: Any) -> list[Any]:
    if array.dtype.hasobject:
        return [value.decode("utf-8", "replace") for value in array.ravel()]
    return array.ravel().tolist()


def _in_json(value: Any) -> Any:
    """`value`, or what protobuf's JSON has for a number that JSON has none for."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value


def show_demo(done: Done, *, as_json: bool) -> int:
    """Variants, load runs, verdict and where the report is; the verdict's exit code."""
    from plansmith.findings import headline, verdict

    word, reason = verdict(done.report)
    if as_json:
        print(done.json.read_text(), end="")
        return EXIT_CODES[word]
    _print_variants(done.report.manifest, done.report.build)
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


def _print_variants(manifest: Manifest, build: TargetBuild) -> None:
    from plansmith.variant_table import fitting

    terminal = console()
    terminal.print(fitting(manifest, build, terminal))


def _print(table: Table) -> None:
    console().print(table)


def console() -> Console:
    """For stdout."""
    import sys

    from rich.console import Console

    # A pipe has no width of its own: wider than any table.
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
