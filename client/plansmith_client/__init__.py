"""Typed client for models served by Triton: NumPy arrays in, NumPy arrays out."""

from plansmith_client.async_client import AsyncClient, AsyncModel
from plansmith_client.classification import Ranked
from plansmith_client.client import Client, Model
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    MissingExtra,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.tensors import ModelMetadata, TensorMetadata

__all__ = [
    "AsyncClient",
    "AsyncModel",
    "Client",
    "DeadlineExceeded",
    "InvalidInput",
    "MissingExtra",
    "Model",
    "ModelMetadata",
    "ModelNotFound",
    "PlansmithClientError",
    "Ranked",
    "ServerFault",
    "ServerUnavailable",
    "TensorMetadata",
]
