"""Which layers to keep in high precision, and which can be quantised. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Tick = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that can be quantised or kept.

    `harm`: what quantising it does to the answers, mean KL from FP32 in nats; may be below zero,
    as a measurement. `cost`: what keeping it costs, in ms (MACs where time cannot be measured),
    at least zero.
    """

    name: str
    harm: float
    cost: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.harm) or not 0 <= self.cost < math.inf:
            raise ValueError(f"{self.name}: harm {self.harm}, cost {self.cost}")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The layers to keep, most worthwhile first, the loss seen with them, and the tries it took."""

    layers: tuple[str, ...]
    tries: int
    loss: float


def search(
    layers: Sequence[Layer],
    loss_of: Callable[[tuple[str, ...]], float],
    goal: float,
    *,
    max_tries: int = 8,
    tick: Tick | None = None,
) -> Kept | None:
    """The fewest of `layers` to keep so that `loss_of(kept)` <= `goal`; None where all miss it.

    Layers are kept in order of harm recovered per cost. The shortest prefix of that order that
    meets the goal is found by bisection, as if the loss fell with every layer kept; the loss of the
    layers returned was seen, never assumed. Then those are let go that the goal can do without,
    dearest first. `loss_of` is called at most `max_tries` times, with layers in that same order;
    where the tries run out the best found so far is returned. `tick(tries, max_tries)` follows
    each. Raises ValueError for fewer than two tries or a name that stands twice.

    Ranking layers by a cheap measure of harm, then searching along the ranking, is the way of
    Z. Dong et al., "HAWQ: Hessian AWare Quantization" (2019, there by Hessian), and of NNCF's
    accuracy control, which reverts one layer after the other; bisection needs fewer tries.
    """
    if max_tries < 2:
        raise ValueError("a search takes two tries: nothing kept, and everything")
    ranked = sorted(layers, key=_worth, reverse=True)
    order = tuple(layer.name for layer in ranked)
    if len(set(order)) != len(order):
        raise ValueError("a layer's name stands twice")
    trials = _Trials(loss_of, goal, max_tries, tick)
    if trials.meets(()):
        return trials.kept(())
    if not trials.meets(order):
        return None
    best = _shortest_prefix(order, trials)
    for layer in sorted(ranked, key=lambda layer: layer.cost, reverse=True):
        fewer = tuple(name for name in best if name != layer.name)
        if len(fewer) < len(best) and trials.meets(fewer):
            best = fewer
    return trials.kept(best)


def _worth(layer: Layer) -> float:
    """Harm recovered per cost; what costs nothing to keep comes first, if keeping it helps."""
    if layer.cost > 0:
        return layer.harm / layer.cost
    return math.copysign(math.inf, layer.harm) if layer.harm else 0.0


def _shortest_prefix(order: tuple[str, ...], trials: _Trials) -> tuple[str, ...]:
    """Of `order`, which meets the goal; none of it is known to miss."""
    misses, meets = 0, len(order)
    while meets - misses > 1 and not trials.spent:
        middle = (misses + meets) // 2
        if trials.meets(order[:middle]):
            meets = middle
        else:
            misses = middle
    return order[:meets]


class _Trials:
    """Losses seen so far: no set is tried twice, and none once the tries are spent."""

    def __init__(
        self,
        loss_of: Callable[[tuple[str, ...]], float],
        goal: float,
        max_tries: int,
        tick: Tick | None,
    ) -> None:
        self._loss_of = loss_of
        self._goal = goal
        self._max_tries = max_tries
        self._tick = tick
        self._losses: dict[tuple[str, ...], float] = {}

    @property
    def spent(self) -> bool:
        return len(self._losses) >= self._max_tries

    def meets(self, names: tuple[str, ...]) -> bool:
        """Whether these were seen to meet the goal; False where there is no try left to see it."""
        if names not in self._losses and not self.spent:
            self._losses[names] = self._loss_of(names)
            if self._tick is not None:
                self._tick(len(self._losses), self._max_tries)
        return self._losses.get(names, math.inf) <= self._goal

    def kept(self, names: tuple[str, ...]) -> Kept:
        return Kept(layers=names, tries=len(self._losses), loss=self._losses[names])
