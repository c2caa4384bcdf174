"""Typed client for models served by Triton: NumPy arrays in, NumPy arrays out."""

from plansmith_client.async_client import AsyncClient
from plansmith_client.async_model import AsyncModel
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
from plansmith_client.memory.regions import AsyncSharedRegion, SharedRegion
from plansmith_client.model import Model
from plansmith_client.model_sequence import AsyncModelSequence, ModelSequence
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.results import Result
from plansmith_client.sequences import SequenceStep
from plansmith_client.tensors import ModelMetadata, TensorMetadata

__all__ = [
    "TLS",
    "AccessDenied",
    "AsyncClient",
    "AsyncModel",
    "AsyncModelSequence",
    "AsyncSharedRegion",
    "Balancing",
    "Basic",
    "Bearer",
    "Breaker",
    "Client",
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
