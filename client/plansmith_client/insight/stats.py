"""What a client's calls came to, model by model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from plansmith_client.insight.histogram import Histogram
from plansmith_client.insight.table import Cell, table


def _no_errors() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelStats:
    """The calls of one model; all but `latency` and the `…_s` are sums.

    `calls`: those that have ended, with `errors` of them by the class of what was raised, or
    "cancelled". `attempts`: requests sent for them; `retries` and `hedges` of these. `items`: what
    the answered ones had in their batches, one each for a model without batches. `bytes_out` and
    `bytes_in`: of the messages. `latency`: of the answered calls. `encode_s` and its like are the
    sums of the parts of CallTiming over the answered calls, in seconds.
    """

    model: str
    version: int | None
    calls: int = 0
    errors: Mapping[str, int] = field(default_factory=_no_errors)
    attempts: int = 0
    retries: int = 0
    hedges: int = 0
    items: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    latency: Histogram = field(default=Histogram(), repr=False)
    encode_s: float = 0.0
    round_trip_s: float = 0.0
    decode_s: float = 0.0
    other_s: float = 0.0

    @property
    def answered(self) -> int:
        return self.calls - sum(self.errors.values())

    @property
    def mean_s(self) -> float | None:
        """Mean latency of the answered calls, in seconds."""
        return self.mean_of(self.encode_s + self.round_trip_s + self.decode_s + self.other_s)

    def mean_of(self, total_s: float) -> float | None:
        """`total_s`, such as `encode_s`, for each answered call; None if there was none."""
        return total_s / self.answered if self.answered else None

    def percentile_s(self, percent: float) -> float | None:
        """Latency that `percent` of the answered calls do not exceed: see Histogram."""
        return self.latency.percentile_s(percent)

    def since(self, earlier: ModelStats) -> ModelStats:
        """What came after `earlier`, a former look at the same model."""
        names = [one.name for one in fields(self) if one.name not in _NOT_SUMS]
        sums = {name: getattr(self, name) - getattr(earlier, name) for name in names}
        counts = {kind: n - earlier.errors.get(kind, 0) for kind, n in self.errors.items()}
        return ModelStats(
            model=self.model,
            version=self.version,
            errors=MappingProxyType({kind: n for kind, n in counts.items() if n}),
            latency=self.latency.since(earlier.latency),
            **sums,
        )


_NOT_SUMS = ("model", "version", "errors", "latency")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientStats:
    """A look at what the calls of one client came to; printed, a table.

    `models`: in the order of their first calls; a model asked for in two versions is there twice.
    """

    models: tuple[ModelStats, ...]

    def of(self, model: str, version: int | None = None) -> ModelStats:
        """Of one model, as it was asked for; without calls if there were none."""
        for one in self.models:
            if (one.model, one.version) == (model, version):
                return one
        return ModelStats(model=model, version=version)

    def __str__(self) -> str:
        return table(_HEADINGS, [_row(one) for one in self.models])


_HEADINGS = (
    *("model", "calls", "errors", "retries", "hedges", "mean ms", "p50 ms", "p99 ms"),
    *("encode", "round trip", "decode", "other", "kB out", "kB in"),
)


def _row(one: ModelStats) -> tuple[Cell, ...]:
    seconds = (
        one.mean_s,
        one.percentile_s(50),
        one.percentile_s(99),
        *map(one.mean_of, (one.encode_s, one.round_trip_s, one.decode_s, one.other_s)),
    )
    return (
        one.model if one.version is None else f"{one.model}/{one.version}",
        *(one.calls, one.calls - one.answered, one.retries, one.hedges),
        *(None if value is None else value * 1e3 for value in seconds),
        *(one.bytes_out / 1e3, one.bytes_in / 1e3),
    )
