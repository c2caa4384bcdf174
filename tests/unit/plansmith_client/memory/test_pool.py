"""Slots are taken and given back, within a budget; their files go when they do."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.memory.pool import MOST_SLOTS, Budget, Pool, Slot
from plansmith_client.memory.posix import SHARED_MEMORY

SIZE = 2**16


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(Budget(4 * SIZE))
    yield made
    made.close()


def taken(pool: Pool, size: int = SIZE) -> Slot:
    slot = pool.take(size)
    assert slot is not None
    return slot


def exists(slot: Slot) -> bool:
    return (SHARED_MEMORY / slot.name).exists()


def test_what_is_given_back_is_taken_again(pool: Pool) -> None:
    first = taken(pool)
    second = taken(pool)
    assert first is not second
    pool.give_back(first)
    assert taken(pool) is first


def test_there_is_no_more_than_the_budget(pool: Pool) -> None:
    slots = [taken(pool) for _ in range(4)]
    assert pool.take(1) is None
    pool.drop(slots[0])
    assert not exists(slots[0])
    assert pool.take(1) is not None


def test_idle_slots_make_room_for_another_size(pool: Pool) -> None:
    slots = [taken(pool) for _ in range(4)]
    for slot in slots:
        pool.give_back(slot)
    assert pool.take(2 * SIZE) is None
    spared = pool.spare(2 * SIZE)
    assert spared == slots[:2]
    for slot in spared:
        pool.drop(slot)
    assert pool.take(2 * SIZE) is not None


def test_there_are_no_more_than_the_process_has_descriptors_for() -> None:
    pool = Pool(Budget())
    slots = [taken(pool) for _ in range(MOST_SLOTS)]
    assert pool.take(1) is None
    pool.close()
    assert not any(map(exists, slots))


def test_half_of_what_is_free_is_left_to_others() -> None:
    pool = Pool(Budget(), free=lambda: 2 * SIZE - 1)
    assert pool.take(SIZE) is None


def test_a_lent_slot_comes_back_when_no_view_is_left(pool: Pool) -> None:
    slot = taken(pool)
    slot.write(np.arange(8, dtype=np.uint8), 64)
    lent = slot.lend(128, lambda: pool.give_back(slot))
    with pytest.raises(TypeError):
        lent[0] = 1
    array = np.frombuffer(lent[64:72], np.uint8)
    part = array[2:4]
    del lent, array
    gc.collect()
    assert taken(pool) is not slot
    assert part.tolist() == [2, 3]
    del part
    gc.collect()
    assert taken(pool) is slot


def test_what_a_fork_has_as_well_is_not_used_again(pool: Pool) -> None:
    slots = [taken(pool), taken(pool)]
    lent = slots[0].lend(8, lambda: pool.give_back(slots[0]))
    pool.before_fork()
    later = slots[1].lend(8, lambda: pool.give_back(slots[1]))
    del lent, later
    gc.collect()
    assert taken(pool) is slots[1]
    assert taken(pool) is not slots[0]
    assert pool.unusable() == [slots[0]]
    assert pool.unusable() == []


def test_a_closed_pool_has_no_files_but_what_was_lent_stays(pool: Pool) -> None:
    slots = [taken(pool) for _ in range(3)]
    slots[0].write(np.arange(8, dtype=np.uint8), 0)
    lent = slots[0].lend(8, lambda: pool.give_back(slots[0]))
    pool.give_back(slots[1])
    pool.close()
    assert not any(map(exists, slots))
    assert bytes(lent) == bytes(range(8))
    assert pool.take(1) is None


def test_threads_share_it(pool: Pool) -> None:
    seen: list[bool] = []

    def work() -> None:
        for number in range(50):
            slot = pool.take(SIZE)
            if slot is not None:
                slot.write(np.full(64, number, np.uint8), 0)
                seen.append(bool((slot.object.content[:64] == number).all()))
                pool.give_back(slot)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen
    assert all(seen)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9))))
def test_a_budget_gives_what_it_has_and_no_more(steps: list[tuple[bool, int]]) -> None:
    budget, held = Budget(20), list[int]()
    for takes, size in steps:
        if takes:
            fits = sum(held) + size <= 20
            assert budget.take(size) is fits
            held += [size] if fits else []
        elif held:
            budget.give_back(held.pop())
