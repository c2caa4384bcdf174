"""Managing a real server that lets its callers load models, and one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_loader import Loader
from kept_state import write_sum
from plansmith.server import TRITON, Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith_client import (
    Deadline,
    InvalidInput,
    LoadFailed,
    ModelNotFound,
    ServerFault,
)
from plansmith_client.management import IndexEntry
from python_models import CONFIG_NAME, FAIL, Tensor, write_model
from real_server import url_of
from twins import Connect
from whole_configs import EVERYTHING

ONE = np.ones((1, 2), np.float32)
X = [Tensor("x", "FP32", "2")]


@pytest.fixture(scope="module")
def managed_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("managed")
    write_model(repository, "echo", X)
    write_model(repository, "failing", X, before=FAIL)
    write_model(repository, "spare", X)
    write_model(repository, "broken", X)
    (repository / "broken" / "1" / "model.py").write_text("raise ValueError('out of cheese')")
    write_sum(repository, "sum")
    return repository


@pytest.fixture(scope="module")
def managed(
    managed_repository: Path, server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    logs = tmp_path_factory.mktemp("logs")
    models = ("echo", "sum", "failing")
    with serving(
        server_files, managed_repository, CONFIG_NAME, free_ports(), logs, models, drain=False
    ) as server:
        yield server


@pytest.fixture
def client(connect: Connect, managed: Server, protocol: str) -> Any:
    return connect(url_of(managed, protocol))


def test_a_server_says_what_it_is(client: Any) -> None:
    assert client.is_live()
    found = client.server()
    assert (found.name, found.version) == ("triton", TRITON)
    assert {"statistics", "model_repository"} <= set(found.extensions)


def test_nobody_is_neither_live_nor_has_ready_models(
    connect: Connect, dead_url: str, protocol: str
) -> None:
    client = connect(f"{protocol}://{dead_url}", timeout_s=0.5)
    assert client.is_live() is False
    assert client.model("echo").is_ready() is False


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("echo", None, True), ("echo", 1, True), ("echo", 7, False), ("ecko", None, False)],
)
def test_a_model_says_whether_it_is_ready(
    client: Any, name: str, version: int | None, ready: bool
) -> None:
    assert client.model(name, version).is_ready() is ready


def test_the_index_has_every_version_of_every_model(client: Any) -> None:
    found = {one.model: one for one in client.index()}
    assert found["echo"] == IndexEntry(model="echo", version=1, state="READY", reason="")
    assert {one.model for one in client.index(ready_only=True)} >= {"echo", "sum"}
    assert all(one.state == "READY" for one in client.index(ready_only=True))


def test_the_index_of_what_is_ready_leaves_out_the_rest(client: Any) -> None:
    client.unload("spare")
    assert "spare" in {one.model for one in client.index()}
    assert "spare" not in {one.model for one in client.index(ready_only=True)}


def test_the_config_has_the_useful_fields_and_all_the_others_raw(client: Any) -> None:
    config = client.model("sum").config()
    (x,) = config.inputs
    assert (config.name, config.backend, config.max_batch_size) == ("sum", "python", 4)
    assert (x.name, x.dtype, x.dims, x.optional) == ("x", "FP32", (2,), False)
    assert [(one.kind, one.count) for one in config.instance_groups] == [("KIND_CPU", 1)]
    assert config.stateful
    assert not config.decoupled
    assert config.raw["sequence_batching"]["oldest"]["max_candidate_sequences"] == 32


def test_both_protocols_give_the_same_config(connect: Connect, managed: Server) -> None:
    over_grpc, over_http = (connect(url_of(managed, one)) for one in ("grpc", "http"))
    for name in ("echo", "sum"):
        assert over_grpc.model(name).config() == over_http.model(name).config()


def test_a_config_of_a_model_that_is_not_there_is_not_found(client: Any) -> None:
    with pytest.raises(ModelNotFound, match="nearest: 'echo'"):
        client.model("ecko").config()


def test_statistics_count_what_was_asked_since(client: Any) -> None:
    model = client.model("echo")
    (before,) = model.statistics()
    for _ in range(3):
        model(np.ones((2, 2), np.float32))
    (after,) = model.statistics()
    assert (after.model, after.version) == ("echo", 1)
    assert after.inference_count - before.inference_count == 6
    assert after.success.count - before.success.count == 3
    assert after.execution_count - before.execution_count == 3
    assert after.last_inference_ms is not None
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        was, now = getattr(before, stage), getattr(after, stage)
        assert (now.count - was.count, now.total_ns > was.total_ns) == (3, True)
    (pairs,) = [one for one in after.batches if one.batch_size == 2]
    assert pairs.compute_infer.count >= 3


def test_statistics_count_failures_apart(client: Any) -> None:
    model = client.model("failing")
    (before,) = model.statistics()
    with pytest.raises(ServerFault):
        model(ONE)
    (after,) = model.statistics()
    assert after.fail.count - before.fail.count == 1
    assert after.success.count == before.success.count


def test_statistics_of_all_models_are_those_of_each(client: Any) -> None:
    found = {one.model: one for one in client.statistics()}
    assert {"echo", "sum", "failing"} <= found.keys()
    assert client.statistics("sum") == client.model("sum", 1).statistics() == (found["sum"],)


def test_statistics_of_a_model_that_is_not_there_are_not_found(client: Any) -> None:
    with pytest.raises(ModelNotFound, match="nearest: 'echo'"):
        client.statistics("ecko")
    with pytest.raises(ModelNotFound, match="no version 7; ready: 1"):
        client.model("echo", 7).statistics()


def test_a_model_comes_and_goes(client: Any) -> None:
    model = client.model("spare")
    client.load("spare")
    assert model.is_ready()
    np.testing.assert_array_equal(model(ONE), ONE)
    client.unload("spare")
    wait_gone(model)
    with pytest.raises(ModelNotFound, match="spare"):
        model(ONE)
    # Nothing to do.
    client.unload("spare")
    client.unload("spare", dependents=True)


def test_a_load_takes_another_config_which_the_client_then_knows(client: Any) -> None:
    model = client.model("spare")
    client.load("spare")
    assert model.metadata().max_batch_size == 4
    client.load("spare", config={**model.config().raw, "max_batch_size": 2})
    assert model.metadata().max_batch_size == 2
    # Its files have not changed, so that it is taken for what was asked for.
    client.load("spare")
    assert model.metadata().max_batch_size == 2
    client.unload("spare")
    client.load("spare")
    assert model.metadata().max_batch_size == 4
    client.unload("spare")


@pytest.mark.parametrize("name", ["sent", "sent+2"])
def test_a_load_takes_files_of_a_model_that_is_in_no_repository(
    client: Any, managed_repository: Path, name: str
) -> None:
    config = {**client.model("echo").config().raw, "name": name}
    code = (managed_repository / "echo" / "1" / "model.py").read_bytes()
    client.load(name, config=config, files={"1/model.py": code, "3/model.py": code})
    model = client.model(name)
    # The latest alone, by the version policy.
    assert model.metadata().versions == (3,)
    np.testing.assert_array_equal(model(ONE), ONE)
    assert name in {one.model for one in client.statistics()}
    assert name not in {one.model for one in client.index()}
    client.unload(name)


def test_every_field_of_a_config_is_the_same_over_both_protocols_and_loads_again(
    connect: Connect, managed: Server, managed_repository: Path
) -> None:
    over_grpc, over_http = (connect(url_of(managed, one)) for one in ("grpc", "http"))
    loader = Loader(repository=managed_repository, server=managed)
    (managed_repository / "everything").mkdir(exist_ok=True)
    (managed_repository / "everything" / "labels.txt").write_text("a\n")
    assert loader.text("everything", EVERYTHING) == ""
    config = over_grpc.model("everything").config()
    assert config == over_http.model("everything").config()
    for client in (over_grpc, over_http):
        client.load("everything", config=config.raw)
        assert client.model("everything").config() == config
    over_grpc.unload("everything")


def test_a_failed_load_has_the_servers_reason(client: Any) -> None:
    with pytest.raises(LoadFailed, match=r"could not load it: .*out of cheese") as caught:
        client.load("broken")
    error = caught.value
    assert error.reason.startswith("load failed for model 'broken'")
    assert (error.model, error.status, error.retriable) == ("broken", "INVALID_ARGUMENT", False)
    (entry,) = [one for one in client.index() if one.model == "broken"]
    assert (entry.state, "out of cheese" in entry.reason) == ("UNAVAILABLE", True)


def test_a_model_that_is_not_in_the_repository_cannot_be_loaded(client: Any) -> None:
    with pytest.raises(ModelNotFound, match="nearest: 'echo'"):
        client.load("ecko")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": "{"}, "the config is no JSON"),
        ({"config": "[]"}, "JSON list, not an object"),
        ({"config": {"a": {1}}}, "the config is no JSON"),
        ({"files": {"1/model.py": b""}}, "config=..."),
        ({"config": "{}", "files": {"model.py": b""}}, "give VERSION/FILE"),
        ({"config": "{}", "files": {"1/../../model.py": b""}}, "give VERSION/FILE"),
        ({"config": "{}", "files": {"1/model.py": "text"}}, "of str, not bytes"),
    ],
)
def test_what_cannot_be_loaded_is_not_sent(
    client: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        client.load("echo", **given)
    assert caught.value.status is None
    assert client.model("echo").is_ready()


def test_files_that_one_request_does_not_hold_are_not_sent(
    connect: Connect, managed: Server, protocol: str
) -> None:
    client = connect(url_of(managed, protocol), max_request_bytes=1000)
    # HTTP has them as base64.
    file_bytes, sent_bytes = {"grpc": (1000, 1003), "http": (900, 1203)}[protocol]
    with pytest.raises(InvalidInput, match=f"are {sent_bytes} bytes .* request holds 1000"):
        client.load("sent", config="{ }", files={"1/model.onnx": bytes(file_bytes)})


def test_a_server_without_model_control_says_how_to_start_it(
    connect: Connect, echo_server: str
) -> None:
    client = connect(echo_server)
    for change in (client.load, client.unload):
        with pytest.raises(ServerFault, match="--model-control-mode=explicit") as caught:
            change("echo")
        assert caught.value.retriable is False
    assert client.model("echo").is_ready()


def test_a_client_of_several_servers_loads_at_none(
    connect: Connect, managed: Server, protocol: str, dead_url: str
) -> None:
    client = connect([url_of(managed, protocol), f"{protocol}://{dead_url}"])
    for change in (client.load, client.unload):
        with pytest.raises(InvalidInput, match=r"2 servers.*a client for each"):
            change("echo")


def test_one_deadline_is_for_all_of_it(client: Any) -> None:
    deadline = Deadline(30)
    assert client.server(timeout_s=deadline) == client.server(timeout_s=deadline)
    assert client.index(timeout_s=deadline)


def wait_gone(model: Any) -> None:
    deadline = Deadline(10)
    while model.is_ready():
        assert (deadline.remaining_s() or 0) > 0
