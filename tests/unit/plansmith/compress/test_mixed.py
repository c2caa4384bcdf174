"""The search for layers to keep: what it finds, in which order, in how many tries."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.compress.mixed import Layer, search

# Whole numbers, so that sums are exact and "meets the goal" has no rounding in it.
harms_and_costs = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=8)


def layers_of(pairs: list[tuple[int, int]]) -> list[Layer]:
    return [
        Layer(name=f"l{place}", harm=harm, cost=cost) for place, (harm, cost) in enumerate(pairs)
    ]


class Additive:
    """The loss is the harm of all layers not kept; every set asked for is noted."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, kept: tuple[str, ...]) -> float:
        self.asked.append(kept)
        return self.of(kept)

    def of(self, kept: tuple[str, ...]) -> float:
        return sum(layer.harm for layer in self.layers if layer.name not in kept)


@given(harms_and_costs, st.integers(0, 200))
def test_the_layers_found_meet_the_goal_and_none_of_them_can_be_spared(
    pairs: list[tuple[int, int]], goal: int
) -> None:
    layers = layers_of(pairs)
    loss = Additive(layers)
    kept = search(layers, loss, goal, max_tries=100)
    assert kept is not None
    assert kept.loss == loss.of(kept.layers) <= goal
    for name in kept.layers:
        assert loss.of(tuple(other for other in kept.layers if other != name)) > goal


@given(harms_and_costs, st.integers(0, 200), st.integers(2, 12))
def test_tries_are_bounded_and_the_loss_returned_was_seen(
    pairs: list[tuple[int, int]], goal: int, max_tries: int
) -> None:
    layers = layers_of(pairs)
    loss = Additive(layers)
    kept = search(layers, loss, goal, max_tries=max_tries)
    assert kept is not None
    assert kept.tries == len(loss.asked) == len(set(loss.asked)) <= max_tries
    assert kept.layers in loss.asked
    assert kept.loss == loss.of(kept.layers) <= goal


@given(
    harms_and_costs, st.randoms(use_true_random=False), st.floats(0.05, 0.95), st.integers(2, 30)
)
def test_a_loss_that_is_not_monotone_still_gives_only_what_was_seen_to_meet_the_goal(
    pairs: list[tuple[int, int]], random: Random, goal: float, max_tries: int
) -> None:
    seen: dict[tuple[str, ...], float] = {}

    def loss_of(kept: tuple[str, ...]) -> float:
        seen[kept] = random.random()
        return seen[kept]

    kept = search(layers_of(pairs), loss_of, goal, max_tries=max_tries)
    if kept is not None:
        assert seen[kept.layers] == kept.loss <= goal


def test_layers_are_kept_in_order_of_harm_per_cost() -> None:
    layers = [
        Layer(name="harmful but dear", harm=8, cost=8),
        Layer(name="harmless", harm=0, cost=1),
        Layer(name="a bargain", harm=6, cost=1),
        Layer(name="fair", harm=6, cost=3),
    ]
    loss = Additive(layers)
    kept = search(layers, loss, 8, max_tries=8)
    assert kept is not None
    assert kept.layers == ("a bargain", "fair")
    assert loss.asked[1] == ("a bargain", "fair", "harmful but dear", "harmless")


def test_a_layer_that_costs_nothing_to_keep_comes_first_if_keeping_it_helps() -> None:
    layers = [
        Layer(name="useless", harm=-1, cost=0),
        Layer(name="dear", harm=9, cost=1),
        Layer(name="free", harm=1, cost=0),
    ]
    loss = Additive(layers)
    search(layers, loss, 0)
    assert loss.asked[1] == ("free", "dear", "useless")


def test_the_dearest_that_can_be_spared_is_let_go_first() -> None:
    """Order: a (ratio 2), b (ratio 1), c (ratio 0.9); the goal takes c, then either of the rest."""
    layers = [
        Layer(name="a", harm=4, cost=2),
        Layer(name="b", harm=3, cost=3),
        Layer(name="c", harm=9, cost=10),
    ]
    kept = search(layers, Additive(layers), 4, max_tries=20)
    assert kept is not None
    assert kept.layers == ("a", "c")


def test_nothing_is_kept_where_nothing_has_to_be() -> None:
    layers = layers_of([(1, 1), (2, 1)])
    kept = search(layers, Additive(layers), 3)
    assert kept is not None
    assert (kept.layers, kept.tries, kept.loss) == ((), 1, 3)


def test_a_goal_that_all_layers_kept_miss_gives_none_after_two_tries() -> None:
    layers = layers_of([(5, 1)] * 30)
    asked: list[tuple[str, ...]] = []

    def loss_of(kept: tuple[str, ...]) -> float:
        asked.append(kept)
        return 1.0

    assert search(layers, loss_of, 0.5) is None
    assert [len(kept) for kept in asked] == [0, 30]


def test_one_guilty_layer_of_many_is_found_within_the_default_tries() -> None:
    layers = layers_of([(100 if place == 31 else 1, 1) for place in range(60)])
    kept = search(layers, Additive(layers), 59)
    assert kept is not None
    assert kept.layers == ("l31",)
    assert kept.tries <= 8


def test_each_try_is_told() -> None:
    layers = layers_of([(5, 1)] * 4)
    told: list[tuple[int, int]] = []
    kept = search(
        layers,
        Additive(layers),
        5,
        max_tries=6,
        tick=lambda done, total: told.append((done, total)),
    )
    assert kept is not None
    assert told == [(done, 6) for done in range(1, kept.tries + 1)]


@pytest.mark.parametrize("max_tries", [0, 1])
def test_fewer_than_two_tries_are_refused(max_tries: int) -> None:
    with pytest.raises(ValueError, match="two tries"):
        search([], Additive([]), 1.0, max_tries=max_tries)


def test_a_name_that_stands_twice_is_refused() -> None:
    layer = Layer(name="same", harm=1, cost=1)
    with pytest.raises(ValueError, match="twice"):
        search([layer, layer], Additive([layer]), 0.0)


@pytest.mark.parametrize(
    ("harm", "cost"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, -1.0), (1.0, math.nan)]
)
def test_a_layer_without_a_usable_figure_cannot_exist(harm: float, cost: float) -> None:
    with pytest.raises(ValueError, match="conv"):
        Layer(name="conv", harm=harm, cost=cost)
