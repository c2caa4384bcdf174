"""What a person sees of a long step, on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

PLAIN_INTERVAL_S = 5.0


class Step(Protocol):
    """One running step: tell it how far it is."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


class Progress(Protocol):
    """Shows the steps of a build, one at a time."""

    def step(self, name: str) -> AbstractContextManager[Step]: ...

    def note(self, text: str) -> None: ...


class PlainProgress:
    """A line when a step begins and ends, and one every few seconds between."""

    @contextmanager
    def step(self, name: str) -> Generator[Step, None, None]:
        begun = time.monotonic()
        line = _PlainStep(name, begun)
        self.note(f"{name} ...")
        try:
            yield line
        except BaseException:
            self.note(f"{name} stopped after {time.monotonic() - begun:.1f} s")
            raise
        self.note(f"{name} done in {time.monotonic() - begun:.1f} s")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class _PlainStep:
    def __init__(self, name: str, begun: float) -> None:
        self._name = name
        self._last = begun

    def update(self, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            print(f"{self._name} {done}/{total} {detail}".rstrip(), file=sys.stderr, flush=True)


class TerminalProgress:
    """A spinner and a bar for the running step, a tick for each that is done."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str) -> Generator[Step, None, None]:
        from rich.progress import (
            BarColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import Progress as RichProgress

        begun = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn(f"{name:<9}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
        )
        with RichProgress(*columns, console=self._console, transient=True) as bars:
            yield _TerminalStep(bars, bars.add_task(name, total=None, count="", detail=""))
        self._console.print(f"[green]done[/] {name:<9} {time.monotonic() - begun:6.1f} s")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class _TerminalStep:
    def __init__(self, bars: object, task: object) -> None:
        self._bars = bars
        self._task = task

    def update(self, done: int, total: int, detail: str = "") -> None:
        from rich.progress import Progress as RichProgress
        from rich.progress import TaskID

        assert isinstance(self._bars, RichProgress)
        assert isinstance(self._task, int)
        count = f"{done}/{total}"
        self._bars.update(
            TaskID(self._task), completed=done, total=total, count=count, detail=detail
        )


def for_stderr() -> Progress:
    """Bars where stderr is a terminal, plain lines where it is a file or a pipe."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
