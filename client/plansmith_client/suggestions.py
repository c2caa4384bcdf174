"""What the server has instead of the model that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from plansmith_client.calls import IndexEntry
from plansmith_client.errors import ModelNotFound

_SHOWN = 5


def not_found(refused: ModelNotFound, index: Sequence[IndexEntry]) -> ModelNotFound:
    """`refused` with what `index`, the server's repository, says of it; all else as it was."""
    name = refused.model or ""
    fact = _without(name, index)
    if any(one.model == name for one in index):
        fact = _unready(name, refused.version, index)
    return ModelNotFound(
        f"{name}: {fact}" + (f" at {refused.endpoint}" if refused.endpoint else ""),
        model=refused.model,
        version=refused.version,
        status=refused.status,
        elapsed_s=refused.elapsed_s,
        endpoint=refused.endpoint,
        reason=refused.reason,
    )


def _without(name: str, index: Sequence[IndexEntry]) -> str:
    known = sorted({one.model for one in index})
    if not known:
        return f"no model {name!r}, nor any other, in the repository"
    # Imported here, as in `checks`.
    from difflib import get_close_matches

    nearest = get_close_matches(name, known, n=3)
    if nearest:
        return f"no model {name!r} in the repository (nearest: {', '.join(map(repr, nearest))})"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"no model {name!r} in the repository, which has {', '.join(known[:_SHOWN])}{more}"


def _unready(name: str, version: int | None, index: Sequence[IndexEntry]) -> str:
    mine = [one for one in index if one.model == name]
    asked = [one for one in mine if version in (None, one.version)]
    for one in asked:
        if one.state and one.state != "READY":
            reason = f": {one.reason}" if one.reason else ""
            return f"version {one.version} is {one.state}{reason}"
    ready = [str(one.version) for one in mine if one.state == "READY"]
    if not ready:
        return "is in the repository but not loaded"
    if version is None:
        # Between the refusal and the index.
        return f"was not loaded when it was asked; by now version {', '.join(ready)} is ready"
    return f"no version {version}; ready: {', '.join(ready)}"
