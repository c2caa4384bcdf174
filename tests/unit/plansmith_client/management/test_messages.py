"""The messages of management over both protocols, without a server."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2, service_pb2

from plansmith_client.calls import Call, is_repeatable
from plansmith_client.deadline import Deadline
from plansmith_client.management import Duration, ServerMetadata
from plansmith_client.management import grpc_messages as grpc
from plansmith_client.management import http_messages as http
from plansmith_client.management.calls import (
    FullConfigCall,
    LoadCall,
    ServerMetadataCall,
    StatisticsCall,
    UnloadCall,
)

UNLIMITED = Deadline(math.inf)
FILES = st.dictionaries(st.text(st.characters(codec="ascii"), max_size=9), st.binary(), max_size=3)


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (ServerMetadataCall(deadline=UNLIMITED), "GET", "/v2"),
        (FullConfigCall(deadline=UNLIMITED, model="m"), "GET", "/v2/models/m/config"),
        (
            FullConfigCall(deadline=UNLIMITED, model="m", version=2),
            "GET",
            "/v2/models/m/versions/2/config",
        ),
        (StatisticsCall(deadline=UNLIMITED), "GET", "/v2/models/stats"),
        (StatisticsCall(deadline=UNLIMITED, model="m"), "GET", "/v2/models/m/stats"),
        (LoadCall(deadline=UNLIMITED, model="a/b"), "POST", "/v2/repository/models/a%2Fb/load"),
        (UnloadCall(deadline=UNLIMITED, model="m"), "POST", "/v2/repository/models/m/unload"),
        # As it is: Triton does not decode what is quoted.
        (LoadCall(deadline=UNLIMITED, model="a+b"), "POST", "/v2/repository/models/a+b/load"),
    ],
)
def test_each_call_has_its_own_path(call: Call[Any], method: str, path: str) -> None:
    assert http.question(call)[:2] == (method, path)


@given(st.none() | st.text(), FILES)
def test_a_load_says_the_same_over_both_protocols(
    config: str | None, files: dict[str, bytes]
) -> None:
    call = LoadCall(deadline=UNLIMITED, model="m", config=config, files=files)
    over_http = json.loads(http.question(call)[2])["parameters"]
    message = service_pb2.RepositoryModelLoadRequest.FromString(grpc.question(call))
    given_http = {name: value for name, value in over_http.items() if name != "config"}
    decoded = {name: base64.b64decode(value) for name, value in given_http.items()}
    assert decoded == {f"file:{path}": content for path, content in files.items()}
    assert over_http.get("config") == config
    bytes_of = {
        name: value.bytes_param for name, value in message.parameters.items() if name != "config"
    }
    assert bytes_of == decoded
    assert ("config" in message.parameters) == (config is not None)
    assert config is None or message.parameters["config"].string_param == config


def test_what_changes_the_server_is_not_to_be_repeated() -> None:
    assert not is_repeatable(LoadCall(deadline=UNLIMITED, model="m"))
    assert not is_repeatable(UnloadCall(deadline=UNLIMITED, model="m"))
    assert is_repeatable(StatisticsCall(deadline=UNLIMITED))
    assert is_repeatable(ServerMetadataCall(deadline=UNLIMITED))


def test_a_files_content_is_in_no_repr() -> None:
    assert "secret" not in repr(LoadCall(deadline=UNLIMITED, model="m", files={"1/a": b"secret"}))


def test_a_server_of_few_words_is_understood() -> None:
    call = ServerMetadataCall(deadline=UNLIMITED)
    assert http.decode(call, b'{"name": "other"}') == ServerMetadata(
        name="other", version="", extensions=()
    )
    stats = StatisticsCall(deadline=UNLIMITED)
    (found,) = http.decode(stats, b'{"model_stats": [{"name": "m", "version": "3"}]}')
    assert (found.version, found.success, found.last_inference_ms) == (3, Duration(), None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"model_stats": [{}]}', b"\xff"])
def test_what_is_no_statistics_is_an_error_that_the_transport_knows(content: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        http.decode(StatisticsCall(deadline=UNLIMITED), content)


def test_a_newer_servers_enumeration_is_its_number() -> None:
    known = model_config_pb2.ModelConfig(name="m")
    raw = known.SerializeToString() + bytes((7 << 3 | 2, 2, 4 << 3, 99))
    reply = service_pb2.ModelConfigResponse(
        config=model_config_pb2.ModelConfig.FromString(raw)
    ).SerializeToString()
    config = grpc.decode(FullConfigCall(deadline=UNLIMITED, model="m"), reply)
    assert config.raw["instance_group"][0]["kind"] == 99
    assert config.instance_groups[0].kind == "99"


@pytest.mark.parametrize(
    ("duration", "mean"), [(Duration(), None), (Duration(count=4, total_ns=6), 1.5)]
)
def test_a_mean_needs_a_count(duration: Duration, mean: float | None) -> None:
    assert duration.mean_ns == mean
