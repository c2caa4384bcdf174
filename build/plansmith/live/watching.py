"""Reads a server's counters at intervals and shows what happened between."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from rich.console import Console
from rich.live import Live

from plansmith.infer.connection import client_errors
from plansmith.live.keys import read_keys, single_keys
from plansmith.live.rates import Reading, rates
from plansmith.live.table import Frame, screen, table, title
from plansmith.live.view import View, ordered, pressed

if TYPE_CHECKING:
    from plansmith_client.management import ModelStatistics

# Longer waits would not tell more of a server that does not answer.
_READING_S = 5.0

Read: TypeAlias = Callable[[], Awaitable["tuple[ModelStatistics, ...]"]]


def watch(url: str, *, interval_s: float, count: int | None, as_json: bool) -> None:
    """Shows the server at `url` until q, Ctrl-C, or after `count` intervals; if it is away, too.

    Raises PlansmithError where it answers otherwise than by statistics.
    """
    from plansmith.tables import console

    out = console()
    with client_errors():
        if as_json or not out.is_terminal or out.is_dumb_terminal:
            asyncio.run(_print(url, interval_s, count, None if as_json else out))
        else:
            with single_keys() as keyboard:
                asyncio.run(_on_screen(url, interval_s, count, out, keyboard))


async def frames(
    read: Read,
    url: str,
    interval_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> AsyncGenerator[Frame]:
    """One for each reading, `interval_s` after the one before was answered; never ends."""
    from plansmith_client import DeadlineExceeded, ServerUnavailable

    before: Reading | None = None
    while True:
        try:
            after = Reading(models=await read(), at_s=clock())
        except (ServerUnavailable, DeadlineExceeded) as error:
            # When it is back it may count anew, which two readings alone do not always tell.
            before, told = None, error.reason or str(error)
            yield Frame(at=now(), url=url, interval_s=None, away=told, models=())
        else:
            interval = None if before is None else after.at_s - before.at_s
            models = () if before is None else rates(before, after)
            yield Frame(at=now(), url=url, interval_s=interval, away=None, models=models)
            before = after
        await sleep(interval_s)


async def _read(url: str, interval_s: float, count: int | None) -> AsyncGenerator[Frame]:
    """Frames of the server at `url`, until `count` of them have told something."""
    from plansmith_client import AsyncClient

    left = count
    async with (
        # The next reading is the next attempt.
        AsyncClient(url, timeout_s=_READING_S, retry=None) as client,
        aclosing(frames(client.statistics, url, interval_s)) as found,
    ):
        async for frame in found:
            yield frame
            if left is not None and frame.tells:
                left -= 1
                if not left:
                    return


async def _print(url: str, interval_s: float, count: int | None, out: Console | None) -> None:
    """A line of JSON for each interval, or a table on `out`."""
    async with aclosing(_read(url, interval_s, count)) as found:
        async for frame in found:
            if not frame.tells:
                continue
            if out is None:
                print(msgspec.json.encode(frame).decode(), flush=True)
                continue
            out.print(title(frame), soft_wrap=True)
            if frame.away is None:
                out.print(table(ordered(frame.models, View()), View()))
            sys.stdout.flush()


async def _on_screen(
    url: str, interval_s: float, count: int | None, out: Console, keyboard: int | None
) -> None:
    """The whole terminal, drawn anew with each frame and key; returns on q."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        live = stack.enter_context(Live(console=out, screen=True, auto_refresh=False))
        shown = _Screen(live, keys=keyboard is not None)
        showing = loop.create_task(shown.show(_read(url, interval_s, count)))
        loop.add_signal_handler(signal.SIGTERM, showing.cancel)
        if keyboard is not None:

            def typed() -> None:
                if shown.press(read_keys(keyboard)):
                    showing.cancel()

            loop.add_reader(keyboard, typed)
            stack.callback(loop.remove_reader, keyboard)
        with suppress(asyncio.CancelledError):
            await showing


class _Screen:
    """What is on the terminal: the last frame, as the keys have it."""

    def __init__(self, live: Live, *, keys: bool) -> None:
        self._live = live
        self._keys = keys
        self._view = View()
        self._frame: Frame | None = None

    async def show(self, found: AsyncGenerator[Frame]) -> None:
        async with aclosing(found):
            async for frame in found:
                self._frame = frame
                self._draw()

    def press(self, keys: tuple[str, ...]) -> bool:
        """Whether one of them ends it."""
        for key in keys:
            self._view = pressed(self._view, key)
        self._draw()
        return self._view.ended

    def _draw(self) -> None:
        if self._frame is not None:
            height = self._live.console.height
            self._live.update(
                screen(self._frame, self._view, height, keys=self._keys), refresh=True
            )
