"""Typed client for models served by Triton: NumPy arrays in, NumPy arrays out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from plansmith_client.classification import Ranked
from plansmith_client.client import Client
from plansmith_client.credentials import TLS, Basic, Bearer
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidInput,
    LoadFailed,
    MissingExtra,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.insight.context import timed, trace_context
from plansmith_client.model import Model
from plansmith_client.model_sequence import AsyncModelSequence, ModelSequence
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.results import Result
from plansmith_client.sequences import SequenceStep
from plansmith_client.tensors import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from plansmith_client.async_client import AsyncClient
    from plansmith_client.async_model import AsyncModel
    from plansmith_client.memory.cuda_regions import AsyncCudaRegion, CudaRegion
    from plansmith_client.memory.cuda_tensors import CudaTensor
    from plansmith_client.memory.regions import AsyncSharedRegion, SharedRegion

__all__ = [
    "TLS",
    "AccessDenied",
    "AsyncClient",
    "AsyncCudaRegion",
    "AsyncModel",
    "AsyncModelSequence",
    "AsyncSharedRegion",
    "Balancing",
    "Basic",
    "Bearer",
    "Breaker",
    "Client",
    "CudaRegion",
    "CudaTensor",
    "Deadline",
    "DeadlineExceeded",
    "Hedge",
    "InvalidInput",
    "LoadFailed",
    "MissingExtra",
    "Model",
    "ModelMetadata",
    "ModelNotFound",
    "ModelSequence",
    "PlansmithClientError",
    "Ranked",
    "Result",
    "Retry",
    "SequenceStep",
    "ServerFault",
    "ServerUnavailable",
    "SharedRegion",
    "TensorMetadata",
    "timed",
    "trace_context",
]

_ON_FIRST_NEED = {
    "AsyncClient": "plansmith_client.async_client",
    "AsyncCudaRegion": "plansmith_client.memory.cuda_regions",
    "AsyncModel": "plansmith_client.async_model",
    "AsyncSharedRegion": "plansmith_client.memory.regions",
    "CudaRegion": "plansmith_client.memory.cuda_regions",
    "CudaTensor": "plansmith_client.memory.cuda_tensors",
    "SharedRegion": "plansmith_client.memory.regions",
}


def __getattr__(name: str) -> Any:
    """What not every program has a use for is imported where it is asked for."""
    if name not in _ON_FIRST_NEED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_ON_FIRST_NEED[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
