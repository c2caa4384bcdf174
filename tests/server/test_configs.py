"""What configurations say is what a real Triton reads: every field, and every word of serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from config_loader import Loader
from plansmith import warm_up
from plansmith.config.compose import compose
from plansmith.config.fields import NEWER_FIELDS
from plansmith.config.served import Instances, ServedModel
from plansmith.recipe.serving_words import (
    Control,
    Ensemble,
    RateLimiter,
    SequenceBatching,
    Serving,
    State,
    Step,
)
from plansmith.server import free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.tensors import TensorSpec
from plansmith_client import Client
from python_models import CONFIG_NAME, Tensor, write_model
from whole_configs import EVERYTHING, every_field

ALIVE = "alive"
X = TensorSpec(name="x", dtype="float32", shape=(2,))
Y = TensorSpec(name="y", dtype="float32", shape=(2,))
BASE = ServedModel(name="", backend="python", max_batch_size=4, inputs=(X,), outputs=(Y,))
SAMPLE = {"x": np.array([[1.5, 2.5], [3, 4]], np.float32)}


@pytest.fixture(scope="module")
def loader(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    repository, logs = tmp_path_factory.mktemp("configs"), tmp_path_factory.mktemp("logs")
    write_model(repository, ALIVE, [Tensor("x", "FP32", "2")])
    ports = free_ports()
    with serving(
        server_files, repository, CONFIG_NAME, ports, logs, models=(ALIVE,), drain=False
    ) as server:
        yield Loader(repository=repository, server=server)


# Fields


def test_the_table_of_newer_fields_is_what_the_server_does_not_know(loader: Loader) -> None:
    for index, (_, _, text) in enumerate(every_field()):
        assert loader.text(f"field{index}", text, code=None), "none of them is a whole model"
    newer = {(one.message_type, one.field) for one in NEWER_FIELDS}
    said = {
        line.partition('Message type "')[2].rstrip('".')
        for line in loader.log().splitlines()
        if "Error parsing text-format" in line
    }
    assert said == {f'{message}" has no field named "{name}' for message, name in newer}


def test_all_that_can_be_together_loads_together(loader: Loader) -> None:
    (loader.repository / "everything").mkdir()
    (loader.repository / "everything" / "labels.txt").write_text("a\nb\n")
    assert loader.text("everything", EVERYTHING) == ""


# Words of serving

WORDS = {
    "nothing": Serving(),
    "delay": Serving(queue_delay_us=500),
    "priorities": Serving(priority_levels=3, queue_timeout_ms=50.0),
    "bounded": Serving(queue_size=8, queue_timeout_ms=500.5, allow_timeout_override=True),
    "delayed": Serving(queue_timeout_ms=500.0, timeout_action="delay"),
    "ordered": Serving(preserve_ordering=True, priority_levels=1, queue_timeout_ms=500.0),
    "cached": Serving(response_cache=True),
    "tagged": Serving(metric_tags=(("team", "vision"), ("0x", 'a "word"'))),
    "limited": Serving(rate_limiter=RateLimiter(priority=3, resources=(("encoder", 2),))),
    "zeros": Serving(warm_up="zeros"),
    "cold": Serving(warm_up="none"),
}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("limit", [0, 4])
def test_every_word_of_serving_loads_and_answers(loader: Loader, name: str, limit: int) -> None:
    model = replace(
        BASE,
        name=f"{name}-{limit}",
        serving=WORDS[name],
        max_batch_size=limit,
        versions=(1,),
        warm_up_rows=warm_up.rows_from(SAMPLE, (X,)),
        warm_up_batch_sizes=(1, max(1, limit)),
    )
    assert loader.config(compose(model)) == ""
    feed = SAMPLE["x"][:1] if limit else SAMPLE["x"][0]
    with Client(loader.server.grpc_url) as client:
        np.testing.assert_array_equal(client.model(model.name)(feed), feed)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (Serving(), ["1 [[1.5, 2.5]]", "4 [[1.5, 2.5]]"]),
        (Serving(warm_up="zeros"), ["1 [[0.0, 0.0]]", "4 [[0.0, 0.0]]"]),
        (Serving(warm_up="none"), []),
    ],
)
def test_a_model_is_warmed_up_with_the_sample_in_every_batch_size(
    loader: Loader, words: Serving, seen: list[str]
) -> None:
    model = replace(
        BASE,
        name=f"warm-{words.warm_up}",
        serving=words,
        warm_up_rows=warm_up.rows_from(SAMPLE, (X,)),
        warm_up_batch_sizes=(1, 4),
    )
    assert loader.config(compose(model)) == ""
    assert loader.seen(model.name) == seen


def test_texts_warm_up_a_model_too(loader: Loader) -> None:
    text = replace(X, dtype="bytes", shape=(1,))
    row = np.empty(1, object)
    row[:] = [b"a word"]
    model = replace(
        BASE,
        name="texts",
        inputs=(text,),
        outputs=(replace(text, name="y"),),
        warm_up_rows=warm_up.rows_from({"x": [row]}, (text,)),
    )
    assert loader.config(compose(model)) == ""
    assert loader.seen("texts") == ["1 [[b'a word']]"]


def test_a_version_that_is_gone_does_not_keep_the_others_from_being_served(
    loader: Loader,
) -> None:
    # As admission does, which shows the server the newest one alone.
    assert loader.config(compose(replace(BASE, name="gone", versions=(1, 7)))) == ""


STATE = State(input="h", output="h_next", spec=TensorSpec(name="h", dtype="float32", shape=(2, 3)))
CONTROLS = tuple(
    Control(kind=kind, input=kind.upper(), dtype=dtype)
    for kind, dtype in (
        ("start", "int32"),
        ("end", "float32"),
        ("ready", "bool"),
        ("corrid", "uint64"),
    )
)


@pytest.mark.parametrize(
    "sequence",
    [
        SequenceBatching(strategy="oldest", max_idle_us=5_000_000, max_candidates=16),
        SequenceBatching(
            strategy="direct",
            max_idle_us=1,
            queue_delay_us=100,
            minimum_slot_utilization=0.5,
            states=(STATE,),
            controls=CONTROLS,
        ),
    ],
    ids=lambda one: one.strategy,
)
def test_a_model_that_keeps_state_loads(loader: Loader, sequence: SequenceBatching) -> None:
    model = replace(BASE, name=f"sequence-{sequence.strategy}", sequence=sequence)
    assert loader.config(compose(model)) == ""


def test_an_ensemble_loads_and_answers(loader: Loader) -> None:
    assert loader.config(compose(replace(BASE, name="step"))) == ""
    steps = (
        Step(model="step", inputs=(("x", "first"),), outputs=(("y", "between"),)),
        Step(model="step", inputs=(("x", "between"),), outputs=(("y", "last"),), version=1),
    )
    model = replace(
        BASE,
        name="both",
        backend="ensemble",
        ensemble=Ensemble(steps=steps),
        inputs=(replace(X, name="first"),),
        outputs=(replace(Y, name="last"),),
        serving=Serving(metric_tags=(("team", "vision"),), response_cache=True),
        warm_up_rows=warm_up.rows_from(SAMPLE, (X,)),
    )
    assert loader.config(compose(model)) == ""
    with Client(loader.server.grpc_url) as client:
        np.testing.assert_array_equal(client.model("both")(SAMPLE["x"]), SAMPLE["x"])


def test_a_model_that_streams_loads(loader: Loader) -> None:
    assert loader.config(compose(replace(BASE, name="streams", decoupled=True))) == ""


def test_what_is_for_tensorrt_is_refused_for_the_lack_of_it_alone(loader: Loader) -> None:
    # The structure is looked at before the backend's library is.
    flags = dict.fromkeys(
        ("cuda_graphs", "busy_wait_events", "output_copy_stream", "eager_batching"), True
    )
    model = replace(
        BASE,
        name="engine",
        backend="tensorrt",
        instances=(Instances(kind="KIND_GPU"),),
        serving=Serving(**flags, queue_size=4),
        graph_batch_sizes=(1, 2, 4),
        warm_up_rows=warm_up.rows_from(SAMPLE, (X,)),
        cc_model_filenames=(("8.6", "model-cc86.plan"),),
    )
    assert "unable to find backend library for backend 'tensorrt'" in loader.config(compose(model))
