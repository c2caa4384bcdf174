"""What a server has, as it tells itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plansmith.live.texts import printable

if TYPE_CHECKING:
    from plansmith_client import Client, TensorMetadata
    from plansmith_client.management import IndexEntry, ModelConfig, ModelStatistics

_NAMES = ("model", "version", "state", "backend", "inputs", "outputs", "max batch")
_COUNTS = ("requests", "failed", "items")


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One version of a model; None and nothing where the server does not tell, or it is not ready.

    `requests`, `failed` and `items`: since it was loaded; `requests` are those that succeeded.
    """

    model: str
    version: int | None
    state: str
    reason: str
    backend: str | None
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    max_batch_size: int | None
    requests: int | None
    failed: int | None
    items: int | None


def served_models(client: Client) -> tuple[ServedModel, ...]:
    """All that is in the server's repository or loaded, by name and version.

    Raises the client's errors, other than for what a server may keep to itself: configurations and
    either its index or its statistics.
    """
    from plansmith_client.management import IndexEntry

    counted = {(one.model, one.version): one for one in _statistics(client)}
    entries = {(one.model, one.version): one for one in _index(client, needed=not counted)}
    # Triton's index has only what is in the repository, not what was loaded from a caller's files.
    for model, version in counted.keys() - entries.keys():
        entry = IndexEntry(model=model, version=version, state="READY", reason="")
        entries[model, version] = entry
    names = sorted(entries, key=lambda key: (key[0], key[1] or 0))
    return tuple(
        _served(client, entries[name, version], counted.get((name, version or 0)))
        for name, version in names
    )


def _served(client: Client, entry: IndexEntry, counted: ModelStatistics | None) -> ServedModel:
    from plansmith_client import ModelNotFound

    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()
    max_batch_size: int | None = None
    config: ModelConfig | None = None
    if entry.state == "READY":
        try:
            metadata = client.model(entry.model, entry.version).metadata()
            inputs, outputs = metadata.inputs, metadata.outputs
            max_batch_size = metadata.max_batch_size
            config = _config(client, entry)
        except ModelNotFound:
            # It has gone meanwhile.
            pass
    return ServedModel(
        model=entry.model,
        version=entry.version,
        state=entry.state or "not loaded",
        reason=entry.reason,
        backend=config and (config.backend or config.platform),
        inputs=inputs,
        outputs=outputs,
        max_batch_size=max_batch_size,
        requests=counted and counted.success.count,
        failed=counted and counted.fail.count,
        items=counted and counted.inference_count,
    )


def _config(client: Client, entry: IndexEntry) -> ModelConfig | None:
    from plansmith_client import AccessDenied, ServerFault

    try:
        return client.model(entry.model, entry.version).config()
    except (AccessDenied, ServerFault):
        return None


def _index(client: Client, *, needed: bool) -> tuple[IndexEntry, ...]:
    from plansmith_client import AccessDenied, InvalidInput, ModelNotFound, ServerFault

    try:
        return client.index()
    except (AccessDenied, ServerFault, ModelNotFound, InvalidInput):
        if needed:
            raise
        return ()


def _statistics(client: Client) -> tuple[ModelStatistics, ...]:
    from plansmith_client import AccessDenied, InvalidInput, ModelNotFound, ServerFault

    try:
        return client.statistics()
    # What servers say that have none: it depends on what stands between.
    except (AccessDenied, ServerFault, ModelNotFound, InvalidInput):
        return ()


def show(found: Sequence[ServedModel]) -> None:
    """Prints a table, and below it why what is not ready is not."""
    from rich.table import Table
    from rich.text import Text

    from plansmith.tables import console

    table = Table()
    for name in (*_NAMES, *_COUNTS):
        right = name in ("version", "max batch", *_COUNTS)
        table.add_column(name, justify="right" if right else "left")
    for one in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(one)))
    screen = console()
    screen.print(table)
    for one in found:
        if one.reason:
            line = f"{one.model} version {one.version} is {one.state}: {one.reason}"
            screen.print(Text(printable(line)), soft_wrap=True)


def _cells(one: ServedModel) -> list[str]:
    numbers = (one.max_batch_size, one.requests, one.failed, one.items)
    return [
        one.model,
        _number(one.version),
        one.state,
        one.backend or "-",
        _tensors(one.inputs),
        _tensors(one.outputs),
        *map(_number, numbers),
    ]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _tensors(tensors: Sequence[TensorMetadata]) -> str:
    """`x FP32[-1, 2]`; an input that may be left out has a question mark."""
    told = (
        f"{one.name}{'?' if one.optional else ''} {one.dtype}{list(one.shape)}" for one in tensors
    )
    return ", ".join(told) or "-"
