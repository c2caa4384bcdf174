"""Triton's classification answers as ranked classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.classification import class_count, ranked
from plansmith_client.errors import ServerFault
from plansmith_client.tensors import TensorMetadata


def answers(*items: list[bytes]) -> np.ndarray:
    return np.array(items, dtype=object)


def test_labels_may_hold_colons_or_be_absent() -> None:
    (item,) = ranked(answers([b"2.5:7:ratio 1:2", b"1.0:0:", b"-3:4"]), 5, model="m")
    assert [(one.index, one.label, one.logit) for one in item] == [
        (7, "ratio 1:2", 2.5),
        (0, "", 1.0),
        (4, None, -3.0),
    ]


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=30), st.integers(1, 40))
def test_probabilities_are_the_softmax_over_all(logits: list[float], top: int) -> None:
    ordered = sorted(range(len(logits)), key=lambda index: -logits[index])
    (item,) = ranked(
        answers([f"{logits[index]:.6f}:{index}".encode() for index in ordered]), top, model="m"
    )
    shown = [float(f"{logits[index]:.6f}") for index in ordered]
    # An independent softmax, of differences rather than shifted logits.
    for place, one in enumerate(item):
        expected = 1 / sum(np.exp(other - shown[place]) for other in shown)
        assert one.probability == pytest.approx(expected, rel=1e-9, abs=1e-300)
        assert one.logit == shown[place]
    assert len(item) == min(top, len(logits))
    assert [one.index for one in item] == ordered[:top]


def test_a_model_without_batch_axis_is_one_item() -> None:
    result = ranked(np.array([b"1:1", b"0:0"], dtype=object), 1, model="m")
    assert [[one.index for one in item] for item in result] == [[1]]


def test_masked_classes_have_no_probability() -> None:
    (item,) = ranked(answers([b"1.0:0", b"-inf:1"]), 2, model="m")
    assert [one.probability for one in item] == [1.0, 0.0]


@pytest.mark.parametrize("bad", [b"nan:0", b"inf:0"])
def test_no_softmax(bad: bytes) -> None:
    with pytest.raises(ServerFault, match="m: logits with NaN or infinity"):
        ranked(answers([b"1.0:1", bad]), 2, model="m")


@pytest.mark.parametrize(
    ("shape", "limit", "count"),
    [((-1, 1000), 8, 1000), ((1000,), 0, 1000), ((-1, 10, 2), 8, 20), ((-1, -1), 8, 2**31 - 1)],
)
def test_class_count(shape: tuple[int, ...], limit: int, count: int) -> None:
    assert class_count(TensorMetadata(name="y", dtype="FP32", shape=shape), limit) == count
