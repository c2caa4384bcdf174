"""The live table's order, and what keys change of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.live.rates import Rates
from plansmith.live.view import COLUMNS, View, ordered, pressed

NOTHING = Rates(
    model="m",
    version=1,
    requests_per_s=0.0,
    items_per_s=0.0,
    failures_per_s=0.0,
    latency_ms=None,
    queue_ms=None,
    compute_input_ms=None,
    compute_infer_ms=None,
    compute_output_ms=None,
    batch_size=None,
    cache_hit_share=None,
)
ROWS = [
    replace(NOTHING, model="b", requests_per_s=1.0, latency_ms=7.0),
    replace(NOTHING, model="c", requests_per_s=3.0),
    replace(NOTHING, model="a", requests_per_s=2.0, latency_ms=9.0),
]
KEYS = [column.key for column in COLUMNS]


def names(view: View) -> str:
    return "".join(row.model for row in ordered(ROWS, view))


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("", "cab"),
        ("r", "bac"),
        ("rr", "cab"),
        ("m", "abc"),
        ("mm", "cba"),
        ("l", "abc"),
        ("ll", "bac"),
        ("lr", "cab"),
    ],
)
def test_keys_sort_by_their_columns_and_turn_them(keys: str, order: str) -> None:
    view = View()
    for key in keys:
        view = pressed(view, key)
    assert names(view) == order


@given(st.sampled_from(KEYS), st.booleans())
def test_each_way_every_row_is_there_once(key: str, turned: bool) -> None:
    assert sorted(names(View(key=key, turned=turned))) == ["a", "b", "c"]


def test_what_has_no_value_comes_last_both_ways() -> None:
    assert [names(View(key="l", turned=turned))[-1] for turned in (False, True)] == ["c", "c"]


@pytest.mark.parametrize("step", ["n", "right"])
@pytest.mark.parametrize("back", ["p", "left"])
def test_steps_go_round_all_columns_and_back(step: str, back: str) -> None:
    view, seen = View(), []
    for _ in COLUMNS:
        seen.append(view.key)
        assert pressed(pressed(view, step), back) == view
        view = pressed(view, step)
    assert (view, sorted(seen)) == (View(), sorted(KEYS))


def test_q_ends_and_an_unknown_key_does_nothing() -> None:
    assert pressed(View(), "q").ended
    assert pressed(View(key="b"), "x") == View(key="b")


def test_no_key_has_two_meanings() -> None:
    assert len({*KEYS, "q", "n", "p"}) == len(KEYS) + 3
