"""Configs that both Python-based backends complete from the network, as the C++ ones do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from backend_models import ADD, BACKENDS, Caller, Network, Value, rows_of, write_model
from plansmith import server as server_module
from plansmith.server import free_ports, serving
from plansmith.server_files import ServerFiles
from python_models import CONFIG_NAME

# ADD for exactly three items, and for items of one value without an axis.
THREE = Network(
    inputs=(Value("x", (3, 2)),),
    outputs=(Value("y", (3, 2)),),
    nodes=ADD.nodes,
    constants=ADD.constants,
)
SCALAR = Network(
    inputs=(Value("x", ("batch",)),),
    outputs=(Value("y", ("batch",)),),
    nodes=ADD.nodes,
    constants=ADD.constants,
)


@pytest.fixture(scope="module")
def completed(
    server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """A server that completes configs, with networks whose configs name only the backend."""
    repository = tmp_path_factory.mktemp("completed")
    for backend in BACKENDS:
        for name, network in {"add": ADD, "three": THREE, "scalar": SCALAR}.items():
            write_model(
                repository,
                backend,
                f"{backend}_{name}",
                network,
                tensors="",
                max_batch_size=0,
                layout="N" + "C" * (len(network.inputs[0].axes) - 1),
            )
    write_model(repository, "openvino", "openvino_mute", ADD, tensors="", max_batch_size=0)
    (repository / "onnxruntime_add" / "config.pbtxt").unlink()
    plain = server_module.command

    def completing(*arguments: Any, **named: Any) -> list[str]:
        return [one for one in plain(*arguments, **named) if "auto-complete" not in one]

    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "command", completing)
        with serving(
            server_files, repository, CONFIG_NAME, free_ports(), logs, drain=False
        ) as server:
            yield Caller(server.grpc_url)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_config_without_tensors_is_completed_for_batches(completed: Caller, backend: str) -> None:
    config = completed.client.get_model_config(f"{backend}_add").config
    assert config.max_batch_size == 4
    assert config.HasField("dynamic_batching")
    assert [(one.name, list(one.dims)) for one in config.input] == [("x", [2])]
    assert [(one.name, list(one.dims)) for one in config.output] == [("y", [2])]
    x = rows_of(1, 4, 2)
    np.testing.assert_allclose(completed(f"{backend}_add", {"x": x})["y"], x + 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_of_fixed_shape_is_completed_without_batches(
    completed: Caller, backend: str
) -> None:
    config = completed.client.get_model_config(f"{backend}_three").config
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [3, 2]
    x = rows_of(1, 3, 2)
    np.testing.assert_allclose(completed(f"{backend}_three", {"x": x})["y"], x + 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_single_value_for_each_item_is_completed_with_a_reshape(
    completed: Caller, backend: str
) -> None:
    x = np.array([[1], [2]], np.float32)
    np.testing.assert_array_equal(completed(f"{backend}_scalar", {"x": x})["y"], x + 1)


def test_openvino_batches_only_where_a_layout_says_so(completed: Caller) -> None:
    config = completed.client.get_model_config("openvino_mute").config
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [-1, 2]
