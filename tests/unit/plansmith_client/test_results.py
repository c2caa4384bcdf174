"""What a model with several outputs gives back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from plansmith_client import Result


def test_outputs_are_items_and_attributes() -> None:
    scores = np.ones((2, 3), np.float32)
    result = Result(scores=scores)
    assert result["scores"] is result.scores is scores
    assert list(result) == ["scores"]
    assert "scores" in dir(result)


def test_an_unknown_output_is_told_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match="no output 'score'; there are: scores, boxes"):
        _ = Result(scores=np.ones(1), boxes=np.ones(1)).score


def test_repr_has_shapes_and_no_values() -> None:
    result = Result(scores=np.ones((2, 3), np.float32), n=np.array(4))
    assert repr(result) == "Result(scores: float32[2, 3], n: int64[])"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_it_can_be_copied_and_pickled(copied: object) -> None:
    assert callable(copied)
    again = copied(Result(scores=np.ones(3)))
    assert isinstance(again, Result)
    np.testing.assert_array_equal(again.scores, np.ones(3))
