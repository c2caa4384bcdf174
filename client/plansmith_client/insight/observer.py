"""Watches the calls of one client: counts them, traces them, and logs them where that is wanted."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

from plansmith_client.errors import InvalidInput, MissingExtra
from plansmith_client.insight.context import collectors, given_headers
from plansmith_client.insight.counting import ModelCounter
from plansmith_client.insight.records import CANCELLED, CallRecord, Clock

if TYPE_CHECKING:
    from logging import Logger

    from plansmith_client.insight.spans import Spans
    from plansmith_client.insight.stats import ClientStats

# Whether calls are spans of OpenTelemetry; "auto": if the program has loaded it.
Tracing: TypeAlias = Literal["auto"] | bool
# So many models are counted by name, then all others together: names may come from anywhere.
MOST_MODELS = 1000
OTHERS = "(others)"
# logging.DEBUG, which is not loaded for it.
_DEBUG = 10


class Observer:
    """Gives each call its record and takes it back. Safe to use from several threads.

    Raises MissingExtra if `tracing` is True and OpenTelemetry is not installed.
    """

    def __init__(self, *, tracing: Tracing = "auto", clock: Clock = time.perf_counter_ns) -> None:
        if tracing not in ("auto", True, False):
            raise InvalidInput(f"tracing {tracing!r} is neither 'auto' nor True or False")
        self._clock = clock
        self._counters: dict[tuple[str, int | None], ModelCounter] = {}
        self._spans: Spans | None = _spans() if tracing is True else None
        self._looks_for_tracing = tracing == "auto"
        self._logger: Logger | None = None

    def begin(self, model: str, version: int | None, *, is_stream: bool = False) -> CallRecord:
        """The record of a call that begins now, for a `with` block that lasts as long as it."""
        headers = given_headers()
        record = CallRecord(
            model, version, self._clock, self._ended, is_stream, headers, collectors()
        )
        if self._looks_for_tracing and "opentelemetry.trace" in sys.modules:
            self._look_for_tracing()
        if self._spans is not None:
            self._spans.begin(record, headers)
        return record

    def stats(self) -> ClientStats:
        """What all calls that have ended came to."""
        from plansmith_client.insight.stats import ClientStats

        return ClientStats(models=tuple(one.read() for one in list(self._counters.values())))

    def _look_for_tracing(self) -> None:
        """The program has loaded OpenTelemetry, maybe after it made the client."""
        # Missing, if it is another package of that name or a part of this one.
        with suppress(MissingExtra):
            self._spans = _spans()
        self._looks_for_tracing = False

    def _ended(self, record: CallRecord, error: BaseException | None) -> None:
        now_ns = self._clock()
        failure = None if error is None else failure_of(error)
        counter = self._counters.get((record.model, record.version))
        if counter is None:
            counter = self._new_counter(record.model, record.version)
        counter.add(record, now_ns, failure)
        if record.span is not None and self._spans is not None:
            self._spans.end(record, now_ns, error, failure)
        logger = self._logger or self._found_logger()
        if logger is not None and not logger.isEnabledFor(_DEBUG):
            logger = None
        if record.collectors or logger is not None:
            from plansmith_client.insight.timing import timing_of

            timing = timing_of(record, now_ns, failure)
            for found in record.collectors:
                found.append(timing)
            if logger is not None:
                logger.debug("%s", timing)

    def _new_counter(self, model: str, version: int | None) -> ModelCounter:
        if len(self._counters) >= MOST_MODELS:
            model, version = OTHERS, None
        return self._counters.setdefault((model, version), ModelCounter(model, version))

    def _found_logger(self) -> Logger | None:
        """None in a program that has not loaded `logging`: nobody there asked for a log."""
        if "logging" not in sys.modules:
            return None
        import logging

        self._logger = logging.getLogger("plansmith_client")
        return self._logger


def failure_of(error: BaseException) -> str:
    """The name of its class; for what is no error of the call, that it was left."""
    return type(error).__name__ if isinstance(error, Exception) else CANCELLED


def _spans() -> Spans:
    from plansmith_client.insight.spans import Spans

    return Spans()
