"""tritonclient's message classes, found or told to be missing. Imported on first need."""

from __future__ import annotations

import importlib
from typing import Any

from plansmith_client.errors import MissingExtra


def _imported(module: str) -> Any:
    """It has no types: taken as Any, so that no other file meets it."""
    try:
        return importlib.import_module(module)
    # tritonclient reports a missing extra as RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise MissingExtra(
            'gRPC support is not installed: pip install "plansmith-client[grpc]"'
        ) from error


pb: Any = _imported("tritonclient.grpc").service_pb2
DecodeError: type[Exception] = _imported("google.protobuf.message").DecodeError
SERVICE: str = f"/{pb.DESCRIPTOR.services_by_name['GRPCInferenceService'].full_name}/"
