"""Triton's message: one class for all who use it, and no more imported for it than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from plansmith.config import message
from plansmith.config.message import ModelConfig


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after `statement`."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_it_is_the_class_that_a_client_gets_from_a_server() -> None:
    assert ModelConfig is model_config_pb2.ModelConfig
    assert isinstance(service_pb2.ModelConfigResponse().config, ModelConfig)


def test_to_check_a_repository_loads_neither_grpc_nor_numpy() -> None:
    loaded = loaded_by("import plansmith.rules.checking, plansmith.rules.recipe_facts")
    assert "plansmith.config.message" in loaded
    assert not loaded & {"grpc", "numpy"}


def test_without_tritonclient_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "tritonclient"

    monkeypatch.setattr(message, "find_spec", nothing)
    monkeypatch.setitem(sys.modules, "tritonclient.grpc.model_config_pb2", None)
    with pytest.raises(ModuleNotFoundError, match=r"tritonclient\.grpc\.model_config_pb2"):
        message._messages()
