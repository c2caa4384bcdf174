"""`plansmith infer` with outputs that Triton ranks no classes of: texts, flags, halves, streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kept_state import write_count
from plansmith.infer import ask
from python_models import Tensor, write_model
from real_server import Serve


@pytest.fixture(scope="module")
def url(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("unranked")
    for datatype in ("STRING", "BOOL", "FP16"):
        write_model(repository, datatype.lower(), [Tensor("x", datatype, "1")])
    write_count(repository, "count")
    with serve(repository) as server:
        yield server.grpc_url


def test_a_text_is_given_as_it_is(url: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("good\n")
    (answer,) = ask("string", [file], url=url, top=5, timeout_s=30)
    assert answer.classes == ()
    assert answer.outputs["x_out"].tolist() == [[b"good"]]


@pytest.mark.parametrize(("model", "dtype"), [("bool", "bool"), ("fp16", "float16")])
def test_values_that_have_no_classes_are_given_as_they_are(
    url: str, tmp_path: Path, model: str, dtype: str
) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.ones((2, 1), dtype))
    (answer,) = ask(model, [file], url=url, top=5, timeout_s=30)
    assert answer.outputs["x_out"].tolist() == [[1], [1]]


def test_a_stream_gives_all_its_answers(url: str, tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.array([3], np.int64))
    answers = ask("count", [file], url=url, top=5, timeout_s=30)
    assert [one.outputs["left"].item() for one in answers] == [3, 2, 1]
