"""What was found fit once is not looked at again, and nothing else passes for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith_client.checks import GRPC_MESSAGE_BYTES, checked_inputs
from plansmith_client.errors import InvalidInput
from plansmith_client.fitting import Fitting
from plansmith_client.tensors import ModelMetadata, TensorMetadata

PAIR = ModelMetadata(
    name="m",
    version=None,
    versions=(1,),
    inputs=(
        TensorMetadata(name="x", dtype="FP32", shape=(-1, -1)),
        TensorMetadata(name="y", dtype="INT64", shape=(-1, 2), optional=True),
    ),
    outputs=(),
    max_batch_size=3,
)


def fitting(casting: Any = None) -> Fitting:
    return Fitting(casting, GRPC_MESSAGE_BYTES)


dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.dtype(">f4"), np.dtype(object)])
arrays = st.builds(
    lambda dtype, shape, transposed: np.zeros(shape, dtype).T if transposed else np.ones(shape),
    dtypes,
    st.tuples(st.integers(0, 4), st.integers(0, 3)),
    st.booleans(),
)
anything = arrays | st.just([1.0]) | st.just(np.ma.zeros((1, 1), np.float32))
requests = st.dictionaries(st.sampled_from(["x", "y", "z"]), anything, max_size=2)


def outcome(found: Any, *given_: Any, **more: Any) -> Any:
    try:
        inputs = found(*given_, **more)
    except InvalidInput as error:
        return str(error)
    return [(one.name, one.dtype, one.shape, one.content.tobytes()) for one in inputs]


@given(st.lists(requests, max_size=8), st.sampled_from([None, "safe"]))
def test_every_request_of_many_is_judged_as_if_it_were_the_first(
    many: list[dict[str, Any]], casting: Any
) -> None:
    remembering = fitting(casting)
    for request in [*many, *many]:
        expected = outcome(checked_inputs, PAIR, request, casting=casting)
        assert outcome(remembering.inputs, PAIR, request) == expected


def test_a_model_that_was_replaced_is_looked_at_anew() -> None:
    remembering, x = fitting(), {"x": np.zeros((1, 2), np.float32)}
    assert remembering.inputs(PAIR, x)
    other = ModelMetadata(
        name="m",
        version=None,
        versions=(2,),
        inputs=(TensorMetadata(name="x", dtype="FP32", shape=(-1, 3)),),
        outputs=(),
        max_batch_size=3,
    )
    with pytest.raises(InvalidInput, match=r"is \[1, 2\], the model takes \[N, 3\]"):
        remembering.inputs(other, x)


def test_values_of_text_are_looked_at_every_time() -> None:
    words = ModelMetadata(
        name="m",
        version=None,
        versions=(1,),
        inputs=(TensorMetadata(name="w", dtype="BYTES", shape=(-1,)),),
        outputs=(),
        max_batch_size=0,
    )
    remembering = fitting()
    assert remembering.inputs(words, {"w": np.array(["a"], dtype=object)})
    with pytest.raises(InvalidInput, match="holds a int"):
        remembering.inputs(words, {"w": np.array([1], dtype=object)})


def test_an_array_is_sent_without_a_copy_each_time() -> None:
    remembering, x = fitting(), np.zeros((1, 2), np.float32)
    for _ in range(3):
        (tensor,) = remembering.inputs(PAIR, {"x": x})
        assert np.shares_memory(tensor.content, x)


def test_of_shapes_that_never_come_again_no_more_than_so_many_are_kept() -> None:
    remembering = fitting()
    for size in range(3000):
        (tensor,) = remembering.inputs(PAIR, {"x": np.zeros((1, size), np.float32)})
        assert tensor.shape == (1, size)
    _, kept = remembering._kept
    assert len(kept) <= 1024
