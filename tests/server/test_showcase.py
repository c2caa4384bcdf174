"""The sample models through a real server as a demo shows them: checked, called, told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import sample_models
from plansmith.findings import ServedModel
from plansmith.progress import PlainProgress
from plansmith.server import free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.showcase.calls import Showcase, show
from plansmith.showcase.models import check_models, servable
from plansmith_client import Client

TARGET = "cpu"
MODELS = (
    *("ocr_detector", "ocr_classifier", "ocr_recogniser", "ocr"),
    *("sentence_tokenizer", "sentence_encoder", "sentence_embedding"),
    *("speech_activity", "speech_segments"),
)
# Of another target: it lies in the same repository and is not served.
ELSEWHERE = "for_gpus"


@dataclass(frozen=True, kw_only=True)
class Shown:
    models: tuple[ServedModel, ...]
    showcase: Showcase
    notes: list[str]


@pytest.fixture(scope="module")
def shown(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    repository = tmp_path_factory.mktemp("showcase")
    for model in MODELS:
        sample_models.copy_recipe(repository, model)
    sample_models.build(repository, *MODELS)
    put_elsewhere(repository)
    kinds = servable(repository, TARGET)
    logs, notes = tmp_path_factory.mktemp("logs"), list[str]()
    with (
        serving(
            server_files, repository, TARGET, free_ports(), logs, tuple(kinds), drain=False
        ) as server,
        Client(server.grpc_url, timeout_s=60) as client,
        PlainProgress().step("check") as step,
    ):
        models = check_models(client, server.grpc_url, repository, TARGET, kinds, step)
        showcase = show(client, repository, kinds, notes.append)
        yield Shown(models=models, showcase=showcase, notes=notes)


def put_elsewhere(repository: Path) -> None:
    (repository / ELSEWHERE / "1").mkdir(parents=True)
    config = f'name: "{ELSEWHERE}"\nbackend: "tensorrt"\nmax_batch_size: 1\n'
    (repository / ELSEWHERE / "config.pbtxt").write_text(config)


def test_every_model_gives_its_golden_answers(shown: Shown) -> None:
    assert {one.model: one.failed for one in shown.models} == dict.fromkeys(sorted(MODELS), False)
    assert all(one.check is not None and one.check.passed for one in shown.models)


def test_models_are_told_by_what_they_are(shown: Shown) -> None:
    kinds = {one.model: one.kind for one in shown.models}
    ensemble, state = kinds["sentence_embedding"], kinds["speech_activity"]
    streams, calls = kinds["speech_segments"], kinds["ocr"]
    assert ensemble is not None
    assert (ensemble.backend, ensemble.calls) == (
        "ensemble",
        ("sentence_tokenizer", "sentence_encoder"),
    )
    assert state is not None
    assert (state.backend, state.keeps_state) == ("onnxruntime", True)
    assert streams is not None
    assert (streams.streams, streams.calls) == (True, ("speech_activity",))
    assert calls is not None
    assert calls.calls == ("ocr_detector", "ocr_classifier", "ocr_recogniser")


def test_nothing_was_left_out(shown: Shown) -> None:
    assert shown.notes == []


def test_paraphrases_are_closer_than_other_sentences(shown: Shown) -> None:
    found = shown.showcase.sentences
    assert found is not None
    assert found.least_of_paraphrases > found.most_of_others + 0.2


def test_speech_is_probable_within_the_segments_that_were_streamed(shown: Shown) -> None:
    heard = shown.showcase.speech
    assert heard is not None
    assert len(heard.segments) >= 5
    assert len(heard.peaks) == len(heard.probabilities)
    starts_s = np.arange(len(heard.probabilities)) * heard.frame_s
    spoken = [(one.start_s <= starts_s) & (starts_s < one.end_s) for one in heard.segments]
    inside, chances = np.any(spoken, axis=0), np.array(heard.probabilities)
    assert chances[inside].mean() > 0.8
    assert chances[~inside].mean() < 0.2
    # Each was told when it had ended, in the order of time, the whole answer last.
    told = [one.after_ms for one in heard.segments]
    assert told == sorted(told)
    assert told[-1] <= heard.took_ms


def test_the_page_is_read_and_its_lines_are_where_they_were_printed(shown: Shown) -> None:
    page = shown.showcase.page
    assert page is not None
    assert page.is_right, page.lines
    tops = [line.corners[0][1] for line in page.lines]
    assert tops == sorted(tops)
    assert all(0 <= x <= page.width for line in page.lines for x, _ in line.corners)
