"""Names of shared-memory objects say whose they are."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.memory.naming import (
    Process,
    begun_at,
    is_label,
    owner_of,
    this_process,
)

IDS = st.integers(0, 2**32)
PROCESSES = st.builds(Process, user_id=IDS, namespace=IDS, process_id=IDS, begun=IDS)
LABELS = st.from_regex(r"[A-Za-z0-9.-]{1,64}", fullmatch=True)


@given(PROCESSES, st.none() | LABELS)
def test_a_name_tells_its_process(process: Process, label: str | None) -> None:
    name = process.new_name(label)
    assert owner_of(name) == process
    assert len(name) < 255
    assert "/" not in name


def test_no_two_names_are_the_same() -> None:
    process = this_process()
    assert len({process.new_name() for _ in range(100)}) == 100


@given(st.text())
def test_what_is_no_such_name_has_no_owner(text: str) -> None:
    assert owner_of(text) is None
    assert owner_of("plansmith-client_1_2_3_4_" + text) is None or len(text) >= 16


@pytest.mark.parametrize(
    ("other", "is_left"),
    [
        ({}, False),
        ({"process_id": 8}, True),
        ({"begun": 101}, True),
        ({"user_id": 2, "process_id": 8}, False),
        ({"namespace": 5, "process_id": 8}, False),
    ],
)
def test_what_a_dead_process_of_the_same_user_and_namespace_had_is_left(
    other: dict[str, int], is_left: bool
) -> None:
    alive = {"user_id": 1, "namespace": 4, "process_id": 7, "begun": 100}
    name = Process(**{**alive, **other}).new_name()
    running = {7: 100}
    assert Process(**alive).left(name, running.get) is is_left


def test_this_process_runs() -> None:
    process = this_process()
    assert process.process_id == os.getpid()
    assert begun_at(process.process_id) == process.begun > 0
    assert not process.left(process.new_name(), begun_at)


def test_a_process_that_there_is_none_of_has_not_begun() -> None:
    assert begun_at(2**22 + 1) is None


@pytest.mark.parametrize("text", ["", "a b", "../x", "é", "x" * 65, "a_b"])
def test_what_cannot_end_a_name(text: str) -> None:
    assert not is_label(text)
