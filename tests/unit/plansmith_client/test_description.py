"""A model whose configuration is not shown: what is known is checked, the rest is the server's."""

from __future__ import annotations

import numpy as np
import pytest

from plansmith_client.batching import pieces
from plansmith_client.calls import ConfigReply, MetadataReply
from plansmith_client.checks import check_answers_once, checked_inputs, only
from plansmith_client.classification import class_count
from plansmith_client.description import described
from plansmith_client.errors import InvalidInput
from plansmith_client.tensors import TensorMetadata

A, B = (TensorMetadata(name=name, dtype="FP32", shape=(-1, 3)) for name in "ab")
SERVED = MetadataReply(versions=(1, 2), inputs=(A, B), outputs=(A,))
HIDDEN = described("m", None, SERVED, None)
ROW = np.zeros((1, 3), np.float32)


def test_what_only_a_configuration_tells_is_not_known() -> None:
    assert (HIDDEN.max_batch_size, HIDDEN.decoupled, HIDDEN.stateful) == (None, None, None)
    assert [one.optional for one in HIDDEN.inputs] == [None, None]
    assert HIDDEN.versions == (1, 2)


def test_a_configuration_tells_it() -> None:
    config = ConfigReply(max_batch_size=8, optional_inputs=frozenset("b"), stateful=True)
    metadata = described("m", 2, SERVED, config)
    assert (metadata.version, metadata.max_batch_size) == (2, 8)
    assert (metadata.decoupled, metadata.stateful) == (False, True)
    assert [one.optional for one in metadata.inputs] == [False, True]


@pytest.mark.parametrize("given", [{"a": ROW}, {"a": ROW, "b": ROW}, {}])
def test_any_input_may_be_left_out(given: dict[str, np.ndarray]) -> None:
    assert [one.name for one in checked_inputs(HIDDEN, given)] == list(given)


def test_any_number_of_items_may_be_sent() -> None:
    (one,) = checked_inputs(HIDDEN, {"a": np.zeros((1000, 3), np.float32)})
    assert one.shape == (1000, 3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"c": ROW}, "no input 'c'"),
        ({"a": ROW.astype("float64")}, "input a is float64"),
        ({"a": ROW[0]}, r"input a is \[3\], the model takes \[any, 3\]"),
        ({"a": ROW[:, :2]}, r"input a is \[1, 2\], the model takes \[any, 3\]"),
    ],
)
def test_names_dtypes_and_shapes_are_checked(given: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        checked_inputs(HIDDEN, given)


def test_an_array_without_a_name_needs_a_model_of_one_input() -> None:
    with pytest.raises(InvalidInput, match="has 2 inputs"):
        only(HIDDEN, "input")
    alone = described("m", None, MetadataReply(versions=(), inputs=(A,), outputs=(A,)), None)
    assert only(alone, "input").name == "a"


def test_a_model_that_may_be_decoupled_is_asked() -> None:
    check_answers_once(HIDDEN)


def test_batches_are_not_cut_without_a_limit() -> None:
    with pytest.raises(InvalidInput, match="max_batch_size is not known: send what it takes"):
        pieces(HIDDEN, {"a": ROW}, 10**6)


def test_all_classes_are_asked_for() -> None:
    assert class_count(A, None) > 10**9
