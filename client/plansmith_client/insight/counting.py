"""Counts a client's calls as they end."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING

from plansmith_client.insight.buckets import BUCKETS, bucket_of
from plansmith_client.insight.records import CallRecord
from plansmith_client.insight.splitting import split_of

if TYPE_CHECKING:
    from plansmith_client.insight.stats import ModelStats


# So many calls are added to the sums at once, which takes a fraction of adding each.
_ADDED_AT_ONCE = 256


class ModelCounter:
    """The running sums of one model. Safe to use from several threads."""

    __slots__ = (
        *("_model", "_version", "_lock", "_calls", "_errors", "_attempts", "_retries", "_hedges"),
        *("_items", "_bytes_out", "_bytes_in", "_encode_ns", "_round_trip_ns", "_decode_ns"),
        *("_other_ns", "_latency", "_latest"),
    )

    def __init__(self, model: str, version: int | None) -> None:
        self._model = model
        self._version = version
        self._lock = threading.Lock()
        self._calls = 0
        self._errors: dict[str, int] = {}
        self._attempts = self._retries = self._hedges = self._items = 0
        self._bytes_out = self._bytes_in = 0
        self._encode_ns = self._round_trip_ns = self._decode_ns = self._other_ns = 0
        # Made with the first answer: a model that does not exist has none.
        self._latency: list[int] = []
        # Calls that are not in the sums yet: nanoseconds in all, for encode, round trip and decode;
        # items; bytes out and in. Appending is atomic, what removes them holds the lock.
        self._latest: list[tuple[int, int, int, int, int, int, int]] = []

    def add(self, record: CallRecord, ended_ns: int, error: str | None) -> None:
        """A call that has ended; `error`: the class of what it raised."""
        attempts = record.attempts
        answered_ns = attempts[0].answered_ns if len(attempts) == 1 else None
        if answered_ns is None or error is not None or record.repetitions:
            with self._lock:
                self._add(record, ended_ns, error)
            return
        attempt, latest = attempts[0], self._latest
        sent_ns = attempt.sent_ns
        latest.append(
            (
                ended_ns - record.began_ns,
                sent_ns - record.encoding_ns,
                answered_ns - sent_ns,
                ended_ns - answered_ns,
                record.batch_size or 1,
                attempt.bytes_out,
                attempt.bytes_in,
            )
        )
        if len(latest) >= _ADDED_AT_ONCE:
            with self._lock:
                self._add_latest()

    def _add(self, record: CallRecord, ended_ns: int, error: str | None) -> None:
        encode_ns, round_trip_ns, decode_ns, other_ns = split_of(record, ended_ns)
        self._calls += 1
        for attempt in record.attempts:
            self._attempts += 1
            self._bytes_out += attempt.bytes_out
            self._bytes_in += attempt.bytes_in
        if record.repetitions:
            retries = sum(one.kind == "retry" for one in record.repetitions)
            self._retries += retries
            self._hedges += len(record.repetitions) - retries
        if error is not None:
            self._errors[error] = self._errors.get(error, 0) + 1
            return
        self._items += record.batch_size or 1
        self._encode_ns += encode_ns
        self._round_trip_ns += round_trip_ns
        self._decode_ns += decode_ns
        self._other_ns += other_ns
        self._note_latency(ended_ns - record.began_ns)

    def _add_latest(self) -> None:
        count = len(self._latest)
        if not count:
            return
        added = self._latest[:count]
        del self._latest[:count]
        elapsed, encode, round_trip, decode, items, bytes_out, bytes_in = zip(*added, strict=True)
        parts_ns = sum(encode), sum(round_trip), sum(decode)
        self._calls += count
        self._attempts += count
        self._items += sum(items)
        self._bytes_out += sum(bytes_out)
        self._bytes_in += sum(bytes_in)
        self._encode_ns += parts_ns[0]
        self._round_trip_ns += parts_ns[1]
        self._decode_ns += parts_ns[2]
        self._other_ns += sum(elapsed) - sum(parts_ns)
        for one in elapsed:
            self._note_latency(one)

    def _note_latency(self, elapsed_ns: int) -> None:
        if not self._latency:
            self._latency = [0] * BUCKETS
        self._latency[bucket_of(elapsed_ns)] += 1

    def read(self) -> ModelStats:
        # Imported here: few programs ask.
        from plansmith_client.insight.histogram import Histogram
        from plansmith_client.insight.stats import ModelStats

        with self._lock:
            self._add_latest()
            return ModelStats(
                model=self._model,
                version=self._version,
                calls=self._calls,
                errors=MappingProxyType(dict(self._errors)),
                attempts=self._attempts,
                retries=self._retries,
                hedges=self._hedges,
                items=self._items,
                bytes_out=self._bytes_out,
                bytes_in=self._bytes_in,
                latency=Histogram(tuple(self._latency)) if self._latency else Histogram(),
                encode_s=self._encode_ns / 1e9,
                round_trip_s=self._round_trip_ns / 1e9,
                decode_s=self._decode_ns / 1e9,
                other_s=self._other_ns / 1e9,
            )
