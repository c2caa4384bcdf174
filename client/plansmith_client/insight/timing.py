"""Where the time of one call went, on the client's side of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plansmith_client.insight.records import CallRecord
from plansmith_client.insight.splitting import split_of


@dataclass(frozen=True, kw_only=True, slots=True)
class CallTiming:
    """One call. Its parts, in seconds, add up to `elapsed_s`.

    `encode_s`: checking, casting and writing the request. `round_trip_s`: from then until the
    answer was there; a stream's lasts until its last answer, with what its reader did meanwhile.
    `decode_s`: making arrays of it. `other_s`: all else, such as asking for the model's metadata,
    attempts that failed and the waits between. The first three are None for a call that was not
    answered. `attempts`: how often it was sent; `endpoint`: where to, at last. `bytes_out` and
    `bytes_in`: of the messages of all attempts. `error`: the name of the class of what was raised,
    or "cancelled"; None for an answer.
    """

    model: str
    version: int | None
    elapsed_s: float
    encode_s: float | None
    round_trip_s: float | None
    decode_s: float | None
    other_s: float
    attempts: int
    retries: int
    hedges: int
    endpoint: str | None
    bytes_out: int
    bytes_in: int
    error: str | None = None

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name} {_ms(value)}"
            for name, value in (
                ("encode", self.encode_s),
                ("round trip", self.round_trip_s),
                ("decode", self.decode_s),
                ("other", self.other_s),
            )
            if value is not None
        )
        sent = "not sent" if self.endpoint is None else self.endpoint
        tried = f" in {self.attempts} attempts" if self.attempts > 1 else ""
        outcome = f", {self.error}" if self.error else ""
        return f"{self.model}: {_ms(self.elapsed_s)} ({parts}) {sent}{tried}{outcome}"


def timing_of(record: CallRecord, ended_ns: int, error: str | None) -> CallTiming:
    attempts = record.attempts
    last = record.last
    parts: Sequence[float | None] = (None, None, None)
    elapsed_s = other_s = (ended_ns - record.began_ns) / 1e9
    if error is None and record.answered is not None:
        *parts, other_s = (part / 1e9 for part in split_of(record, ended_ns))
    return CallTiming(
        model=record.model,
        version=record.version,
        elapsed_s=elapsed_s,
        encode_s=parts[0],
        round_trip_s=parts[1],
        decode_s=parts[2],
        other_s=other_s,
        attempts=len(attempts),
        retries=sum(one.kind == "retry" for one in record.repetitions),
        hedges=sum(one.kind == "hedge" for one in record.repetitions),
        endpoint=last.endpoint if last else None,
        bytes_out=sum(one.bytes_out for one in attempts),
        bytes_in=sum(one.bytes_in for one in attempts),
        error=error,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
