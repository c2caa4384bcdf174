"""Fields of a configuration that older servers do not know: a text with one is refused whole. Pure.

How the table was found: tests/server/test_configs.py gives every field and enumeration value of the
message to the embedded server, one at a time. Its parser tells for each whether it has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from plansmith.config.message import Path

# The release whose server is embedded: container 24.10.
OLDEST_SERVER = "2.51.0"


@dataclass(frozen=True, kw_only=True)
class NewerField:
    """`message_type` is the full name of the message that has the field.

    `missing_in` is a server version that is known to refuse it; later ones up to the message's own
    may, too.
    """

    message_type: str
    field: str
    missing_in: str = OLDEST_SERVER


NEWER_FIELDS = (
    # Histograms' buckets for one model.
    NewerField(message_type="inference.ModelConfig", field="model_metrics"),
    # A bound on what waits between an ensemble's steps; came in October 2025:
    # triton-inference-server/server pull request 8458.
    NewerField(message_type="inference.ModelEnsembling", field="max_inflight_requests"),
)


def newer_fields(message: Message) -> tuple[tuple[Path, NewerField], ...]:
    """The fields set in `message` that OLDEST_SERVER does not know, with their paths."""
    known = {(one.message_type, one.field): one for one in NEWER_FIELDS}
    return tuple((path, known[place]) for path, place in _set_fields(message, ()) if place in known)


def _set_fields(message: Message, at: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    for field, value in message.ListFields():
        path = (*at, field.name)
        yield path, (message.DESCRIPTOR.full_name, field.name)
        for place, inner in _messages(value):
            yield from _set_fields(inner, (*path, *place))


def _messages(value: Any) -> Iterator[tuple[Path, Message]]:
    """The messages in a field's value, each with its place in it: an index, a key or nothing."""
    if isinstance(value, Message):
        yield (), value
    elif hasattr(value, "items"):
        yield from (((key,), one) for key, one in value.items() if isinstance(one, Message))
    elif not isinstance(value, str | bytes | int | float):
        yield from (((at,), one) for at, one in enumerate(value) if isinstance(one, Message))
