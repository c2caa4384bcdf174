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
    MissingExtra,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.model import Model
from plansmith_client.model_sequence import AsyncModelSequence, ModelSequence
from plansmith_client.results import Result
from plansmith_client.sequences import SequenceStep
from plansmith_client.tensors import ModelMetadata, TensorMetadata

__all__ = [
    "TLS",
    "AccessDenied",
    "AsyncClient",
    "AsyncModel",
    "AsyncModelSequence",
    "Basic",
    "Bearer",
    "Client",
    "Deadline",
    "DeadlineExceeded",
    "InvalidInput",
    "MissingExtra",
    "Model",
    "ModelMetadata",
    "ModelNotFound",
    "ModelSequence",
    "PlansmithClientError",
    "Ranked",
    "Result",
    "SequenceStep",
    "ServerFault",
    "ServerUnavailable",
    "TensorMetadata",
]
