"""What identifies data, and the refusal of data that nothing can be learnt from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.data.identity import (
    DataIdentity,
    describe,
    overlap,
    refuse_overlap,
    refuse_unusable_calibration,
    statistics_of,
)
from plansmith.data.samples import Samples
from plansmith.errors import UnusableInput


def samples(**arrays: np.ndarray) -> Samples:
    return Samples(arrays=arrays, sha256="ab" * 32)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """Real scans of handwritten digits: float32 [1797, 8, 8], 0..16."""
    from sklearn.datasets import load_digits

    return load_digits().images.astype(np.float32)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Crops of a real photo: uint8 [80, 64, 64, 3], no two alike."""
    from skimage import data

    photo = data.astronaut()
    return np.stack(
        [
            photo[top : top + 64, left : left + 64]
            for top in range(0, 440, 55)
            for left in range(0, 440, 44)
        ]
    )


def test_an_identity_says_what_the_data_covers() -> None:
    found = describe(
        samples(x=np.array([[1, 2], [5, -3]], np.int32), y=np.array([[0.5], [0.25]])),
        labels=np.array([2, 2]),
        class_count=10,
        skipped=("a.txt",),
    )
    assert found == DataIdentity(
        sha256="ab" * 32,
        count=2,
        classes=1,
        class_count=10,
        ranges={"x": (-3.0, 5.0), "y": (0.25, 0.5)},
        skipped=("a.txt",),
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=DataIdentity) == found


def test_without_labels_no_class_is_said_to_be_covered() -> None:
    found = describe(samples(x=np.zeros((2, 1))), class_count=10)
    assert (found.classes, found.class_count) == (None, None)


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6)


@given(ROWS, ROWS)
def test_rows_overlap_where_all_their_inputs_are_equal(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    first, second = (
        samples(a=np.array(rows)[:, :1], b=np.array(rows)[:, 1:].astype(np.float32))
        for rows in (one, other)
    )
    assert overlap(first, second) == sum(row in other for row in one)


def test_rows_of_another_dtype_are_not_the_same() -> None:
    zeros = np.zeros((1, 4))
    assert overlap(samples(x=zeros.astype(np.int32)), samples(x=zeros.astype(np.float32))) == 0


def test_calibration_rows_that_are_evaluated_on_are_refused(digits: np.ndarray) -> None:
    evaluation, calibration = samples(x=digits[:100]), samples(x=digits[98:150])
    says = r"^data\.calibration: 2 of its 52 rows are in data\.evaluation too"
    with pytest.raises(UnusableInput, match=says):
        refuse_overlap(evaluation, calibration)
    refuse_overlap(evaluation, samples(x=digits[100:150]))


def test_another_key_can_be_named(digits: np.ndarray) -> None:
    same = samples(x=digits[:9])
    with pytest.raises(UnusableInput, match=r"^data\.training: 9 of its 9 rows"):
        refuse_overlap(same, same, "data.training")


def refusal(calibration: np.ndarray, evaluation: np.ndarray) -> str:
    with pytest.raises(UnusableInput) as caught:
        refuse_unusable_calibration(samples(x=calibration), samples(x=evaluation))
    return str(caught.value)


def test_real_data_of_the_same_kind_is_accepted(digits: np.ndarray, crops: np.ndarray) -> None:
    for data in (digits, crops):
        refuse_unusable_calibration(samples(x=data[::2]), samples(x=data[1::2]))


def test_the_smallest_set_is_of_32_rows(digits: np.ndarray) -> None:
    refuse_unusable_calibration(samples(x=digits[:32]), samples(x=digits[32:]))
    assert "has 31 rows" in refusal(digits[:31], digits[32:])


def test_copies_of_one_row_are_one_row(digits: np.ndarray) -> None:
    told = refusal(np.repeat(digits[:1], 99, axis=0), digits)
    assert told.startswith("data.calibration: has 99 rows, 1 of them distinct and 99 not constant")


def test_rows_without_any_content_do_not_count(digits: np.ndarray) -> None:
    constant = np.arange(99, dtype=np.float32)[:, None, None] % 16 + np.zeros((1, 8, 8), np.float32)
    assert "16 of them distinct and 0 not constant; needs 32" in refusal(constant, digits)


def test_a_row_of_one_value_is_not_called_constant() -> None:
    numbers = np.arange(200, dtype=np.float32)[:, None]
    refuse_unusable_calibration(samples(x=numbers[::2]), samples(x=numbers[1::2]))


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("seed", range(5))
def test_noise_is_refused_with_the_figures(crops: np.ndarray, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # As like the photos as noise can be: of their mean and spread.
    mean, spread, shape = crops.mean(), crops.std(), (64, *crops.shape[1:])
    noise = {
        "uniform": rng.uniform(mean - 3**0.5 * spread, mean + 3**0.5 * spread, shape),
        "normal": rng.normal(mean, spread, shape),
    }[kind]
    told = refusal(noise.clip(0, 255).astype(np.uint8), crops)
    assert told.startswith("data.calibration: x looks like noise: mean ")
    assert "correlation of neighbours" in told
    assert "data.evaluation has mean " in told


def test_noise_in_the_layout_of_pytorch_is_refused_too(crops: np.ndarray) -> None:
    photos = crops.transpose(0, 3, 1, 2).astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(photos.mean(), photos.std(), photos.shape)
    assert "looks like noise" in refusal(noise.astype(np.float32), photos)
    refuse_unusable_calibration(samples(x=photos[::2]), samples(x=photos[1::2]))


def test_noise_of_unlike_brightness_is_refused_too(crops: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 30, crops.shape) + rng.uniform(60, 190, (len(crops), 1, 1, 3))
    assert "looks like noise" in refusal(noise.clip(0, 255).astype(np.uint8), crops)


def test_noise_is_accepted_where_the_real_data_has_no_order_either() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(100, 256)).astype(np.float32) for _ in range(2))
    refuse_unusable_calibration(samples(x=one), samples(x=other))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda real: real / 255, "another spread"),
        (lambda real: real + 20, "another level"),
        (lambda real: real.mean() + (real - real.mean()) / 4, "another spread"),
        (lambda real: real.mean() + (real - real.mean()) * 4, "another spread"),
    ],
    ids=["other units", "shifted", "flatter", "steeper"],
)
def test_data_of_another_scale_is_refused_with_the_figures(
    digits: np.ndarray, change: object, says: str
) -> None:
    assert callable(change)
    told = refusal(change(digits[:200]).astype(np.float32), digits[200:])
    assert says in told
    # 4.884 and 6.017: the mean and standard deviation of scikit-learn's digits.
    assert "data.evaluation has mean 4.8" in told


def test_any_input_of_several_is_looked_at(digits: np.ndarray) -> None:
    evaluation = samples(a=digits[:100], b=digits[:100])
    calibration = samples(a=digits[100:200], b=digits[100:200] / 16)
    with pytest.raises(UnusableInput, match=r"^data\.calibration: b has values of another"):
        refuse_unusable_calibration(calibration, evaluation)


def test_the_correlation_is_that_of_all_pairs_of_neighbours() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 20, 20)).cumsum(axis=2)
    centred = rows - rows.mean(axis=(1, 2), keepdims=True)
    # Every pair written out, down and across, and numpy's own r of values centred already.
    pairs = [(row[:-1], row[1:]) for row in centred] + [
        (row[:, :-1], row[:, 1:]) for row in centred
    ]
    first, second = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    want = (first @ second) / np.sqrt((first @ first) * (second @ second))
    assert statistics_of(rows).correlation == pytest.approx(want)


def test_too_few_neighbours_have_no_correlation() -> None:
    assert statistics_of(np.random.default_rng(0).normal(size=(40, 8))).correlation is None
