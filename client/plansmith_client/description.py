"""What a server's two answers about a model tell together."""

from __future__ import annotations

from dataclasses import replace

from plansmith_client.calls import ConfigReply, MetadataReply
from plansmith_client.tensors import ModelMetadata


def described(
    name: str, version: int | None, served: MetadataReply, config: ConfigReply | None
) -> ModelMetadata:
    """The model's metadata; what its configuration would tell is not known without one."""
    return ModelMetadata(
        name=name,
        version=version,
        versions=served.versions,
        inputs=tuple(
            replace(one, optional=one.name in config.optional_inputs if config else None)
            for one in served.inputs
        ),
        outputs=served.outputs,
        max_batch_size=config.max_batch_size if config else None,
        decoupled=config.decoupled if config else None,
        stateful=config.stateful if config else None,
    )
