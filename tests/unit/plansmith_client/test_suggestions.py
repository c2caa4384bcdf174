"""What is said of a model that is not there."""

from __future__ import annotations

import pytest

from plansmith_client.calls import IndexEntry
from plansmith_client.errors import ModelNotFound
from plansmith_client.suggestions import not_found


def entry(
    model: str, version: int | None = 1, state: str = "READY", reason: str = ""
) -> IndexEntry:
    return IndexEntry(model=model, version=version, state=state, reason=reason)


def told(name: str, version: int | None, *index: IndexEntry) -> str:
    refused = ModelNotFound(
        "gone", model=name, version=version, status="NOT_FOUND", elapsed_s=0.5, endpoint="h:1"
    )
    error = not_found(refused, index)
    assert (error.model, error.version, error.status) == (name, version, "NOT_FOUND")
    assert (error.elapsed_s, error.endpoint, error.retriable) == (0.5, "h:1", False)
    return str(error)


@pytest.mark.parametrize(
    ("version", "index", "message"),
    [
        (
            None,
            [entry("echo"), entry("zebra")],
            "no model 'ecko' in the repository (nearest: 'echo')",
        ),
        (
            None,
            [entry("zebra"), entry("ant")],
            "no model 'ecko' in the repository, which has ant, zebra",
        ),
        (None, [], "no model 'ecko', nor any other"),
        (9, [entry("ecko"), entry("ecko", 2)], "no version 9; ready: 1, 2"),
        (None, [entry("ecko", 1, "UNAVAILABLE", "no file")], "version 1 is UNAVAILABLE: no file"),
        (
            None,
            [entry("ecko"), entry("ecko", 2)],
            "was not loaded when it was asked; by now version 1, 2",
        ),
        (None, [entry("ecko", None, "")], "is in the repository but not loaded"),
    ],
)
def test_message(version: int | None, index: list[IndexEntry], message: str) -> None:
    assert told("ecko", version, *index).startswith(f"ecko: {message}")


def test_of_many_models_a_few_are_named() -> None:
    message = told("x", None, *(entry(f"model_{number}") for number in range(9)))
    assert message.endswith(
        "which has model_0, model_1, model_2, model_3, model_4 and 4 more at h:1"
    )
