"""What a caller can say about failures: retries, hedges, circuit breakers, balancing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from plansmith_client.errors import InvalidInput

BalancingPolicy: TypeAlias = Literal["least_outstanding", "power_of_two"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When a call that failed is sent again: only where nothing can be done twice by it.

    That is where the server was not reached, broke off before it answered, or takes no work for
    now, and never for a step of a sequence, for a call that changes the server, or after the
    deadline. A server that is gone is waited for until the deadline: its restart loses nothing.
    `attempts`: how often one call is sent at most.
    `base_s`, `max_s`: the n-th wait is random, up to `base_s * 2**n` and never above `max_s`.
    `budget_share`, `budget_floor_per_s`: retries are at most this share of the calls, and so many
    a second on top; then errors are raised at once. Calls that an outage has broken off, which a
    failed probe of the server proves, do not count.
    `queue_full`: wait too for a full queue of the server, until the deadline; what it refuses has
    cost it nothing, so that neither `attempts` nor the budget counts it.
    `first_contact_s`: how long a server is waited for that never answered this client: a mistyped
    port shows soon.
    Raises InvalidInput for a value that cannot be.
    """

    attempts: int = 5
    base_s: float = 0.05
    max_s: float = 1.0
    budget_share: float = 0.2
    budget_floor_per_s: float = 10.0
    queue_full: bool = False
    first_contact_s: float = 1.0

    def __post_init__(self) -> None:
        _at_least("Retry", "attempts", self.attempts, 1)
        _above_zero("Retry", "base_s", self.base_s)
        _at_least("Retry", "max_s", self.max_s, self.base_s)
        _at_least("Retry", "budget_share", self.budget_share, 0)
        _at_least("Retry", "budget_floor_per_s", self.budget_floor_per_s, 0)
        _at_least("Retry", "first_contact_s", self.first_contact_s, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hedge:
    """Sends a second attempt where the first takes longer than most; the first answer wins.

    The loser is cancelled. Dean and Barroso, "The Tail at Scale", CACM 56 (2), 2013. Only for
    inferences that can be done twice.
    `percentile`: of this model's latencies, after which the second one goes; above 0, below 100.
    `min_calls`: measured before the first hedge. `max_share`: of the calls that may be hedged.
    Raises InvalidInput for a value that cannot be.
    """

    percentile: float = 95.0
    min_calls: int = 50
    max_share: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100:
            raise InvalidInput(f"Hedge: percentile {self.percentile} is not between 0 and 100")
        _at_least("Hedge", "min_calls", self.min_calls, 1)
        _share("Hedge", "max_share", self.max_share)


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """When an endpoint is sent nothing more, and when it is looked at again.

    It opens after `failures` in `window_s` seconds with no answer between them, or at once where a
    probe fails. After `open_s` one probe is sent, of all callers together; each that fails doubles
    the wait, up to `max_open_s`.
    Raises InvalidInput for a value that cannot be.
    """

    failures: int = 5
    window_s: float = 10.0
    open_s: float = 0.1
    max_open_s: float = 1.0

    def __post_init__(self) -> None:
        _at_least("Breaker", "failures", self.failures, 1)
        _above_zero("Breaker", "window_s", self.window_s)
        _above_zero("Breaker", "open_s", self.open_s)
        _at_least("Breaker", "max_open_s", self.max_open_s, self.open_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Balancing:
    """Which of several endpoints a call goes to. Nothing of this is done where there is one.

    `policy`: to the one with the fewest calls in flight; or to the better of two drawn at random,
    which keeps many clients from all turning to the same one (Mitzenmacher, "The Power of Two
    Choices in Randomized Load Balancing", 2001).
    `health_interval_s`: seconds between questions to each endpoint whether it is ready.
    `health_timeout_s`: seconds after which no answer to one means that it is gone.
    `ejection_s`: seconds that an endpoint is left out for that is slower than the others or fails
    more often; twice as long the second time in a row, and so on up to 32 times; 0: never.
    `slow_factor`: how much slower than the others' median latency its own has to be.
    `min_calls`: of one model, to be judged by. `max_ejected_share`: of the endpoints at a time.
    Raises InvalidInput for a value that cannot be.
    """

    policy: BalancingPolicy = "least_outstanding"
    health_interval_s: float = 1.0
    health_timeout_s: float = 1.0
    ejection_s: float = 10.0
    slow_factor: float = 1.5
    min_calls: int = 10
    max_ejected_share: float = 0.5

    def __post_init__(self) -> None:
        if self.policy not in ("least_outstanding", "power_of_two"):
            raise InvalidInput(
                f"Balancing: policy {self.policy!r} is neither 'least_outstanding' nor "
                "'power_of_two'"
            )
        _above_zero("Balancing", "health_interval_s", self.health_interval_s)
        _above_zero("Balancing", "health_timeout_s", self.health_timeout_s)
        _at_least("Balancing", "ejection_s", self.ejection_s, 0)
        _at_least("Balancing", "slow_factor", self.slow_factor, 1)
        _at_least("Balancing", "min_calls", self.min_calls, 2)
        _share("Balancing", "max_ejected_share", self.max_ejected_share)


# Written so that NaN is refused too.
def _at_least(policy: str, name: str, value: float, least: float) -> None:
    if not value >= least:
        raise InvalidInput(f"{policy}: {name} {value} is not at least {least:g}")


def _above_zero(policy: str, name: str, value: float) -> None:
    if not value > 0:
        raise InvalidInput(f"{policy}: {name} {value} is not above zero")


def _share(policy: str, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InvalidInput(f"{policy}: {name} {value} is not between 0 and 1")
