"""Where the time of a model's calls goes, on both sides, while one looks.

Triton counts a request a little after it has answered it. So both the first look and the last are
taken again, after a pause, where the counts may not be whole yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from plansmith_client.calls import AsyncTransport, Transport
from plansmith_client.conversation import Flow
from plansmith_client.deadline import Deadline, Timeout, deadline_of
from plansmith_client.drivers import run, run_async
from plansmith_client.errors import AccessDenied, ServerFault
from plansmith_client.insight.observer import Observer
from plansmith_client.insight.timings import Look, ModelTimings, has_settled, timings_between
from plansmith_client.management.flows import ServerFlows

_PAUSES_S = (0.01, 0.05, 0.2)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is looked at: one model of one client, and its server."""

    model: str
    version: int | None
    observer: Observer
    server: ServerFlows

    def deadline(self, timeout: Timeout | None) -> Deadline:
        return deadline_of(timeout, self.server.timeout_s)

    def look(self, deadline: Deadline) -> Flow[Look]:
        """Raises what a statistics call does, but for a server that does not let us see them."""
        seen, refused = (), None
        try:
            seen = yield from self.server.statistics(self.model, deadline, self.version)
        except (AccessDenied, ServerFault) as error:
            refused = f"the server tells no statistics: {error}"
        ours = self.observer.stats().of(self.model, self.version)
        return Look(ours=ours, server=seen, refused=refused)


class Watch:
    """Looks at one model from now on, from `Client.watch`."""

    def __init__(self, watched: Watched, transport: Transport, first: Look) -> None:
        self._watched = watched
        self._transport = transport
        self._first = first

    def timings(self, *, timeout_s: Timeout | None = None) -> ModelTimings:
        """The calls that ended since the watch began, on average; may be asked again and again.

        The server's parts are None, with a `note` that says why, where it tells no statistics or
        did not answer the same calls: others ask it too, there are several servers, or calls were
        in flight when it was asked.
        """
        deadline = self._watched.deadline(timeout_s)
        found = self._now(deadline)
        for pause_s in _pauses_s(deadline):
            if not found.may_be_early:
                break
            time.sleep(pause_s)
            found = self._now(deadline)
        return found

    def _now(self, deadline: Deadline) -> ModelTimings:
        return timings_between(self._first, run(self._watched.look(deadline), self._transport))


class AsyncWatch:
    """As `Watch`, from `AsyncClient.watch`."""

    def __init__(self, watched: Watched, transport: AsyncTransport, first: Look) -> None:
        self._watched = watched
        self._transport = transport
        self._first = first

    async def timings(self, *, timeout_s: Timeout | None = None) -> ModelTimings:
        """As `Watch.timings`."""
        import asyncio

        deadline = self._watched.deadline(timeout_s)
        found = await self._now(deadline)
        for pause_s in _pauses_s(deadline):
            if not found.may_be_early:
                break
            await asyncio.sleep(pause_s)
            found = await self._now(deadline)
        return found

    async def _now(self, deadline: Deadline) -> ModelTimings:
        now = await run_async(self._watched.look(deadline), self._transport)
        return timings_between(self._first, now)


def begin(watched: Watched, transport: Transport, timeout: Timeout | None) -> Watch:
    deadline = watched.deadline(timeout)
    look = run(watched.look(deadline), transport)
    for pause_s in _pauses_s(deadline):
        time.sleep(pause_s)
        before, look = look, run(watched.look(deadline), transport)
        if has_settled(before, look):
            break
    return Watch(watched, transport, look)


async def begin_async(
    watched: Watched, transport: AsyncTransport, timeout: Timeout | None
) -> AsyncWatch:
    import asyncio

    deadline = watched.deadline(timeout)
    look = await run_async(watched.look(deadline), transport)
    for pause_s in _pauses_s(deadline):
        await asyncio.sleep(pause_s)
        before, look = look, await run_async(watched.look(deadline), transport)
        if has_settled(before, look):
            break
    return AsyncWatch(watched, transport, look)


def _pauses_s(deadline: Deadline) -> Iterator[float]:
    """Between looks, as long as there is time for another."""
    for pause_s in _PAUSES_S:
        remaining_s = deadline.remaining_s()
        if remaining_s is not None and remaining_s < 2 * pause_s:
            return
        yield pause_s
