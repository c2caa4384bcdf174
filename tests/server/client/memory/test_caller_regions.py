"""Arrays in a caller's own region are read and written there by the server."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from plansmith_client import Client, InvalidInput, PlansmithClientError
from shared_memory import ITEMS, files, numbers, registered, wire_bytes
from twins import Connect

AROUND_BYTES = 4096


def test_inputs_and_outputs_stay_in_it(connect: Connect, url: str) -> None:
    client = connect(url)
    model = client.model("echo")
    with client.shared_memory(3 * numbers().nbytes) as region:
        given = region.array(np.float32, ITEMS)
        answer = region.array(np.float32, (ITEMS,), given.nbytes)
        given[:] = numbers(7)
        found = model.infer({"x": given}, into={"x_out": answer})
        assert found.x_out is answer
        assert np.array_equal(answer, numbers(7))
        assert wire_bytes(client, "echo") < AROUND_BYTES
    assert not files()


def test_small_tensors_too_and_parts_of_arrays(connect: Connect, url: str) -> None:
    client = connect(url)
    with client.shared_memory(4096) as region:
        given = region.array("float32", 8, 64)
        given[:] = np.arange(8)
        for _ in range(2):
            assert client.model("echo")(given[2:5]).tolist() == [2, 3, 4]
        assert len(registered(url)) == 1


def test_an_array_elsewhere_is_written_too(connect: Connect, url: str) -> None:
    client = connect(url, shared_memory=False)
    answer = np.zeros(3, np.float32)
    found = client.model("echo").infer(
        {"x": np.array([1, 2, 3], np.float32)}, into={"x_out": answer}
    )
    assert found.x_out is answer
    assert answer.tolist() == [1, 2, 3]


def test_outputs_beside_those_placed_come_as_ever(connect: Connect, url: str) -> None:
    client = connect(url)
    given = {
        "x": np.ones(3, np.float32),
        "y": np.zeros(2, np.float16),
        "text": np.array(["a"], object),
    }
    with client.shared_memory(100) as region:
        answer = region.array(np.float32, 3)
        found = client.model("several").infer(given, into={"x_out": answer})
        assert list(found) == ["x_out", "y_out", "text_out"]
        assert found.x_out is answer
        assert (answer.tolist(), found.text_out.tolist()) == ([1, 1, 1], [b"a"])


@pytest.mark.parametrize(
    ("into", "message"),
    [
        ({"z": np.empty(3, np.float32)}, "no output 'z'"),
        ({"x_out": np.empty(3)}, "is float32, the array given as into is float64"),
        ({"x_out": [1.0]}, "is to go into a list, not an array"),
        ({"x_out": np.empty(6, np.float32)[::2]}, "not contiguous, or read-only"),
        ({"x_out": np.empty(2, np.float32)}, r"is FP32 \[3\], the array given as into is .* \[2\]"),
        ({"x_out": np.empty(4, np.float32)}, r"is FP32 \[3\], the array given as into is .* \[4\]"),
    ],
)
def test_an_array_that_the_output_does_not_fit_is_refused(
    connect: Connect, url: str, into: Any, message: str
) -> None:
    model = connect(url).model("echo")
    with pytest.raises(InvalidInput, match=message):
        model.infer({"x": np.ones(3, np.float32)}, into=into)


@pytest.mark.parametrize("size", [2, 4])
def test_nor_in_a_region(connect: Connect, url: str, size: int) -> None:
    client = connect(url)
    with client.shared_memory(4096) as region:
        answer = region.array(np.float32, size)
        with pytest.raises(InvalidInput, match=rf"is FP32 \[3\].* is float32 \[{size}\]"):
            client.model("echo").infer({"x": np.ones(3, np.float32)}, into={"x_out": answer})


def test_what_is_not_asked_for_goes_nowhere(connect: Connect, url: str) -> None:
    given = {
        "x": np.ones(3, np.float32),
        "y": np.zeros(2, np.float16),
        "text": np.array(["a"], object),
    }
    model = connect(url).model("several")
    into = {"x_out": np.empty(3, np.float32)}
    with pytest.raises(InvalidInput, match="not among the outputs asked for: y_out"):
        model.infer(given, ["y_out"], into=into)
    with pytest.raises(InvalidInput, match="BYTES, which have no size beforehand"):
        model.infer(given, into={"text_out": np.empty(1, object)})


def test_arrays_outlive_the_block(connect: Connect, url: str) -> None:
    client = connect(url)
    with client.shared_memory(numbers().nbytes) as region:
        array = region.array(np.float32, ITEMS)
        array[:] = numbers(3)
    gc.collect()
    assert np.array_equal(array, numbers(3))
    # As any other array.
    assert np.array_equal(client.model("echo")(array), array)
    with pytest.raises(PlansmithClientError, match="within its block only"):
        region.array(np.float32, 1)


def test_the_server_lets_go_of_it_even_if_the_client_was_closed_first(
    connect: Connect, url: str
) -> None:
    before = registered(url)
    client = connect(url)
    with client.shared_memory(4096) as region:
        client.model("echo")(region.array(np.float32, 3))
        assert len(registered(url)) == len(before) + 1
        client.close()
        assert registered(url) == before
    assert not files()


def test_it_can_be_told_by_its_name(url: str) -> None:
    with Client(url) as client, client.shared_memory(4096, name="frames") as region:
        assert region.name.endswith("_frames")
        client.model("echo")(region.array(np.float32, 3))
        assert region.name in registered(url)


def test_a_client_without_shared_memory_has_no_regions(url: str) -> None:
    with (
        Client(url, shared_memory=False) as client,
        pytest.raises(InvalidInput, match="made with shared_memory=False"),
    ):
        client.shared_memory(1)


def test_a_region_that_there_is_no_room_for_is_refused(url: str) -> None:
    with (
        Client(url) as client,
        pytest.raises(InvalidInput, match="cannot be made, /dev/shm has"),
        client.shared_memory(2**60),
    ):
        pass
