"""A Triton that we did not configure: its own settings, odd models, most of its calls forbidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plansmith.server import HOST
from plansmith.server_files import ServerFiles
from plansmith_client import AccessDenied, InvalidInput, ModelNotFound, ServerFault
from python_models import CONFIG_NAME
from real_server import serving_with
from twins import Connect

X = np.array([[1, 2, 3]], np.float32)
# Nothing of these is needed to infer.
FORBIDDEN = ("model-config", "model-repository", "statistics", "trace", "logging", "shared-memory")
# What Triton 2.51 can start in Python: nothing that a shell takes for its own, only ASCII.
ODD_NAME = "a.model-v1.0+@b,c"

# Its config is what it says itself. Gives back its inputs, and 7 for an input that is left out.
_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        for name in {inputs}:
            config.add_input({{
                "name": name, "data_type": "TYPE_FP32", "dims": {dims}, "optional": name == "extra"
            }})
        for name in {outputs}:
            config.add_output({{"name": name, "data_type": "TYPE_FP32", "dims": {dims}}})
        config.set_max_batch_size({max_batch_size})
        return config

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = [pb_utils.get_input_tensor_by_name(request, name) for name in {inputs}]
        arrays = [np.float32([7]) if one is None else one.as_numpy() for one in given]
        return pb_utils.InferenceResponse([
            pb_utils.Tensor(name, array) for name, array in zip({outputs}, arrays)
        ])
"""


def write(
    repository: Path,
    name: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    *,
    dims: tuple[int, ...] = (3,),
    max_batch_size: int = 4,
    versions: tuple[int, ...] = (1,),
    config: str = "",
) -> None:
    code = _MODEL.format(
        inputs=inputs, outputs=outputs, dims=list(dims), max_batch_size=max_batch_size
    )
    for version in versions:
        folder = repository / name / str(version)
        folder.mkdir(parents=True)
        (folder / "model.py").write_text(code)
    if config:
        (repository / name / "config.pbtxt").write_text(f'backend: "python"\n{config}')


@pytest.fixture(scope="module")
def urls(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("foreign")
    models = folder / "models"
    write(models, "batched", ("x",), ("y",))
    write(models, "unbatched", ("x",), ("y",), max_batch_size=0)
    write(models, ODD_NAME, ("x",), ("y",))
    write(models, "keywords", ("class", "x-y"), ("values", "is"))
    write(models, "maybe", ("x", "extra"), ("y", "z"), dims=(1,), max_batch_size=0)
    write(models, "free", ("x",), ("y",), dims=(-1,), max_batch_size=0)
    every = "version_policy { all {} }"
    write(models, "several", ("x",), ("y",), versions=(1, 3), config=every)
    forbidden = ",".join(FORBIDDEN)
    flags = [
        f"--http-restricted-api={forbidden}:key=none-of-ours",
        f"--grpc-restricted-protocol={forbidden}:key=none-of-ours",
        "--allow-metrics=false",
    ]
    ours = ("--disable-auto-complete-config",)
    log = folder / "log"
    with serving_with(server_files, models, CONFIG_NAME, log, flags, ours) as ports:
        yield {"http": f"http://{HOST}:{ports.http}", "grpc": f"grpc://{HOST}:{ports.grpc}"}


@pytest.fixture
def client(connect: Connect, urls: dict[str, str], protocol: str) -> Any:
    return connect(urls[protocol])


@pytest.mark.parametrize(("name", "shape"), [("batched", [-1, 3]), ("unbatched", [3])])
def test_metadata_is_enough(client: Any, name: str, shape: list[int]) -> None:
    model = client.model(name)
    metadata = model.metadata()
    assert list(metadata.inputs[0].shape) == shape
    assert (metadata.max_batch_size, metadata.decoupled, metadata.stateful) == (None, None, None)
    x = X if len(shape) == 2 else X[0]
    np.testing.assert_array_equal(model(x), x)
    np.testing.assert_array_equal(model.infer({"x": x}).y, x)
    with pytest.raises(InvalidInput, match="input x is float64") as caught:
        model(x.astype("float64"))
    assert caught.value.status is None


def test_a_batch_that_is_too_large_is_refused_by_the_server(client: Any) -> None:
    model = client.model("batched")
    np.testing.assert_array_equal(model(np.tile(X, (4, 1))), np.tile(X, (4, 1)))
    with pytest.raises(InvalidInput, match=r"batch-size must be <= 4") as caught:
        model(np.tile(X, (5, 1)))
    assert caught.value.status == "INVALID_ARGUMENT"


def test_batched_needs_a_limit_that_is_known(client: Any) -> None:
    with pytest.raises(InvalidInput, match="max_batch_size is not known: send what it takes at"):
        client.model("batched").batched(np.tile(X, (9, 1)))
    answers = client.model("batched").map([X, 2 * X])
    np.testing.assert_array_equal(np.concatenate(list(answers)), np.concatenate([X, 2 * X]))


def test_an_optional_input_may_be_given_or_left_out(client: Any) -> None:
    model = client.model("maybe")
    x, extra = np.array([1], np.float32), np.array([2], np.float32)
    assert model(x=x, extra=extra).z.item() == 2
    assert model(x=x).z.item() == 7


def test_an_input_that_is_not_optional_is_missed_by_the_server(client: Any) -> None:
    with pytest.raises(InvalidInput, match=r"expected 2 inputs but got 1") as caught:
        client.model("keywords").infer({"class": X})
    assert caught.value.status == "INVALID_ARGUMENT"


def test_a_name_with_dots_and_signs(client: Any) -> None:
    model = client.model(ODD_NAME)
    assert model.metadata().name == ODD_NAME
    np.testing.assert_array_equal(model(X), X)
    with pytest.raises(InvalidInput, match=r"v1\.0"):
        model(X[0])


@pytest.mark.parametrize("name", ["a/b", "../batched", "a?b", "a#b", "a%62", "", "née"])
def test_a_name_that_is_none_is_not_found_or_refused(client: Any, name: str) -> None:
    with pytest.raises((ModelNotFound, InvalidInput, ServerFault)):
        client.model(name)(X)


def test_four_megabytes_go_over_the_wire_where_shared_memory_is_forbidden(client: Any) -> None:
    x = np.arange(1_000_000, dtype=np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(client.model("free")(x), x)


def test_names_that_are_keywords_or_methods(client: Any) -> None:
    found = client.model("keywords")(**{"class": X, "x-y": 2 * X})
    np.testing.assert_array_equal(found["values"], X)
    np.testing.assert_array_equal(found["is"], 2 * X)
    assert callable(found.values)


def test_each_of_several_versions(client: Any) -> None:
    assert client.model("several").metadata().versions == (1, 3)
    for version in (1, 3):
        np.testing.assert_array_equal(client.model("several", version)(X), X)
    with pytest.raises(ModelNotFound) as caught:
        client.model("several", 2)(X)
    assert caught.value.version == 2


def test_an_unknown_model_is_told_of_without_the_index(client: Any) -> None:
    with pytest.raises(ModelNotFound, match="batshed"):
        client.model("batshed")(X)


def test_a_model_of_outputs_without_labels_is_classified(client: Any) -> None:
    ((best, *_),) = client.model("batched").classify(X, k=1)
    assert (best.index, best.label) == (2, None)


def test_keys_that_are_right_open_the_configuration(
    connect: Connect, urls: dict[str, str], protocol: str
) -> None:
    client = connect(urls[protocol], restricted={"key": "none-of-ours"})
    metadata = client.model("maybe").metadata()
    assert metadata.max_batch_size == 0
    assert [one.optional for one in metadata.inputs] == [False, True]
    with pytest.raises(ModelNotFound, match="nearest: 'batched'"):
        client.model("batshed")(X)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.index(),
        lambda client: client.statistics("batched"),
        lambda client: client.load("batched"),
        lambda client: client.model("batched").config(),
    ],
)
def test_what_is_forbidden_is_denied(client: Any, ask: Callable[[Any], Any]) -> None:
    with pytest.raises(AccessDenied, match="restricted"):
        ask(client)


def test_where_the_time_goes_is_told_without_the_servers_statistics(client: Any) -> None:
    watch = client.watch("batched")
    client.model("batched")(X)
    found = watch.timings()
    assert (found.calls, found.server) == (1, None)
    assert "the server tells no statistics" in found.note
    assert found.round_trip_s > 0
