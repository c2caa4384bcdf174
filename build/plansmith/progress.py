"""What a person sees of a long step, on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Clock = Callable[[], float]

PLAIN_INTERVAL_S = 5.0
# As wide as the longest name of a stage, "tensorrt-rtx: quantize".
NAME_WIDTH = 22


class Step(Protocol):
    """One running step: tell it how far it is."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


class Progress(Protocol):
    """Shows the steps of a build, one at a time."""

    def step(self, name: str) -> AbstractContextManager[Step]: ...

    def note(self, text: str) -> None: ...


class Pace:
    """How long the rest takes if it goes on as it went so far."""

    def __init__(self) -> None:
        self._first: tuple[float, int, int] | None = None

    def seconds_left(self, now: float, done: int, total: int) -> float | None:
        """None before a second update has shown a pace; `now` in seconds, of any origin.

        Another `total`, or less done than at first, is other work: it begins anew.
        """
        if self._first is None or total != self._first[2] or done < self._first[1]:
            self._first = now, done, total
            return None
        begun, before, _ = self._first
        if done == before or done > total:
            return None
        return (now - begun) / (done - before) * (total - done)


def said(seconds: float) -> str:
    """An estimate in words: "about 35 s left", "about 2 min 10 s left", "about 1 h 5 min left"."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes} min left"
    return f"about {minutes} min {rest} s left" if minutes else f"about {rest} s left"


class PlainProgress:
    """A line when a step begins and ends, and one every few seconds between."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock

    @contextmanager
    def step(self, name: str) -> Generator[Step, None, None]:
        begun = self._clock()
        line = _PlainStep(name, self._clock)
        self.note(f"{name} ...")
        try:
            yield line
        except BaseException:
            self.note(f"{name} stopped after {self._clock() - begun:.1f} s")
            raise
        self.note(f"{name} done in {self._clock() - begun:.1f} s")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class _PlainStep:
    def __init__(self, name: str, clock: Clock) -> None:
        self._name, self._clock, self._pace = name, clock, Pace()
        self._last = clock()

    def update(self, done: int, total: int, detail: str = "") -> None:
        now = self._clock()
        left = self._pace.seconds_left(now, done, total)
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            line = f"{self._name} {done}/{total} {detail}".rstrip()
            print(f"{line}, {said(left)}" if left else line, file=sys.stderr, flush=True)


class TerminalProgress:
    """A spinner, a bar and the time left for the running step, a tick for each that is done."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        from rich.console import Console

        self._clock = clock
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str) -> Generator[Step, None, None]:
        begun = self._clock()
        with self._bars(name) as bars:
            task = bars.add_task(name, total=None, count="", left="", detail="")
            yield _TerminalStep(bars, task, self._clock)
        took = f"{self._clock() - begun:6.1f} s"
        self._console.print(f"[green]done[/] {name:<{NAME_WIDTH}} {took}")

    def _bars(self, name: str) -> Bars:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        return Progress(
            SpinnerColumn(),
            TextColumn(f"{name:<{NAME_WIDTH}}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            # Not rich's own estimate: it takes no pace from the first update, forgets those of
            # more than 30 s ago, and counts backwards where a step begins other work.
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[detail]}"),
            console=self._console,
            transient=True,
            get_time=self._clock,
        )

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class _TerminalStep:
    def __init__(self, bars: Bars, task: TaskID, clock: Clock) -> None:
        self._bars, self._task, self._clock, self._pace = bars, task, clock, Pace()

    def update(self, done: int, total: int, detail: str = "") -> None:
        left = self._pace.seconds_left(self._clock(), done, total)
        self._bars.update(
            self._task,
            completed=done,
            total=total,
            count=f"{done}/{total}",
            left=said(left) if left else "",
            detail=detail,
        )


def for_stderr() -> Progress:
    """Bars where stderr is a terminal, plain lines where it is a file or a pipe."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
