"""`plansmith infer` as a program, against a tiny classifier on a real server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from classifier import CLASSIFIER, LABELS, WEIGHTS, shares_of
from openvino_models import variant, write_version
from programs import HANG_S, plansmith, refused
from python_models import KILL, Tensor, write_model
from real_server import Serve


@pytest.fixture(scope="module")
def url(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("cli")
    write_version(repository, "tiny", CLASSIFIER, variant(), labels=LABELS)
    write_version(repository, "bare", CLASSIFIER, variant())
    write_model(repository, "pair", [Tensor("a", "FP32", "1"), Tensor("b", "FP32", "1")])
    with serve(repository) as server:
        yield server.grpc_url


def infer(*arguments: str | Path) -> list[dict[str, Any]]:
    """The answers as JSON."""
    done = plansmith("infer", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture
def npy(images: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A batch of four items."""
    np.save(tmp_path / "images.npy", images)
    return tmp_path / "images.npy"


def save(path: Path, color: tuple[int, int, int]) -> Path:
    Image.new("RGB", (120, 80), color).save(path)
    return path


def test_a_picture_gets_its_five_best_labels(url: str, tmp_path: Path) -> None:
    color = (200, 40, 90)
    (answer,) = infer("tiny", save(tmp_path / "a.png", color), "--url", url)
    (shares,) = shares_of(np.full((1, 32, 32, 3), color, np.uint8))
    best = np.argsort(-shares)[:5]
    (classes,) = answer["classes"]
    assert [one["index"] for one in classes] == best.tolist()
    assert [one["label"] for one in classes] == [LABELS[index] for index in best]
    # Probabilities are of all classes, not of the five; logits came as float32.
    assert [one["probability"] for one in classes] == pytest.approx(shares[best], rel=1e-4)
    assert sum(one["probability"] for one in classes) < 1


def test_top_says_how_many(url: str, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", (9, 9, 9))
    (answer,) = infer("tiny", picture, "--top", "2", "--url", url)
    assert len(answer["classes"][0]) == 2


def test_people_get_a_table(url: str, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", (9, 9, 9))
    done = plansmith("infer", "tiny", picture, "--url", url)
    head, *lines = done.stdout.splitlines()
    assert (head, len(lines)) == (str(picture), 5)
    assert all(line.split()[0].endswith("%") and line.split()[2] in LABELS for line in lines)


def test_each_file_gets_its_answer_in_order(url: str, tmp_path: Path) -> None:
    files = [
        save(tmp_path / f"{n}.png", color) for n, color in enumerate([(250, 0, 0), (0, 0, 250)])
    ]
    answers = infer("tiny", *files, "--url", url)
    assert [answer["file"] for answer in answers] == [str(file) for file in files]
    shares = shares_of(np.array([[[[250, 0, 0]]], [[[0, 0, 250]]]], np.uint8))
    for answer, expected in zip(answers, shares, strict=True):
        assert answer["classes"][0][0]["index"] == expected.argmax()


def test_a_batch_in_an_npy_is_answered_item_by_item(
    url: str, npy: Path, images: NDArray[np.uint8]
) -> None:
    (answer,) = infer("tiny", npy, "--url", url)
    found = [item[0]["index"] for item in answer["classes"]]
    assert found == shares_of(images).argmax(axis=1).tolist()


def test_one_item_in_an_npy_needs_no_batch_axis(
    url: str, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    np.save(tmp_path / "one.npy", images[0])
    (answer,) = infer("tiny", tmp_path / "one.npy", "--url", url)
    assert answer["classes"][0][0]["index"] == shares_of(images)[0].argmax()


def test_a_model_without_labels_gives_its_outputs(
    url: str, npy: Path, images: NDArray[np.uint8]
) -> None:
    (answer,) = infer("bare", npy, "--url", url)
    assert answer["classes"] == []
    logits = answer["outputs"]["logits"]
    assert (logits["dtype"], logits["shape"]) == ("float32", [4, len(LABELS)])
    expected = images.mean(axis=(1, 2)) @ WEIGHTS
    np.testing.assert_allclose(logits["values"], expected.ravel(), rtol=1e-4, atol=1e-4)


def test_a_missing_file_is_refused(url: str, tmp_path: Path) -> None:
    message = refused("infer", "tiny", tmp_path / "none.png", "--url", url)
    assert f"{tmp_path / 'none.png'}: no such file" in message


def zipped(array: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.png", b"", "not a readable picture"),
        ("a.png", b"this is no picture", "not a readable picture\n"),
        ("a.jpg", b"\xff\xd8\xff\xe0 cut off", "not a readable picture"),
        ("a.npy", b"", "not a readable .npy file"),
        ("a.npy", b"this is no array", "not a readable .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00 cut off", "not a readable .npy file"),
        ("a.npy", b"PK\x03\x04 a broken zip", "not a readable .npy file"),
        ("a.npy", zipped(np.zeros(3)), "not a readable .npy file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    url: str, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused("infer", "tiny", tmp_path / name, "--url", url)
    assert f"{tmp_path / name}: {says}" in message


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((32, 32, 3), np.float32), "float32"),
        (np.zeros((32, 31, 3), np.uint8), "[1, 32, 31, 3]"),
        (np.zeros((5, 32, 32, 3), np.uint8), "5 items"),
        (np.zeros((), np.uint8), "[]"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    url: str, tmp_path: Path, array: NDArray[np.generic], says: str
) -> None:
    np.save(tmp_path / "wrong.npy", array)
    message = refused("infer", "tiny", tmp_path / "wrong.npy", "--url", url)
    assert "tiny: input image" in message
    assert says in message


def test_an_unknown_model_is_refused(url: str, npy: Path) -> None:
    assert "tinny" in refused("infer", "tinny", npy, "--url", url)


def test_a_file_without_a_name_is_refused_where_there_are_two_inputs(url: str, npy: Path) -> None:
    assert "a, b" in refused("infer", "pair", npy, "--url", url)


def test_no_server_fails_with_its_address(dead_url: str, npy: Path) -> None:
    assert dead_url in refused("infer", "tiny", npy, "--url", dead_url, exit_code=1)


def test_a_server_that_dies_meanwhile_fails_the_call(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "repository", "fatal", [Tensor("x", "FP32", "1")], before=KILL)
    np.save(tmp_path / "x.npy", np.zeros((1, 1), np.float32))
    with serve(tmp_path / "repository") as server:
        message = refused(
            *("infer", "fatal", tmp_path / "x.npy", "--url", server.grpc_url),
            # Longer than this test waits: it is not a timeout that ends the call.
            *("--timeout-s", str(10 * HANG_S)),
            exit_code=1,
        )
    assert "fatal" in message
