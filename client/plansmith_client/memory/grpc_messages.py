"""gRPC messages of shared memory: a call to bytes, bytes to its reply. Imported with the first."""

from __future__ import annotations

from typing import Any

from plansmith_client.calls import Call
from plansmith_client.memory.calls import (
    CudaRegionsCall,
    RegionsCall,
    RegisterCall,
    RegisterCudaCall,
    RegisteredRegion,
    UnregisterCall,
    UnregisterCudaCall,
)
from plansmith_client.over_grpc.protobuf import pb

METHOD_NAMES: dict[type[Call[Any]], str] = {
    RegisterCall: "SystemSharedMemoryRegister",
    UnregisterCall: "SystemSharedMemoryUnregister",
    RegionsCall: "SystemSharedMemoryStatus",
    RegisterCudaCall: "CudaSharedMemoryRegister",
    UnregisterCudaCall: "CudaSharedMemoryUnregister",
    CudaRegionsCall: "CudaSharedMemoryStatus",
}


def question(call: Call[Any]) -> bytes:
    """The message of `call`."""
    return _request(call).SerializeToString()


def _request(call: Call[Any]) -> Any:
    if isinstance(call, RegisterCall):
        return pb.SystemSharedMemoryRegisterRequest(
            name=call.region, key=call.key, offset=0, byte_size=call.size_bytes
        )
    if isinstance(call, RegisterCudaCall):
        return pb.CudaSharedMemoryRegisterRequest(
            name=call.region,
            raw_handle=call.raw_handle,
            device_id=call.device_id,
            byte_size=call.size_bytes,
        )
    if isinstance(call, UnregisterCudaCall):
        return pb.CudaSharedMemoryUnregisterRequest(name=call.region)
    if isinstance(call, UnregisterCall):
        return pb.SystemSharedMemoryUnregisterRequest(name=call.region)
    if isinstance(call, CudaRegionsCall):
        return pb.CudaSharedMemoryStatusRequest()
    return pb.SystemSharedMemoryStatusRequest()


def decode(call: Call[Any], reply: bytes) -> Any:
    """The reply to `call`. Raises DecodeError for what is none."""
    if not isinstance(call, RegionsCall):
        return None
    if isinstance(call, CudaRegionsCall):
        on_devices = pb.CudaSharedMemoryStatusResponse.FromString(reply).regions
        return tuple(
            RegisteredRegion(region=one.name, key="", size_bytes=one.byte_size)
            for one in on_devices.values()
        )
    regions = pb.SystemSharedMemoryStatusResponse.FromString(reply).regions
    return tuple(
        RegisteredRegion(region=one.name, key=one.key, size_bytes=one.byte_size)
        for one in regions.values()
    )
