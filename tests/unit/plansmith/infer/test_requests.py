"""Words of the command line as a model's inputs: files of each kind, values, texts, stdin."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plansmith.errors import UnusableInput
from plansmith.infer.asking import requests_of, steps_of
from plansmith.infer.inputs import input_of
from plansmith.infer.reading import Reader
from plansmith_client import ModelMetadata, TensorMetadata


def tensor(name: str, dtype: str, *shape: int, optional: bool = False) -> TensorMetadata:
    return TensorMetadata(name=name, dtype=dtype, shape=shape, optional=optional)


def model(*inputs: TensorMetadata, batches: int | None = 0, stateful: bool = False) -> Any:
    """A model `m`; the shapes of `inputs` have the batch axis in front if it batches."""
    return ModelMetadata(
        name="m",
        version=None,
        versions=(1,),
        inputs=inputs,
        outputs=inputs,
        max_batch_size=batches,
        stateful=stateful,
    )


def sent(
    metadata: ModelMetadata, *given: str | Path, texts: tuple[str, ...] = (), stdin: bytes = b""
) -> list[dict[str, Any]]:
    known = tuple(input_of(metadata, spec) for spec in metadata.inputs)
    reader = Reader(known, rate_hz=16_000, stdin=io.BytesIO(stdin))
    requests = requests_of([str(one) for one in given], texts, metadata, reader)
    return [dict(request.inputs) for request in requests]


def only(found: list[dict[str, Any]]) -> np.ndarray:
    ((array,),) = (one.values() for one in found)
    return array


TEXT = model(tensor("words", "BYTES", -1, 1), batches=4)
PAIR = model(tensor("a", "FP32", -1, 2), tensor("b", "INT64", -1, 1), batches=4)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """6 wide, 4 high."""
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(path)
    return path


def test_a_files_bytes_are_the_text_without_the_newline_that_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes("zwei\nZeilen ä\n".encode())
    text = only(sent(TEXT, file))
    assert (text.shape, text.item()) == ((1, 1), "zwei\nZeilen ä".encode())
    assert only(sent(model(tensor("x", "BYTES", 1)), file)).shape == (1,)


def test_of_what_is_no_text_every_byte_counts(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8\n")
    assert only(sent(TEXT, tmp_path / "x.jpg")).item() == b"\xff\xd8\n"


def test_texts_are_calls_of_their_own_after_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    found = sent(TEXT, tmp_path / "a.txt", texts=("b", "-", ""))
    assert [one["words"].item() for one in found] == [b"a", b"b", b"-", b""]


def test_a_text_is_refused_by_a_model_of_numbers() -> None:
    with pytest.raises(UnusableInput, match=r"m takes x as FP32 \[3\], which is no text"):
        sent(model(tensor("x", "FP32", 3)), texts=("a",))


def test_a_picture_stays_whole_where_its_size_is_free(picture: Path) -> None:
    found = only(sent(model(tensor("x", "UINT8", -1, -1, 3)), picture))
    assert found.shape == (4, 6, 3)
    assert (found == 7).all()


def test_a_picture_is_cut_to_the_models_size_where_it_has_one(picture: Path) -> None:
    assert only(sent(model(tensor("x", "UINT8", -1, 2, 2, 3), batches=8), picture)).shape == (
        *(1, 2, 2),
        3,
    )


def test_a_picture_is_grey_to_a_model_of_one_channel(picture: Path) -> None:
    assert only(sent(model(tensor("x", "UINT8", 4, 6, 1)), picture)).tolist() == [[[7]] * 6] * 4


def test_what_is_neither_text_nor_picture_nor_sound_has_to_be_an_array(picture: Path) -> None:
    with pytest.raises(UnusableInput, match=r"m takes x as FP32 \[3, 3\], which is neither"):
        sent(model(tensor("x", "FP32", 3, 3)), picture)
    with pytest.raises(UnusableInput, match=r"picture.png: m takes x as FP32 \[-1\], which a .wav"):
        sent(model(tensor("x", "FP32", -1)), picture)


def test_an_npy_of_one_item_or_of_several(tmp_path: Path) -> None:
    metadata = model(tensor("x", "FP32", -1, 2), batches=4)
    for array in (np.ones((3, 2), np.float32), np.ones(2, np.float32)):
        np.save(tmp_path / "x.npy", array)
        found = only(sent(metadata, tmp_path / "x.npy"))
        np.testing.assert_array_equal(found, np.atleast_2d(array))


def test_numpys_texts_are_bytes_to_a_model_of_texts(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([["ä"], ["b"]]))
    found = only(sent(TEXT, tmp_path / "x.npy"))
    assert (found.dtype, found.tolist()) == (object, [["ä"], ["b"]])


def test_an_npz_has_inputs_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones(2, np.float32), b=np.array([[5]]))
    (found,) = sent(PAIR, tmp_path / "x.npz")
    assert (found["a"].shape, found["b"].tolist()) == ((1, 2), [[5]])


def test_an_array_alone_in_an_npz_needs_no_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.ones(2, np.float32))
    assert only(sent(model(tensor("x", "FP32", 2)), tmp_path / "x.npz")).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_objects_are_never_unpickled(tmp_path: Path, name: str) -> None:
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, np.array([[b"a"]], object))
    with pytest.raises(UnusableInput, match=r"not a readable .npy file: .*allow_pickle"):
        sent(TEXT, tmp_path / name)


def in_json(tmp_path: Path, value: object) -> Path:
    (tmp_path / "x.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return tmp_path / "x.json"


def test_json_by_name_is_typed_by_the_model(tmp_path: Path) -> None:
    (found,) = sent(PAIR, in_json(tmp_path, {"a": [1, 2], "b": [[3]]}))
    assert (found["a"].dtype, found["a"].tolist()) == (np.float32, [[1, 2]])
    assert (found["b"].dtype, found["b"].tolist()) == (np.int64, [[3]])


def test_json_of_kserve_says_shapes(tmp_path: Path) -> None:
    inputs = [
        {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
        {"name": "b", "shape": [2, 1], "data": [[5], [6]]},
    ]
    (found,) = sent(PAIR, in_json(tmp_path, {"id": "1", "inputs": inputs}))
    assert found["a"].tolist() == [[1, 2], [3, 4]]
    assert (found["b"].dtype, found["b"].tolist()) == (np.int64, [[5], [6]])


def test_a_model_may_have_an_input_named_inputs(tmp_path: Path) -> None:
    metadata = model(tensor("inputs", "FP32", 2))
    assert only(sent(metadata, in_json(tmp_path, {"inputs": [1, 2]}))).tolist() == [1, 2]


def test_an_npy_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    head = str({"descr": "<f4", "fortran_order": False, "shape": (10**17,)}).ljust(117) + "\n"
    npy = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + b"\0" * 8
    (tmp_path / "x.npy").write_bytes(npy)
    with pytest.raises(UnusableInput, match=r"x.npy: not a readable .npy file"):
        sent(model(tensor("x", "FP32", -1)), tmp_path / "x.npy")


def test_json_without_names_is_for_the_only_input(tmp_path: Path) -> None:
    metadata = model(tensor("x", "FP16", -1, 2), batches=4)
    found = only(sent(metadata, in_json(tmp_path, [[1, 2], [3, 4]])))
    assert (found.dtype, found.shape) == (np.float16, (2, 2))


def test_any_other_json_is_a_text_to_a_model_of_texts(tmp_path: Path) -> None:
    assert only(sent(TEXT, in_json(tmp_path, {"other": 1}))).item() == b'{"other": 1}'
    assert only(sent(TEXT, in_json(tmp_path, {"words": ["ä"]}))).tolist() == [["ä"]]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "not readable JSON"),
        ({"a": [1, "2"], "b": 1}, "a: '2' among values of FP32"),
        ({"a": [1, 2], "b": 1.5}, "b: 1.5 among values of INT64"),
        ({"a": [[1], [2, 3]], "b": 1}, "a: lists of different lengths"),
        ({"a": [1, None], "b": 1}, "a: None among values"),
        ({"inputs": [{"name": "a", "shape": [3], "data": [1, 2]}]}, "a: cannot reshape"),
        ({"inputs": [{"name": "a", "data": [1, 2]}]}, "needs name, shape, datatype and data"),
        ({"inputs": [7]}, "needs name, shape, datatype and data"),
        ({"inputs": [{"name": "c", "shape": [1], "data": [1]}]}, "needs name, .*'c'"),
        (
            {"inputs": [{"name": "a", "shape": [1], "datatype": "FP7", "data": [1]}]},
            "datatype FP7",
        ),
        ("[" * 100_000, "not readable JSON"),
    ],
)
def test_json_that_does_not_fit_is_refused(tmp_path: Path, value: object, says: str) -> None:
    with pytest.raises(UnusableInput, match=rf"x.json: .*{says}"):
        sent(PAIR, in_json(tmp_path, value))


def test_inputs_may_be_given_by_name_as_values_and_as_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 2), np.float32))
    (found,) = sent(PAIR, f"a={tmp_path / 'a.npy'}", "b=5")
    assert (found["a"].tolist(), found["b"].tolist()) == ([[1, 1]], [[5]])
    (found,) = sent(PAIR, "a=[1, 2]", "b=[[7]]")
    assert (found["a"].tolist(), found["b"].tolist()) == ([[1, 2]], [[7]])


def test_a_value_by_name_goes_with_every_file(tmp_path: Path) -> None:
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", np.full((1, 2), ord(name), np.float32))
    found = sent(PAIR, tmp_path / "x.npy", "b=5", tmp_path / "y.npy")
    assert [one["a"][0, 0] for one in found] == [ord("x"), ord("y")]
    assert [one["b"].item() for one in found] == [5, 5]


def test_a_text_by_name_may_hold_any_sign() -> None:
    assert only(sent(TEXT, "words=a=b")).item() == b"a=b"


def test_a_file_with_a_sign_of_equality_in_its_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "n=1.txt").write_text("a")
    assert only(sent(TEXT, tmp_path / "n=1.txt")).item() == b"a"


def test_optional_inputs_need_not_be_given(tmp_path: Path) -> None:
    metadata = model(tensor("a", "FP32", 1), tensor("b", "FP32", 1, optional=True))
    np.save(tmp_path / "x.npy", np.ones(1, np.float32))
    assert [*sent(metadata, tmp_path / "x.npy")[0]] == ["a"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["none.png"], "none.png: no such file"),
        (["a=1", "a=2"], "a=2: a was given before"),
        (["a=x.npy"], "a=x.npy: not readable JSON: .* nor is there a file x.npy"),
        (["b=1.5"], "b=1.5: b: 1.5 among values of INT64"),
        (["c=1"], "c=1: m has a, b, no input 'c'; nor is there such a file"),
        ([], "m: nothing to send: give a file, or --text"),
    ],
)
def test_words_that_are_nothing_are_refused(given: list[str], says: str) -> None:
    with pytest.raises(UnusableInput, match=says):
        sent(PAIR, *given)


def test_a_file_without_a_name_needs_a_model_of_one_input(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 2), np.float32))
    with pytest.raises(UnusableInput, match=r"m has a, b: give them by name, as a=.*x.npy"):
        sent(PAIR, tmp_path / "x.npy")
    with pytest.raises(UnusableInput, match="m has no input left: leave it out"):
        sent(PAIR, tmp_path / "x.npy", "a=[1,2]", "b=1")


def saved(save: Any, array: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "stdin",
    [
        saved(np.save, np.array([[1, 2]], np.float32)),
        saved(np.savez, np.array([[1, 2]], np.float32)),
        b" [[1, 2]]",
        b'{"x": [1, 2]}',
    ],
)
def test_stdin_is_what_it_looks_like(stdin: bytes) -> None:
    metadata = model(tensor("x", "FP32", -1, 2), batches=4)
    for word in ("-", "x=-"):
        if word == "-" or not stdin.startswith(b"{"):
            assert only(sent(metadata, word, stdin=stdin)).tolist() == [[1, 2]]


def test_stdin_is_a_text_or_a_picture_to_a_model_of_them(picture: Path) -> None:
    assert only(sent(TEXT, "-", stdin=b"[a]\n")).item() == b"[a]"
    metadata = model(tensor("x", "UINT8", -1, -1, 3))
    assert only(sent(metadata, "-", stdin=picture.read_bytes())).shape == (4, 6, 3)


def test_stdin_is_read_once() -> None:
    with pytest.raises(UnusableInput, match="stdin can be read once only"):
        sent(TEXT, "-", "-", stdin=b"a")


def test_a_batch_axis_is_seen_where_the_server_does_not_tell() -> None:
    for shape, axes in (((-1, 2), 2), ((2,), 1)):
        assert only(sent(model(tensor("x", "FP32", *shape), batches=None), "x=[1,2]")).ndim == axes


def test_the_items_of_an_array_are_steps_of_a_sequence() -> None:
    metadata = model(tensor("x", "FP32", -1, 2), tensor("g", "FP32", -1, 1), batches=4)
    inputs = {"x": np.arange(6.0).reshape(3, 2), "g": np.array([[9.0]])}
    steps = list(steps_of(metadata, inputs))
    assert [step["x"].tolist() for step in steps] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert [step["g"].tolist() for step in steps] == [[[9]]] * 3


def test_without_a_batch_axis_several_items_have_one_more() -> None:
    metadata = model(tensor("x", "FP32", 2))
    assert [step["x"].shape for step in steps_of(metadata, {"x": np.zeros((3, 2))})] == [(2,)] * 3
    assert [step["x"].shape for step in steps_of(metadata, {"x": np.zeros(2)})] == [(2,)]


@pytest.mark.parametrize(
    ("lengths", "says"), [((2, 3), "different numbers of steps: x 2, g 3"), ((0, 0), "no items")]
)
def test_steps_that_do_not_match_are_refused(lengths: tuple[int, int], says: str) -> None:
    metadata = model(tensor("x", "FP32", -1, 1), tensor("g", "FP32", -1, 1), batches=4)
    inputs = {name: np.zeros((n, 1)) for name, n in zip("xg", lengths, strict=True)}
    with pytest.raises(UnusableInput, match=says):
        list(steps_of(metadata, inputs))
