"""HTTP messages of management; imported with the first such call. No I/O.

Triton's extensions: docs/protocol/extension_{model_repository,model_configuration,statistics}.md of
triton-inference-server/server.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from plansmith_client.calls import Call
from plansmith_client.management.calls import (
    FullConfigCall,
    LoadCall,
    ServerMetadata,
    ServerMetadataCall,
    StatisticsCall,
    UnloadCall,
)
from plansmith_client.management.config import read_config, with_integers
from plansmith_client.management.statistics import read_statistics
from plansmith_client.over_http.messages import model_path, segment


def question(call: Call[Any]) -> tuple[str, str, bytes]:
    """Method, path and JSON."""
    if isinstance(call, LoadCall):
        return "POST", f"{_in_repository(call)}/load", _parameters(_overrides(call))
    if isinstance(call, UnloadCall):
        parameters = {"unload_dependents": call.dependents}
        return "POST", f"{_in_repository(call)}/unload", _parameters(parameters)
    if isinstance(call, FullConfigCall):
        return "GET", f"{model_path(call.model, call.version)}/config", b""
    if isinstance(call, StatisticsCall):
        path = model_path(call.model, call.version) if call.model else "/v2/models"
        return "GET", f"{path}/stats", b""
    assert isinstance(call, ServerMetadataCall)
    return "GET", "/v2", b""


def decode(call: Call[Any], content: bytes) -> Any:
    """The reply to `call`. Raises ValueError, KeyError, TypeError or AttributeError for no such."""
    if isinstance(call, LoadCall | UnloadCall):
        return None
    found = json.loads(content)
    if isinstance(call, FullConfigCall):
        return read_config(with_integers(found))
    if isinstance(call, StatisticsCall):
        return tuple(read_statistics(one) for one in found["model_stats"])
    return ServerMetadata(
        name=found["name"],
        version=found.get("version", ""),
        extensions=tuple(found.get("extensions", ())),
    )


def _in_repository(call: Call[Any]) -> str:
    return f"/v2/repository/models/{segment(call.model)}"


def _overrides(call: LoadCall) -> dict[str, Any]:
    files = {
        f"file:{path}": base64.b64encode(content).decode("ascii")
        for path, content in call.files.items()
    }
    return files if call.config is None else {"config": call.config, **files}


def _parameters(parameters: dict[str, Any]) -> bytes:
    return json.dumps({"parameters": parameters}).encode()
