"""HTTP messages of shared memory; imported with the first such call. No I/O."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from plansmith_client.calls import Call
from plansmith_client.memory.calls import (
    CudaRegionsCall,
    RegisterCall,
    RegisterCudaCall,
    RegisteredRegion,
    UnregisterCall,
    UnregisterCudaCall,
)

_SYSTEM = "/v2/systemsharedmemory"
_CUDA = "/v2/cudasharedmemory"


def question(call: Call[Any]) -> tuple[str, str, bytes]:
    """Method, path and JSON."""
    if isinstance(call, RegisterCall):
        asked: dict[str, Any] = {"key": call.key, "offset": 0, "byte_size": call.size_bytes}
        return "POST", _path(_SYSTEM, call.region, "register"), json.dumps(asked).encode()
    if isinstance(call, RegisterCudaCall):
        asked = {
            "raw_handle": {"b64": base64.b64encode(call.raw_handle).decode("ascii")},
            "device_id": call.device_id,
            "byte_size": call.size_bytes,
        }
        return "POST", _path(_CUDA, call.region, "register"), json.dumps(asked).encode()
    if isinstance(call, UnregisterCall):
        root = _CUDA if isinstance(call, UnregisterCudaCall) else _SYSTEM
        return "POST", _path(root, call.region, "unregister"), b"{}"
    root = _CUDA if isinstance(call, CudaRegionsCall) else _SYSTEM
    return "GET", f"{root}/status", b""


def decode(call: Call[Any], content: bytes) -> Any:
    """The reply to `call`. Raises ValueError, KeyError or TypeError for what is none."""
    if isinstance(call, RegisterCall | RegisterCudaCall | UnregisterCall):
        return None
    return tuple(
        RegisteredRegion(
            region=one["name"],
            key="" if isinstance(call, CudaRegionsCall) else one["key"],
            size_bytes=int(one["byte_size"]),
        )
        for one in json.loads(content)
    )


def _path(root: str, region: str, action: str) -> str:
    return f"{root}/region/{quote(region, safe='')}/{action}"
