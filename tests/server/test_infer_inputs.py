"""`plansmith infer` with values, sound, JSON and stdin, to real models with and without state."""

from __future__ import annotations

import json
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kept_state import write_count, write_history, write_sum
from programs import HANG_S, command, refused
from python_models import Tensor, write_model
from real_server import Serve

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def url(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("inputs")
    write_model(repository, "pair", [Tensor("a", "FP32", "2"), Tensor("b", "INT64", "1")])
    write_model(repository, "line", [Tensor("x", "FP32", "2")])
    write_model(repository, "words", [Tensor("x", "STRING", "1")])
    # What a detector of speech is like: frames of two samples, a state between them.
    write_sum(repository, "frames")
    write_history(repository, "history")
    write_count(repository, "count")
    with serve(repository) as server:
        yield server.grpc_url


def infer(url: str, *arguments: str | Path, stdin: bytes = b"") -> list[dict[str, Any]]:
    """The answers as JSON."""
    line = command("infer", *arguments, "--url", url, "--json")
    done = subprocess.run(line, input=stdin, capture_output=True, timeout=HANG_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_several_inputs_by_name(url: str) -> None:
    (answer,) = infer(url, "pair", "a=[1, 2]", "b=7", "--version", "1")
    assert answer["file"] == "a=[1, 2] b=7"
    assert answer["outputs"]["a_out"] == {"dtype": "float32", "shape": [1, 2], "values": [1, 2]}
    assert answer["outputs"]["b_out"]["values"] == [7]


def test_json_from_stdin(url: str) -> None:
    stdin = json.dumps({"a": [[1, 2], [3, 4]], "b": [[5], [6]]}).encode()
    (answer,) = infer(url, "pair", "-", stdin=stdin)
    assert (answer["file"], answer["outputs"]["b_out"]["values"]) == ("-", [5, 6])


def test_texts(url: str) -> None:
    answers = infer(url, "words", "--text", "ä", "--text", "b")
    assert [(one["file"], one["outputs"]["x_out"]["values"]) for one in answers] == [
        ("ä", ["ä"]),
        ("b", ["b"]),
    ]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Five samples."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes((np.array([0.5, 0.25, 0.25, 0.5, -0.5]) * 2**15).astype("<i2").tobytes())
    return tmp_path / "a.wav"


def test_sound_goes_to_a_model_of_frames_as_one_sequence(url: str, sound: Path) -> None:
    # Twice: the second is a sequence of its own.
    for answer in infer(url, "frames", sound, sound):
        found = answer["outputs"]["sum"]
        assert found["shape"] == [3, 2]
        assert found["values"] == [0.5, 0.25, 0.75, 0.75, 0.25, 0.75]


def test_the_items_of_an_array_are_steps_too(url: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2), np.float32))
    (answer,) = infer(url, "frames", tmp_path / "x.npy")
    assert answer["outputs"]["sum"]["values"] == [1, 1, 2, 2, 3, 3]


def test_each_step_of_a_decoupled_model_streams_its_answers(url: str) -> None:
    (answer,) = infer(url, "history", "x=[[1], [2], [3]]")
    assert answer["outputs"]["past"]["values"] == [1, 1, 2, 1, 2, 3]


def test_a_stream_of_a_value(url: str) -> None:
    answers = infer(url, "count", "count=2")
    assert [one["outputs"]["left"]["values"] for one in answers] == [[2], [1]]


def test_sound_at_another_rate_is_resampled(url: str, sound: Path) -> None:
    (answer,) = infer(url, "frames", sound, "--rate", "8000")
    assert answer["outputs"]["sum"]["shape"] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pair", "a=[1, 2]"), "pair: input b is missing; inputs given: a"),
        (("pair", "a=[1, 2, 3]", "b=7"), "pair: input a is [1, 3]"),
        (("pair", "a=x", "b=7"), "a=x: not readable JSON"),
        (("pair",), "pair: nothing to send"),
        (("words", "--text", "a", "--version", "9"), "version 9"),
    ],
)
def test_what_does_not_fit_is_one_message(url: str, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused("infer", *arguments, "--url", url)


def test_what_has_no_rank_is_shown_as_it_is_in_json_of_numbers_alone(url: str) -> None:
    """JSON has no number for it; protobuf's has these texts."""
    (answer,) = infer(url, "pair", "a=[NaN, -1e999]", "b=7")
    assert answer["outputs"]["a_out"]["values"] == ["NaN", "-Infinity"]
    (answer,) = infer(url, "line", "x=[1, 1e999]")
    assert answer["outputs"]["x_out"]["values"] == [1.0, "Infinity"]
