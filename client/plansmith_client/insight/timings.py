"""Where the time of a model's calls went between two looks at it: pure.

Triton tells no times with its answers, only sums over all requests of a model: the server's parts
are differences of its statistics, as perf_analyzer takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plansmith_client.insight.stats import ModelStats
from plansmith_client.insight.table import Cell, table
from plansmith_client.management.statistics import Duration, ModelStatistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """`ours`: what the client counted; `server`: what the server did, for each version.

    `refused`: why there is nothing of the server's.
    """

    ours: ModelStats
    server: Sequence[ModelStatistics]
    refused: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerParts:
    """Mean seconds of an answered request at the server; its parts add up to `total_s`.

    `compute_input_s`: gathering the inputs of a batch; `compute_infer_s`: the model itself;
    `compute_output_s`: handing its outputs over; `other_s`: all else, such as a response cache.
    """

    total_s: float
    queue_s: float
    compute_input_s: float
    compute_infer_s: float
    compute_output_s: float
    other_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTimings:
    """Mean seconds of an answered call; `mean_s` is the sum of its parts. Printed, a table.

    `encode_s`, `round_trip_s`, `decode_s` and `other_s` are those of CallTiming; all are None if
    no call was answered. `server`: its share of the round trip; `network_s`: the rest of it, which
    is the network, both protocol stacks and waiting for a core; below zero where a busy server
    counts on when its answer has come. Both are None where the server's share cannot be known:
    `note` says why.
    """

    model: str
    version: int | None
    calls: int
    mean_s: float | None
    encode_s: float | None
    round_trip_s: float | None
    network_s: float | None
    server: ServerParts | None
    decode_s: float | None
    other_s: float | None
    note: str | None = None
    # The server may count what it has answered a little later.
    may_be_early: bool = False

    def __str__(self) -> str:
        inside = self.server
        parts = [("encode", self.encode_s), ("round trip", self.round_trip_s)]
        if inside is not None:
            parts[1:] = [
                ("network", self.network_s),
                ("queue", inside.queue_s),
                ("compute input", inside.compute_input_s),
                ("compute infer", inside.compute_infer_s),
                ("compute output", inside.compute_output_s),
                ("server, other", inside.other_s),
            ]
        parts += [("decode", self.decode_s), ("other", self.other_s), ("total", self.mean_s)]
        rows: list[tuple[Cell, ...]] = [
            (name, _ms(value), self._share(value)) for name, value in parts
        ]
        shown = table((f"{self.model}, {self.calls} calls", "ms", "%"), rows)
        return f"{shown}\n{self.note}" if self.note else shown

    def _share(self, value_s: float | None) -> Cell:
        return None if value_s is None or not self.mean_s else round(value_s / self.mean_s * 100)


def timings_between(first: Look, second: Look) -> ModelTimings:
    ours = second.ours.since(first.ours)
    count, total_ns = _between(first, second, "success")
    server, note = None, _why_unknown(first, second, count, ours.answered)
    if note is None:
        server = _server_parts(first, second, count, total_ns)
    round_trip_s = ours.mean_of(ours.round_trip_s)
    network_s = None if server is None or round_trip_s is None else round_trip_s - server.total_s
    return ModelTimings(
        model=ours.model,
        version=ours.version,
        calls=ours.answered,
        mean_s=ours.mean_s,
        encode_s=ours.mean_of(ours.encode_s),
        round_trip_s=round_trip_s,
        network_s=network_s,
        server=server,
        decode_s=ours.mean_of(ours.decode_s),
        other_s=ours.mean_of(ours.other_s),
        note=note,
        may_be_early=not (first.refused or second.refused) and 0 <= count < ours.answered,
    )


def has_settled(earlier: Look, later: Look) -> bool:
    """Whether the server counted nothing between the two."""
    counts = {stage: _between(earlier, later, stage)[0] for stage in ("success", "fail")}
    return not any(counts.values())


def _why_unknown(first: Look, second: Look, count: int, answered: int) -> str | None:
    """Why the server's times cannot be those of the calls; None if they are."""
    if refused := first.refused or second.refused:
        return refused
    if not answered:
        return "no call was answered meanwhile"
    if count < 0:
        return "the server was started or the model loaded anew meanwhile"
    if count != answered:
        return (
            f"the server answered {count} requests meanwhile, this client had {answered} answers: "
            "the server's times are not of these calls alone"
        )
    return None


def _server_parts(first: Look, second: Look, count: int, total_ns: int) -> ServerParts:
    stages = ("queue", "compute_input", "compute_infer", "compute_output")
    parts = [_between(first, second, stage)[1] / count / 1e9 for stage in stages]
    total_s = total_ns / count / 1e9
    return ServerParts(
        total_s=total_s,
        queue_s=parts[0],
        compute_input_s=parts[1],
        compute_infer_s=parts[2],
        compute_output_s=parts[3],
        other_s=total_s - sum(parts),
    )


def _between(first: Look, second: Look, stage: str) -> tuple[int, int]:
    """How often, and how many nanoseconds: over all versions."""
    before: list[Duration] = [getattr(one, stage) for one in first.server]
    after: list[Duration] = [getattr(one, stage) for one in second.server]
    return (
        sum(one.count for one in after) - sum(one.count for one in before),
        sum(one.total_ns for one in after) - sum(one.total_ns for one in before),
    )


def _ms(value_s: float | None) -> Cell:
    return None if value_s is None else value_s * 1e3
