"""What was counted while the load ran; the tallies of several Locust workers add up. No clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypedDict

from load_histogram import Histogram

NOT_SENT = "NotSent"
NO_ANSWER = "NoAnswer"


class PlainTally(TypedDict):
    """A tally as msgpack carries it between Locust's workers and master."""

    sent: int
    succeeded: int
    queued: int
    failures: dict[str, tuple[int, str]]
    latency_us: list[tuple[int, int]]
    lateness_us: list[tuple[int, int]]
    last_answer_s: float


@dataclass(kw_only=True)
class Failure:
    """Failed requests of one kind, and the message of the first."""

    count: int
    example: str


@dataclass(kw_only=True)
class Tally:
    """Counts of the measured part of a run. Every due request is in `succeeded` or in `failures`.

    `sent` leaves out requests that were never sent (kind `NotSent`). `queued`: requests of an
    open loop that were due before a user was free. `latency` holds successes
    only. `lateness` holds how late the generator's own timers fired. `last_answer_s` is the end
    of the last counted request in seconds since the run began, 0 before any.
    """

    sent: int = 0
    succeeded: int = 0
    queued: int = 0
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])
    latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    last_answer_s: float = 0.0

    @property
    def failed(self) -> int:
        return sum(failure.count for failure in self.failures.values())

    def answer(self, *, since_s: float, ended_s: float, error: Exception | None) -> None:
        """One request that was due at `since_s` and over at `ended_s`, failed where `error`."""
        self.sent += 1
        self.last_answer_s = max(self.last_answer_s, ended_s)
        if error is None:
            self.succeeded += 1
            self.latency.add(to_us(ended_s - since_s))
        else:
            self._fail(type(error).__name__, 1, str(error))

    def not_sent(self, *, waited_s: float) -> None:
        """One request that no user was free to send for `waited_s`."""
        self._fail(NOT_SENT, 1, f"every user was busy for {waited_s:.1f} s after it was due")

    def no_answer(self, requests: int) -> None:
        """So many requests neither answered nor failed in all the time they were given."""
        self.sent += requests
        self._fail(NO_ANSWER, requests, "still without an answer when the run was over")

    def late(self, lateness_s: float) -> None:
        """A timer of the generator fired `lateness_s` after its time."""
        self.lateness.add(to_us(lateness_s))

    def merge(self, other: Tally) -> None:
        self.sent += other.sent
        self.succeeded += other.succeeded
        self.queued += other.queued
        self.last_answer_s = max(self.last_answer_s, other.last_answer_s)
        self.latency.merge(other.latency)
        self.lateness.merge(other.lateness)
        for kind, failure in other.failures.items():
            self._fail(kind, failure.count, failure.example)

    def drain(self) -> Tally:
        """What was counted since the last drain; this tally then starts anew."""
        taken = replace(self)
        self.sent, self.succeeded, self.queued, self.last_answer_s = 0, 0, 0, 0.0
        self.failures, self.latency, self.lateness = {}, Histogram(), Histogram()
        return taken

    def to_plain(self) -> PlainTally:
        return PlainTally(
            sent=self.sent,
            succeeded=self.succeeded,
            queued=self.queued,
            failures={kind: (one.count, one.example) for kind, one in self.failures.items()},
            latency_us=self.latency.pairs(),
            lateness_us=self.lateness.pairs(),
            last_answer_s=self.last_answer_s,
        )

    @staticmethod
    def from_plain(plain: PlainTally) -> Tally:
        return Tally(
            sent=plain["sent"],
            succeeded=plain["succeeded"],
            queued=plain["queued"],
            failures={
                kind: Failure(count=count, example=example)
                for kind, (count, example) in plain["failures"].items()
            },
            latency=Histogram(plain["latency_us"]),
            lateness=Histogram(plain["lateness_us"]),
            last_answer_s=plain["last_answer_s"],
        )

    def _fail(self, kind: str, count: int, example: str) -> None:
        if known := self.failures.get(kind):
            known.count += count
        else:
            self.failures[kind] = Failure(count=count, example=example)


def to_us(seconds: float) -> int:
    """Whole microseconds, never below 0."""
    return max(0, round(seconds * 1e6))
