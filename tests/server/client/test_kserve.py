"""A server of KServe's protocol that is not Triton: metadata is enough, answers may be JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kserve import ODD_NAME, kserving
from plansmith.infer import ask
from plansmith_client import InvalidInput, ModelNotFound, ServerFault
from twins import Connect

X = np.array([[1, 2.5]], np.float32)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with kserving() as url:
        yield url


@pytest.fixture
def client(connect: Connect, url: str) -> Any:
    return connect(url)


def test_it_is_ready(client: Any) -> None:
    assert client.is_ready()


def test_an_answer_in_json_is_an_array_as_any_other(client: Any) -> None:
    found = client.model(ODD_NAME)(X)
    assert (found.dtype, found.tolist()) == (np.float32, X.tolist())
    assert not found.flags.writeable


def test_texts_in_json_come_as_bytes(client: Any) -> None:
    words = np.array([["ä", ""]], object)
    assert client.model("words")(words).tolist() == [["ä".encode(), b""]]


def test_an_output_with_the_name_of_a_method_is_found_by_its_name(client: Any) -> None:
    found = client.model("words").infer({"values": np.array([["a", "b"]], object)})
    assert found["values"].tolist() == [[b"a", b"b"]]


def test_metadata_without_a_configuration(client: Any) -> None:
    metadata = client.model(ODD_NAME).metadata()
    # "v1" is no version that can be asked for.
    assert (metadata.name, metadata.versions) == (ODD_NAME, (2,))
    assert (metadata.max_batch_size, metadata.decoupled, metadata.stateful) == (None, None, None)
    assert client.model("words").metadata().versions == ()
    assert client.model("broken").metadata().versions == ()


def test_arrays_are_checked_as_ever(client: Any) -> None:
    with pytest.raises(InvalidInput, match=r"input values is \[1, 3\], the model takes \[any, 2\]"):
        client.model("broken")(np.zeros((1, 3), np.float32))


def test_json_that_is_no_such_tensor_is_a_fault(client: Any) -> None:
    with pytest.raises(ServerFault, match=r"cannot be read: .*'no number' among values of FP32"):
        client.model("broken")(X)


def test_classes_that_it_does_not_rank_are_no_answer(client: Any) -> None:
    with pytest.raises(ServerFault, match="float32 values came: this server ranks none"):
        client.model(ODD_NAME).classify(X)


def test_plansmith_infer_asks_it_too(url: str) -> None:
    (answer,) = ask(ODD_NAME, ["values=[1, 2.5]"], url=url, top=5, timeout_s=30)
    assert answer.outputs["values"].tolist() == X.tolist()


def test_an_unknown_model_is_told_of_without_an_index(client: Any) -> None:
    with pytest.raises(ModelNotFound, match="wrods: not here"):
        client.model("wrods")(X)
