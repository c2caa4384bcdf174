"""A stream counts as in flight until its last answer is taken."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from plansmith_client.calls import InferCall
from plansmith_client.errors import PlansmithClientError
from plansmith_client.resilience.fleet import Fleet


@contextmanager
def occupying(fleet: Fleet, place: int, call: InferCall) -> Generator[None]:
    """While the block runs, `call` is at the endpoint at `place`; its error is noted there."""
    began = fleet.clock()
    fleet.join(place)
    try:
        yield
    except PlansmithClientError as error:
        fleet.failed(place, call, error, began)
        raise
    except BaseException:
        fleet.left(place)
        raise
    else:
        fleet.left(place)
