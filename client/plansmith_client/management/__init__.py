"""Managing a server: what it is and has, its models' configs and counts, loading and unloading.

The methods are those of `Client`, `AsyncClient` and their models; these are the types they give.
"""

from plansmith_client.calls import IndexEntry
from plansmith_client.management.calls import ServerMetadata
from plansmith_client.management.config import (
    ConfigTensor,
    DynamicBatching,
    InstanceGroup,
    ModelConfig,
)
from plansmith_client.management.statistics import BatchStatistics, Duration, ModelStatistics

__all__ = [
    "BatchStatistics",
    "ConfigTensor",
    "Duration",
    "DynamicBatching",
    "IndexEntry",
    "InstanceGroup",
    "ModelConfig",
    "ModelStatistics",
    "ServerMetadata",
]
