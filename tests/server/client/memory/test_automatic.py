"""Large tensors of a server on this machine go by shared memory, unasked."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plansmith_client import InvalidInput, ServerFault
from plansmith_client.memory import regions
from plansmith_client.memory.pool import Budget
from plansmith_client.memory.sharing import THRESHOLD_BYTES
from shared_memory import ITEMS, files, numbers, registered, wire_bytes
from twins import Connect

# What a request or an answer needs beside the tensors.
AROUND_BYTES = 4096


def test_an_input_is_not_sent(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    model(np.ones(1, np.float32))
    before = wire_bytes(client, "echo")
    given = numbers()
    assert np.array_equal(model(given), given)
    # The answer came over the wire: nothing was known of its size.
    assert given.nbytes < wire_bytes(client, "echo") - before < given.nbytes + AROUND_BYTES


def test_once_its_size_is_known_neither_is_the_answer(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    for first in range(2):
        model(numbers(first))
    before = wire_bytes(client, "echo")
    answers = [model(numbers(first)) for first in range(5)]
    assert wire_bytes(client, "echo") - before < 5 * AROUND_BYTES
    for first, answer in enumerate(answers):
        assert np.array_equal(answer, numbers(first))
        assert not answer.flags.writeable


def test_an_answer_stays_as_it_is_while_its_memory_is_wanted(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    kept = [model(numbers(first))[5:] for first in range(8)]
    for first in range(8, 16):
        model(numbers(first))
    client.close()
    for first, answer in enumerate(kept):
        assert np.array_equal(answer, numbers(first)[5:])


def test_slots_are_used_again(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    for first in range(10):
        model(numbers(first))
    gc.collect()
    # One for the input, one for the answer, and one for the answer that was not dropped yet.
    assert 2 <= len(files()) <= 3


def test_small_tensors_are_sent(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    for _ in range(3):
        model(np.ones(THRESHOLD_BYTES // 4 - 1, np.float32))
    assert not files()


def test_several_tensors_of_one_call(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("several")
    given = {
        "x": numbers(),
        "y": np.ones(ITEMS + 1, np.float16),
        "text": np.array(["a", b"bc"], object),
    }
    before = 0
    for _ in range(4):
        before = wire_bytes(client, "several")
        found = model.infer(given)
        assert np.array_equal(found.x_out, given["x"])
        assert np.array_equal(found.y_out, given["y"])
        assert found.text_out.tolist() == [b"a", b"bc"]
    # Texts have no size beforehand, and are small.
    assert wire_bytes(client, "several") - before < AROUND_BYTES
    some = model.infer(given, ["y_out"])
    assert list(some) == ["y_out"]


def test_answers_that_differ_in_size_are_right_too(connect: Connect, url: str) -> None:
    model = connect(url).model("growing")
    for times in (1, 1, 1, 3, 2, 5, 5, 5, 1):
        given = numbers(times)
        assert np.array_equal(model(given), np.tile(given, times))


def test_a_models_own_error_is_the_callers(connect: Connect, url: str) -> None:
    model = connect(url).model("failing")
    for _ in range(3):
        with pytest.raises(ServerFault, match="out of cheese"):
            model(numbers())
    assert len(files()) == 1


def test_not_if_told_so(connect: Connect, url: str) -> None:
    model = connect(url, shared_memory=False).model("echo")
    for _ in range(3):
        assert np.array_equal(model(numbers()), numbers())
    assert not files()


def test_over_the_wire_where_the_clients_share_is_used_up(
    connect: Connect, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "Budget", lambda: Budget(3 * numbers().nbytes))
    model = connect(url).model("echo")
    kept = [model(numbers(first)) for first in range(8)]
    assert all(np.array_equal(one, numbers(first)) for first, one in enumerate(kept))
    assert len(files()) == 3


def test_over_the_wire_where_there_is_no_shared_memory(
    connect: Connect, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("plansmith_client.memory.posix.SHARED_MEMORY", tmp_path / "none")
    for mode in ("auto", True):
        client: Any = connect(url, shared_memory=mode)
        assert np.array_equal(client.model("echo")(numbers()), numbers())


def test_where_the_server_sees_another_folder_tensors_are_sent(
    connect: Connect, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in another container."""
    monkeypatch.setattr("plansmith_client.memory.posix.SHARED_MEMORY", tmp_path)
    model = connect(url).model("echo")
    for first in range(3):
        assert np.array_equal(model(numbers(first)), numbers(first))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidInput, match="takes no shared memory: Unable to open"):
        connect(url, shared_memory=True).model("echo")(numbers())


def test_nothing_is_left_when_the_client_is_closed(connect: Connect, url: str) -> None:
    before = registered(url)
    client = connect(url)
    kept = [client.model("echo")(numbers(first)) for first in range(4)]
    assert files()
    assert len(registered(url)) > len(before)
    client.close()
    assert not files()
    assert registered(url) == before
    assert np.array_equal(kept[3], numbers(3))
