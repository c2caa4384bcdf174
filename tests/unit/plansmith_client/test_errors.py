"""What an error carries, and which of them may be answered by sending the call again."""

from __future__ import annotations

import pickle

import pytest

import plansmith_client
from plansmith_client import PlansmithClientError, ServerUnavailable

KINDS = [
    kind
    for kind in vars(plansmith_client).values()
    if isinstance(kind, type) and issubclass(kind, PlansmithClientError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_server_that_takes_no_work_is_worth_another_try(
    kind: type[PlansmithClientError],
) -> None:
    assert kind("x").retriable is (kind is ServerUnavailable)
    assert kind("x", retriable=True).retriable is True


@pytest.mark.parametrize("kind", KINDS)
def test_fields_survive_another_process(kind: type[PlansmithClientError]) -> None:
    fields = {
        "model": "m",
        "version": 2,
        "tensor": "x",
        "endpoint": "h:1",
        "status": "UNAVAILABLE",
        "elapsed_s": 0.5,
        "retriable": True,
    }
    error = kind("the fact", **fields)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, "the fact")
    assert {name: getattr(again, name) for name in fields} == fields


def test_fields_that_do_not_apply_are_none() -> None:
    error = PlansmithClientError("x")
    names = ("model", "version", "tensor", "endpoint", "status", "elapsed_s")
    assert {getattr(error, name) for name in names} == {None}
