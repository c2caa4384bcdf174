"""Request bodies: of the model's dtype and shape, every sample used, nothing converted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_samples import Input, UnusableSamples, random_batches, read_samples, sample_batches
from plansmith.data.samples import save_arrays
from plansmith.golden.file import GoldenAnswers, column
from plansmith.plain.answers import samples_of


def input_of(dtype: str, *item_shape: int, name: str = "x", batched: bool = True) -> Input:
    return Input(name=name, dtype=np.dtype(dtype), item_shape=item_shape, batched=batched)


@given(st.integers(1, 20), st.integers(1, 8))
def test_every_sample_is_sent_in_batches_of_one_size(count: int, batch_size: int) -> None:
    samples = {"x": np.arange(count, dtype=np.float32)[:, None]}
    batches = sample_batches(samples, [input_of("float32", 1)], batch_size)
    assert all(batch["x"].shape == (batch_size, 1) for batch in batches)
    sent = np.concatenate([batch["x"] for batch in batches]).ravel()
    assert sent.tolist() == [index % count for index in range(len(sent))]
    assert 0 <= len(sent) - count < batch_size


def test_inputs_go_together() -> None:
    samples = {
        "a": np.arange(3, dtype=np.int64)[:, None],
        "b": np.arange(3, dtype=np.int64)[:, None],
    }
    inputs = [input_of("int64", 1, name="a"), input_of("int64", -1, name="b")]
    assert all((batch["a"] == batch["b"]).all() for batch in sample_batches(samples, inputs, 2))


def test_without_a_batch_axis_one_sample_is_one_request() -> None:
    batches = sample_batches(
        {"x": np.ones((3, 4), np.uint8)}, [input_of("uint8", 4, batched=False)], 1
    )
    assert [batch["x"].shape for batch in batches] == [(4,)] * 3


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 4), np.float64), "samples of float64"),
        (np.ones((2, 3), np.float32), r"takes float32 \[4\]"),
        (np.ones((2, 4, 1), np.float32), r"float32 \[4, 1\]"),
        (np.ones((0, 4), np.float32), "no numbers of samples"),
        (np.float32(1), "no numbers of samples"),
    ],
)
def test_unfit_samples_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(UnusableSamples, match=message):
        sample_batches({"x": array}, [input_of("float32", 4)], 1)


@pytest.mark.parametrize(
    "texts",
    [
        np.array([[b"one"], ["naïve ☃".encode()]]),
        np.array([["one"], ["naïve ☃"]]),
        np.array([[b"one"], ["naïve ☃".encode()]], object),
    ],
    ids=["bytes", "texts", "objects"],
)
def test_texts_are_sent_as_objects_that_are_bytes(texts: np.ndarray) -> None:
    (batch,) = sample_batches({"x": texts}, [input_of("object", 1)], 2)
    assert batch["x"].dtype == object
    assert batch["x"].tolist() == [[b"one"], ["naïve ☃".encode()]]


@given(st.lists(st.binary(max_size=6) | st.just(b"\0\0"), min_size=2, max_size=8))
def test_bytes_come_out_of_golden_samples_as_they_went_in(items: list[bytes]) -> None:
    rows = np.empty((len(items), 1), object)
    rows[:, 0] = items
    answers = GoldenAnswers(
        inputs={"x": column(rows)}, outputs={"y": column(rows)}, max_deviation=0
    )
    inputs = [input_of("object", 1)]
    with TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "samples.npz", samples_of(answers))
        samples = read_samples(Path(folder) / "samples.npz", inputs)
    (batch,) = sample_batches(samples, inputs, len(items))
    assert batch["x"].tolist() == rows.tolist()


def records(dtype: str, bytes_: object, length: int) -> np.ndarray:
    return np.array([[(bytes_, length)]], [("bytes", dtype), ("length", np.int64)])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 1), np.float32), r"samples of float32 \[1\], the model takes bytes \[1\]"),
        (np.array(["a", "b"]), r"takes bytes \[1\]"),
        (np.array([["\ud800"]]), "input x: no UTF-8 can hold a text"),
        (records("S2", b"ab", 1), "not of bytes and their length"),
        (records("S2", b"ab", 2**40), "not of bytes and their length"),
        (records("i8", 1, 1), "not of bytes and their length"),
    ],
)
def test_what_no_bytes_can_be_made_of_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(UnusableSamples, match=message):
        sample_batches({"x": array}, [input_of("object", 1)], 1)


def test_texts_for_numbers_are_refused() -> None:
    with pytest.raises(UnusableSamples, match="the model takes float32"):
        sample_batches({"x": np.array([[b"1.5"]])}, [input_of("float32", 1)], 1)


def test_random_batches_fit_and_repeat_with_the_seed() -> None:
    inputs = [
        input_of("uint8", 2, 3, name="image"),
        input_of("float16", 5, name="real"),
        input_of("bool", name="flag"),
        input_of("int64", 4, name="tokens", batched=False),
    ]
    one, again, other = (random_batches(inputs, 2, seed) for seed in (1, 1, 2))
    for batch, same in zip(one, again, strict=True):
        assert {name: (array.dtype, array.shape) for name, array in batch.items()} == {
            "image": (np.uint8, (2, 2, 3)),
            "real": (np.float16, (2, 5)),
            "flag": (np.bool_, (2,)),
            "tokens": (np.int64, (4,)),
        }
        assert all((batch[name] == same[name]).all() for name in batch)
    assert (one[0]["image"] != other[0]["image"]).any()
    assert (one[0]["image"] != one[1]["image"]).any()


@pytest.mark.parametrize("one", [input_of("object", 1), input_of("float32", -1)])
def test_what_cannot_be_made_up_asks_for_real_samples(one: Input) -> None:
    with pytest.raises(UnusableSamples, match="give real samples"):
        random_batches([one], 1, 0)


def test_files(tmp_path: Path) -> None:
    inputs = [input_of("float32", 4, name="a"), input_of("float32", 4, name="b")]
    array = np.ones((2, 4), np.float32)
    np.save(tmp_path / "one.npy", array)
    np.savez(tmp_path / "two.npz", a=array, b=array)
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npz").write_text("not an archive")
    assert list(read_samples(tmp_path / "one.npy", inputs[:1])) == ["a"]
    assert sorted(read_samples(tmp_path / "two.npz", inputs)) == ["a", "b"]
    for name, message in (
        ("one.npy", "one array without a name; the model's inputs are a, b"),
        ("pickled.npy", "allow_pickle"),
        ("text.npz", "text.npz"),
    ):
        with pytest.raises(UnusableSamples, match=message):
            read_samples(tmp_path / name, inputs)
    with pytest.raises(UnusableSamples, match="holds a, b"):
        read_samples(tmp_path / "two.npz", inputs[:1])
