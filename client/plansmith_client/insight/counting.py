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


class ModelCounter:
    """The running sums of one model. Safe to use from several threads."""

    __slots__ = (
        *("_model", "_version", "_lock", "_calls", "_errors", "_attempts", "_retries", "_hedges"),
        *("_items", "_bytes_out", "_bytes_in", "_encode_ns", "_round_trip_ns", "_decode_ns"),
        *("_other_ns", "_latency"),
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

    def add(self, record: CallRecord, ended_ns: int, error: str | None) -> None:
        """A call that has ended; `error`: the class of what it raised."""
        encode_ns, round_trip_ns, decode_ns, other_ns = split_of(record, ended_ns)
        bucket = bucket_of(ended_ns - record.began_ns)
        with self._lock:
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
            if not self._latency:
                self._latency = [0] * BUCKETS
            self._latency[bucket] += 1

    def read(self) -> ModelStats:
        # Imported here: few programs ask.
        from plansmith_client.insight.histogram import Histogram
        from plansmith_client.insight.stats import ModelStats

        with self._lock:
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
