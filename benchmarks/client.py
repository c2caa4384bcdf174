"""What a call costs: this client against tritonclient, over both protocols, sync and asyncio.

    make bench-client [ARGS="--rounds 9 --seconds 2 --only Async --json"]

A Triton on this machine gives back what it gets. Each round measures every client at every size and
concurrency, one right after the other, so that a slow moment of the machine falls on all alike;
ratios are taken within a round. Every client makes its request of an array and gives an array back:
tritonclient's as a user does by hand, with an InferInput for each call. Each group has

- tritonclient's client, which the others of the group are compared with;
- ours over the wire, and over gRPC and HTTP without retries too, to show what those cost;
- ours as it is unless told otherwise, large tensors by shared memory: compared with ours over the
  wire;
- the floor: a request made beforehand, its answer not looked into (floors.py).

CPU is that of this process, all its threads, without the server's. A call that fails ends it all.
The time to import is that of new processes, from the import to a client that has its protocol.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from callers import Sample
from client_cases import Case, cases, chosen
from importing import imports_s
from running import exit_code

from plansmith import places
from plansmith.cache import Cache
from plansmith.machine import describe, tool_versions
from plansmith.progress import for_stderr
from plansmith.server import HOST, TRITON, free_ports, serving
from plansmith.server_files import assemble, find_environment

SIZES_BYTES = (1_000, 150_000, 4_000_000)
CONCURRENCIES = (1, 16)
_CONFIG = """
name: "identity" backend: "python" max_batch_size: 0
input [{ name: "x" data_type: TYPE_UINT8 dims: [-1] }]
output [{ name: "y" data_type: TYPE_UINT8 dims: [-1] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
_MODEL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("y", pb_utils.get_input_tensor_by_name(one, "x").as_numpy())]
            )
            for one in requests
        ]
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A case at one size and concurrency: its samples, and those of its measure."""

    case: Case
    size_bytes: int
    concurrency: int
    samples: tuple[Sample, ...]
    baseline: tuple[Sample, ...]

    def rates(self) -> list[float]:
        return [one.per_s for one in self.samples]

    def cpu_ms(self) -> list[float]:
        return [one.cpu_ms for one in self.samples]

    def ratios(self) -> list[float]:
        return [
            one.per_s / base.per_s for one, base in zip(self.samples, self.baseline, strict=True)
        ]


def main() -> int:
    """Prints one table; 0, or the error's code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument(
        "--bytes",
        type=int,
        nargs="+",
        default=SIZES_BYTES,
        help="of the tensor, both ways (default: %(default)s)",
    )
    parser.add_argument("--only", default="", help="of clients with this in their names")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the table of docs/client.md")
    arguments = parser.parse_args()
    return exit_code("bench-client", lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    cache = Cache(root=arguments.cache)
    files = assemble(find_environment(), places.backends(), cache)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        _write_identity(repository)
        with serving(files, repository, "cpu", free_ports(), cache.root / "logs") as server:
            every = cases(server.grpc_url, HOST, server.ports.http)
            rows = _measure(chosen(every, arguments.only), arguments)
    _show(rows, imports_s(), arguments)
    return 0


def _write_identity(repository: Path) -> None:
    folder = repository / "identity"
    (folder / "1").mkdir(parents=True)
    (folder / "configs").mkdir()
    (folder / "1" / "model.py").write_text(_MODEL)
    (folder / "configs" / "cpu.pbtxt").write_text(_CONFIG)


def _measure(wanted: list[Case], arguments: argparse.Namespace) -> list[Row]:
    sizes, rounds = arguments.bytes, arguments.rounds
    points = [(size, concurrency) for size in sizes for concurrency in CONCURRENCIES]
    arrays = {size: np.random.default_rng(0).integers(0, 256, size, np.uint8) for size in sizes}
    samples: dict[tuple[str, int, int], list[Sample]] = {}
    measured = [
        (case, size, concurrency)
        for size, concurrency in points
        for case in wanted
        if size >= case.least_bytes
    ]
    total, done = rounds * len(measured), 0
    with for_stderr().step("bench-client") as step:
        for _ in range(rounds):
            for case, size, concurrency in measured:
                step.update(done, total, f"{case.name}, {size} bytes, {concurrency} in flight")
                sample = case.measure(arrays[size], concurrency, arguments.seconds)
                samples.setdefault((case.name, size, concurrency), []).append(sample)
                done += 1
    return [
        Row(
            case=case,
            size_bytes=size,
            concurrency=concurrency,
            samples=tuple(samples[case.name, size, concurrency]),
            baseline=tuple(samples[case.against, size, concurrency]),
        )
        for case, size, concurrency in measured
    ]


def _show(rows: list[Row], imports: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    machine = describe()
    about: dict[str, Any] = {
        "machine": f"{machine.cpu}, {machine.cores} cores, {', '.join(machine.features)}",
        "server": f"Triton {TRITON}, embedded, Python backend, same machine",
        "tools": tool_versions(("grpcio", "tritonclient", "geventhttpclient", "aiohttp", "numpy")),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "load_before": _LOAD_BEFORE,
        "import_s": imports,
    }
    if arguments.json:
        plain = [
            {
                "name": row.case.name,
                "against": row.case.against,
                "bytes": row.size_bytes,
                "in_flight": row.concurrency,
                "per_s": row.rates(),
                "ratios": row.ratios(),
                "cpu_ms": row.cpu_ms(),
            }
            for row in rows
        ]
        print(json.dumps({**about, "rows": plain}, indent=2))
        return
    if arguments.markdown:
        print(_markdown(rows))
        return
    print(f"machine: {about['machine']}; load average before: {_LOAD_BEFORE:.1f}")
    print(f"server: {about['server']}")
    print("tools:", ", ".join(f"{name} {version}" for name, version in about["tools"].items()))
    print(
        f"{arguments.rounds} rounds of {arguments.seconds:g} s each, interleaved; median (range). "
        "CPU: ms a call, which is s for 1,000 calls"
    )
    for url, seconds in imports.items():
        print(f"import and Client({url!r}): {_spread(seconds, '.3f')} s")
    point = None
    for row in rows:
        if point != (row.size_bytes, row.concurrency):
            point = (row.size_bytes, row.concurrency)
            print(f"\n{row.size_bytes} bytes, {row.concurrency} in flight")
        rate, cpu = _spread(row.rates(), ".0f"), _spread(row.cpu_ms(), ".3f")
        print(f"  {row.case.name:<31} {rate:>20}/s  CPU {cpu:<22}", end="")
        compared = row.case.name != row.case.against
        print(f" {_spread(row.ratios(), '.2f')} of {row.case.against}" if compared else "")


def _markdown(rows: list[Row]) -> str:
    """Medians: CPU ms of a call, calls a second, and those as a share of the compared client's."""
    points = sorted({(row.size_bytes, row.concurrency) for row in rows})
    cells: dict[str, dict[tuple[int, int], str]] = {}
    for row in rows:
        cell = f"{statistics.median(row.cpu_ms()):.2f} ms, {statistics.median(row.rates()):.0f}/s"
        if row.case.name != row.case.against:
            cell += f" ({statistics.median(row.ratios()):.2f}x)"
        cells.setdefault(row.case.name, {})[row.size_bytes, row.concurrency] = cell
    heads = (f"{size // 1000} kB, {concurrency} in flight" for size, concurrency in points)
    lines = [f"| client | {' | '.join(heads)} |", "|---" * (1 + len(points)) + "|"]
    for name, found in cells.items():
        lines.append(f"| {name} | {' | '.join(found.get(point, '') for point in points)} |")
    return "\n".join(lines)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


_LOAD_BEFORE = os.getloadavg()[0]


if __name__ == "__main__":
    sys.exit(main())
