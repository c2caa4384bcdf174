"""Which endpoint each sequence is at: all its steps have to reach the same server."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

# Model and id: ids are of one model each.
SequenceKey: TypeAlias = tuple[str, int | str]
# A sequence that nobody ends is forgotten by the server in a second.
_KEPT = 65536


class Pins:
    """The latest 65536 sequences; not for several threads at once."""

    def __init__(self) -> None:
        self._places: OrderedDict[SequenceKey, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: SequenceKey) -> int | None:
        return self._places.get(key)

    def pin(self, key: SequenceKey, place: int) -> None:
        self._places[key] = place
        self._places.move_to_end(key)
        if len(self._places) > _KEPT:
            self._places.popitem(last=False)

    def drop(self, key: SequenceKey) -> None:
        self._places.pop(key, None)
