"""What building costs, and what it gains: time of each stage, peak memory, variants' speeds.

    make bench-build [ARGS="--model digits_cnn --target cpu --json"]

Every model is built twice by `plansmith build` in a process of its own, first with an empty cache,
then again; its recipe is copied, so the published versions here stay as they are. Speeds are those
that the cold build measured: engines take turns round by round, ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from running import exit_code

from plansmith.errors import PlansmithError
from plansmith.machine import describe
from plansmith.manifest import Manifest, TargetBuild, Trial
from plansmith.repository import ModelFolder
from plansmith.statistics import Interval, ratio_interval

# "measure done in 12.3 s", as PlainProgress tells it.
_DONE = re.compile(r"^(?P<stage>.+) done in (?P<seconds>[\d.]+) s$", re.MULTILINE)
# What `plansmith build` writes, none of which is the recipe's.
PRODUCTS = shutil.ignore_patterns("[0-9]*", "config.pbtxt", "configs", "__pycache__")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One build: `stages_s` by name, `peak_bytes` of the largest process in it."""

    seconds: float
    stages_s: dict[str, float]
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A variant against the fastest trial of one kind, within each round; None: not measured."""

    target: str
    variant: str
    verdict: str
    against: str
    throughput: Interval
    latency: Interval


@dataclass(frozen=True, kw_only=True)
class Result:
    """One model: a build from nothing, and the same again."""

    model: str
    cold: Run
    warm: Run
    speeds: tuple[Speed, ...]


def main() -> int:
    """Prints a table for each model; 0, or the error's code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", action="append", help="all with a recipe, if none")
    parser.add_argument("--target", help="all the recipe's, if not given")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    return exit_code("bench-build", lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    recipes = sorted(arguments.repository.glob("*/recipe.toml"))
    models = arguments.model or [path.parent.name for path in recipes]
    results = [_measure(arguments.repository / name, arguments.target) for name in models]
    _show(results, as_json=arguments.json)
    return 0


def _measure(folder: Path, target: str | None) -> Result:
    with tempfile.TemporaryDirectory(prefix="bench-build-") as temporary:
        copy = Path(temporary) / "repository" / folder.name
        shutil.copytree(folder, copy, ignore=PRODUCTS)
        cache = Path(temporary) / "cache"
        cold, warm = (_build(copy, target, cache) for _ in range(2))
        manifest = ModelFolder(path=copy).latest()
    if manifest is None:
        raise PlansmithError(f"{folder.name}: nothing was published")
    return Result(model=folder.name, cold=cold, warm=warm, speeds=tuple(_speeds(manifest)))


def _build(folder: Path, target: str | None, cache: Path) -> Run:
    command = [sys.executable, "-m", "plansmith", "build", folder.name]
    command += ["--repository", str(folder.parent), "--cache", str(cache)]
    command += ["--target", target] if target else []
    log = cache.with_suffix(".log")
    begun = time.monotonic()
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        # Of this child and its own, unlike resource.getrusage, which knows the largest of all.
        _, status, usage = os.wait4(process.pid, 0)
    seconds, told = time.monotonic() - begun, log.read_text()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise PlansmithError(f"{folder.name}: the build ended with {process.returncode}:\n{told}")
    stages = {found["stage"]: float(found["seconds"]) for found in _DONE.finditer(told)}
    return Run(seconds=seconds, stages_s=stages, peak_bytes=usage.ru_maxrss * 1024)


def _speeds(manifest: Manifest) -> list[Speed]:
    return [
        _speed(build, trial, other)
        for build in manifest.builds
        for other in (build.fastest("reference"), build.fastest("baseline"))
        for trial in build.trials
        if other is not None and trial.throughput and trial.verdict not in ("reference", "baseline")
    ]


def _speed(build: TargetBuild, trial: Trial, other: Trial) -> Speed:
    assert trial.throughput is not None
    assert trial.latency is not None
    assert other.throughput is not None
    assert other.latency is not None
    rates, latencies = trial.throughput.rates_per_s, trial.latency.round_p50_ms
    return Speed(
        target=build.target,
        variant=trial.name,
        verdict=trial.verdict,
        against=other.name,
        throughput=ratio_interval(rates, other.throughput.rates_per_s),
        latency=ratio_interval(other.latency.round_p50_ms, latencies),
    )


def _show(results: list[Result], *, as_json: bool) -> None:
    machine = describe()
    if as_json:
        table = {"machine": asdict(machine), "models": [asdict(one) for one in results]}
        print(json.dumps(table, indent=2))
        return
    print(f"{machine.cpu}, {machine.cores} cores, {', '.join(machine.features)}; {machine.system}")
    for one in results:
        print(
            f"\n{one.model}: cold {one.cold.seconds:.1f} s, peak {one.cold.peak_bytes / 1e6:.0f} MB"
            f"; nothing changed {one.warm.seconds:.1f} s, peak {one.warm.peak_bytes / 1e6:.0f} MB"
        )
        for stage, seconds in one.cold.stages_s.items():
            print(f"  {stage:<28}{seconds:8.1f} s")
        if one.speeds:
            print("  times as fast, median (range) of rounds: items/s, one request")
        for speed in one.speeds:
            print(
                f"  {speed.target} {speed.variant:<28} {speed.verdict:<8} "
                f"{_said(speed.throughput)}  {_said(speed.latency)}  x {speed.against}"
            )


def _said(found: Interval) -> str:
    return f"{found.median:5.2f} ({found.low:.2f}-{found.high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
