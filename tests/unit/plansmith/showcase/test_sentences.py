"""Cosines of sentences, and whether they tell paraphrases from all others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plansmith.showcase.sentences import Likeness, cosines


@given(
    vectors=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 6)),
        elements=st.floats(0.125, 100, width=32),
    ),
    factor=st.floats(0.5, 100),
)
def test_cosines_are_symmetric_at_most_one_and_know_no_length(
    vectors: np.ndarray, factor: float
) -> None:
    found = np.array(cosines(vectors))
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-12)
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(np.array(cosines(vectors * factor)), found, atol=1e-5)


def test_cosines_of_known_vectors() -> None:
    found = cosines(np.array([[1, 0], [3, 3], [-2, 0]], np.float32))
    half = 2**-0.5
    np.testing.assert_allclose(found, [[1, half, -1], [half, 1, -half], [-1, -half, 1]])


def test_paraphrases_are_set_against_all_other_pairs() -> None:
    shown = Likeness(
        texts=("a", "b", "c", "d"),
        paraphrases=((0, 1), (2, 3)),
        cosines=(
            (1.0, 0.9, 0.3, 0.1),
            (0.9, 1.0, 0.2, -0.4),
            (0.3, 0.2, 1.0, 0.7),
            (0.1, -0.4, 0.7, 1.0),
        ),
    )
    assert shown.least_of_paraphrases == 0.7
    assert shown.most_of_others == 0.3
