"""Where tensors go in a slot, and when the size of an answer is known beforehand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.calls import InferCall, InputTensor, OutputTensor
from plansmith_client.deadline import Deadline
from plansmith_client.memory.placing import SeenSizes, layout, size_of
from plansmith_client.memory.pool import ALIGNMENT_BYTES, rounded
from plansmith_client.sequences import SequenceStep


def call(items: int = 4, **named: object) -> InferCall:
    one = InputTensor(name="x", dtype="UINT8", shape=(items,), content=np.zeros(items, np.uint8))
    return InferCall(deadline=Deadline(1), model="m", inputs=(one,), **named)  # pyright: ignore[reportArgumentType]


def answer(items: int) -> tuple[OutputTensor, ...]:
    text = OutputTensor(name="t", dtype="BYTES", shape=(1,), content=b"\0\0\0\0")
    return (OutputTensor(name="y", dtype="FP32", shape=(items,), content=b""), text)


@given(st.lists(st.integers(0, 10**6), max_size=8))
def test_parts_lie_one_behind_another_where_every_dtype_may_begin(sizes: list[int]) -> None:
    plan = layout(sizes)
    assert [size for _, size in plan.parts] == sizes
    ends = [0, *(offset + size for offset, size in plan.parts)]
    assert all(
        offset >= end and offset % ALIGNMENT_BYTES == 0
        for (offset, _), end in zip(plan.parts, ends, strict=False)
    )
    assert ends[-1] <= plan.size_bytes < sum(sizes) + ALIGNMENT_BYTES * (len(sizes) + 1)


@given(st.integers(1, 2**33))
def test_a_slot_is_large_enough_and_wastes_a_quarter_at_most(size: int) -> None:
    slot = rounded(size)
    assert size <= slot
    assert slot <= max(2**16, size * 1.25 + 1)
    assert rounded(slot) == slot


def test_the_size_of_a_tensor() -> None:
    assert size_of("FP16", (3, 5)) == 30
    assert size_of("FP64", ()) == 8
    assert size_of("INT8", (3, 0)) == 0
    assert size_of("BYTES", (3,)) is None


def test_what_came_twice_is_expected() -> None:
    seen = SeenSizes()
    assert seen.expected(call()) == ()
    seen.saw(call(), answer(3))
    assert seen.expected(call()) == ()
    seen.saw(call(), answer(3))
    assert seen.expected(call()) == (("y", 12), ("t", None))


def test_of_inputs_of_the_same_shapes_and_the_same_outputs_alone() -> None:
    seen = SeenSizes()
    for _ in range(2):
        seen.saw(call(), answer(3))
    assert seen.expected(call(5)) == ()
    assert seen.expected(call(outputs=("y",))) == ()
    assert seen.expected(call(version=2)) == ()


def test_classes_and_sequences_are_not_expected() -> None:
    seen = SeenSizes()
    for _ in range(2):
        seen.saw(call(), answer(3))
    assert seen.expected(call(class_count=3)) == ()
    assert seen.expected(call(sequence=SequenceStep(id=1))) == ()


@given(st.lists(st.integers(1, 3), min_size=2, max_size=8))
def test_nothing_more_is_expected_after_a_difference(sizes: list[int]) -> None:
    seen = SeenSizes()
    for size in sizes:
        seen.saw(call(), answer(size))
    assert bool(seen.expected(call())) is (len(set(sizes)) == 1)


def test_nor_where_it_was_more_than_expected() -> None:
    seen = SeenSizes()
    for _ in range(2):
        seen.saw(call(), answer(3))
    seen.differ(call())
    for _ in range(3):
        seen.saw(call(), answer(3))
    assert seen.expected(call()) == ()


def test_no_end_of_shapes_takes_no_end_of_memory() -> None:
    seen = SeenSizes()
    for items in range(2000):
        for _ in range(2):
            seen.saw(call(items + 1), answer(3))
    assert seen.expected(call(2000))
    assert not seen.expected(call(1))
