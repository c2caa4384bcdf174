"""What serving costs: requests per second through Triton against the same engine in-process.

    make bench-serve [ARGS="--rounds 9 --seconds 4 --json"]

Everything runs on this one machine, server and clients on the same cores. Each round measures the
in-process ceiling, the single-request rate, and every client at every concurrency, so that a slow
moment of the machine falls on all alike; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bare_client import closed_loop, prebuilt
from numpy.typing import NDArray
from running import exit_code

from plansmith import job as jobs
from plansmith import pipeline, places
from plansmith.cache import Cache
from plansmith.errors import UnusableInput
from plansmith.machine import describe
from plansmith.manifest import Manifest, TargetBuild
from plansmith.measure import Plan, rows
from plansmith.progress import PlainProgress, Step, for_stderr
from plansmith.repository import ModelFolder
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import assemble, find_environment
from plansmith.stages.cpu import variants_for
from plansmith.targets import openvino
from plansmith_client import AsyncClient

# What the embedded server can run.
TARGET = "cpu"
CONCURRENCIES = (1, 8, 16)
WARM_UP_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: its rate in each round, and what it is divided by."""

    name: str
    against: str
    rates_per_s: tuple[float, ...]
    shares: tuple[float, ...]


def main() -> int:
    """Prints one table; 0, or the error's code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    return exit_code("bench-serve", lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    folder, cache = arguments.repository / arguments.model, Cache(root=arguments.cache)
    manifest = ModelFolder(path=folder).latest(TARGET)
    if manifest is None:
        raise UnusableInput(f"{folder}: no version has been published yet; run `make build`")
    build, job = manifest.on(TARGET), jobs.prepare(folder, TARGET, Plan())
    if not isinstance(job, jobs.Job):
        raise UnusableInput(f"{folder}: is served as it is; name an optimised model: --model")
    golden = pipeline.load_golden(job, cache, PlainProgress())
    images = golden.samples.arrays[manifest.inputs[0].name][:64]
    variants = variants_for(job.recipe, build.machine, build.forms)
    variant = next(one for one in variants if one.name == build.chosen.name)
    engine = openvino.open_engine(folder / str(manifest.version) / openvino.MODEL_FILE, variant)
    files = assemble(find_environment(), places.backends(), cache)
    logs, models = cache.root / "logs", (manifest.model,)
    with (
        serving(files, arguments.repository, TARGET, free_ports(), logs, models) as server,
        for_stderr().step("bench-serve") as step,
    ):
        table = _measure(arguments, manifest, engine, images, server, step)
    _show(arguments, manifest, build, folder, table)
    return 0


def _measure(
    arguments: argparse.Namespace,
    manifest: Manifest,
    engine: openvino.OpenVinoEngine,
    images: NDArray[np.uint8],
    server: Server,
    step: Step,
) -> list[Row]:
    name, output = manifest.inputs[0].name, manifest.outputs[0].name
    requests = [prebuilt(manifest.model, name, output, image[None]) for image in images]
    seconds: float = arguments.seconds

    def ceiling() -> float:
        return _flood(engine, {name: images}, seconds)

    def single() -> float:
        return _one_by_one(engine, {name: images}, seconds)

    def bare(concurrency: int) -> Callable[[], float]:
        return lambda: asyncio.run(
            closed_loop(server.ports.http, requests, concurrency, seconds, WARM_UP_S)
        )

    def ours(concurrency: int) -> Callable[[], float]:
        return lambda: asyncio.run(
            _through_client(server.grpc_url, manifest.model, images, concurrency, seconds)
        )

    measured = {"in-process ceiling": ceiling, "in-process single": single}
    for concurrency in CONCURRENCIES:
        measured[f"bare client, {concurrency} in flight"] = bare(concurrency)
    for concurrency in CONCURRENCIES:
        measured[f"plansmith_client, {concurrency} in flight"] = ours(concurrency)
    rates: dict[str, list[float]] = {what: [] for what in measured}
    total = arguments.rounds * len(measured)
    for turn in range(arguments.rounds):
        for place, (what, measure) in enumerate(measured.items()):
            step.update(turn * len(measured) + place, total, what)
            rates[what].append(measure())
    return [_row(what, rates) for what in measured]


def _row(what: str, rates: dict[str, list[float]]) -> Row:
    # One request at a time can be no faster than the engine is with one; more can.
    against = "in-process single" if " 1 in flight" in what else "in-process ceiling"
    shares = [one / base for one, base in zip(rates[what], rates[against], strict=True)]
    return Row(name=what, against=against, rates_per_s=tuple(rates[what]), shares=tuple(shares))


def _flood(
    engine: openvino.OpenVinoEngine, feed: dict[str, NDArray[np.uint8]], seconds: float
) -> float:
    size = engine.batch_size
    batches = [rows(feed, at, at + size) for at in range(0, 64 - size + 1, size)]
    engine.start(batches[0])
    engine.finish()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        engine.start(batches[count % len(batches)])
        count += 1
    engine.finish()
    return count * size / (time.perf_counter() - begun)


def _one_by_one(
    engine: openvino.OpenVinoEngine, feed: dict[str, NDArray[np.uint8]], seconds: float
) -> float:
    singles = [rows(feed, at, at + 1) for at in range(64)]
    engine.single(singles[0])
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        engine.single(singles[count % len(singles)])
        count += 1
    return count / (time.perf_counter() - begun)


async def _through_client(
    url: str, model: str, images: NDArray[np.uint8], concurrency: int, seconds: float
) -> float:
    async with AsyncClient(url) as client:
        served = client.model(model)
        await served.metadata()
        begun = time.perf_counter() + WARM_UP_S
        end = begun + seconds
        answered: list[float] = []

        async def user(first: int) -> None:
            at = first
            while time.perf_counter() < end:
                await served(images[at % 64][None])
                answered.append(time.perf_counter())
                at += 1

        await asyncio.gather(*(user(index * 64 // concurrency) for index in range(concurrency)))
    return sum(begun <= at < end for at in answered) / seconds


def _show(
    arguments: argparse.Namespace,
    manifest: Manifest,
    build: TargetBuild,
    folder: Path,
    table: list[Row],
) -> None:
    machine = describe()
    about = {
        "model": f"{manifest.model} v{manifest.version}: {build.chosen.name}",
        "image_bytes": int(np.prod(manifest.inputs[0].shape)),
        "machine": f"{machine.cpu}, {machine.cores} cores, {', '.join(machine.features)}",
        "tools": build.tools,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "config": (folder / "configs" / f"{TARGET}.pbtxt").read_text(),
    }
    if arguments.json:
        plain = [
            {"name": r.name, "against": r.against, "per_s": r.rates_per_s, "shares": r.shares}
            for r in table
        ]
        print(json.dumps({**about, "rows": plain}, indent=2))
        return
    for name in ("model", "machine"):
        print(f"{name}: {about[name]}")
    print("tools:", ", ".join(f"{name} {version}" for name, version in build.tools.items()))
    print(f"{arguments.rounds} rounds of {arguments.seconds:g} s each, interleaved; median (range)")
    for row in table:
        rates, shares = row.rates_per_s, row.shares
        rate = f"{statistics.median(rates):7.1f}/s ({min(rates):.0f}-{max(rates):.0f})"
        share = f"{statistics.median(shares):5.2f} ({min(shares):.2f}-{max(shares):.2f})"
        print(f"{row.name:<32} {rate:<24} {share} of {row.against}")


if __name__ == "__main__":
    sys.exit(main())
