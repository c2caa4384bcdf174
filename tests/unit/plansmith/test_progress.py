"""Progress: what stands on stderr while a step runs, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.progress import Pace, PlainProgress, TerminalProgress, for_stderr, said


def test_a_plain_step_says_when_it_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress().step("export"):
        pass
    out, err = capsys.readouterr()
    assert out == "", "stdout is for results"
    assert re.fullmatch(r"export \.\.\.\nexport done in \d+\.\d s\n", err)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_plain_step_that_fails_is_not_called_done(
    capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    with pytest.raises(error), PlainProgress().step("export"):
        raise error
    _, err = capsys.readouterr()
    assert re.search(r"export stopped after \d+\.\d s", err)
    assert "done" not in err


class Clock:
    """Time that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def updates(capsys: pytest.CaptureFixture[str], total: int) -> list[str]:
    """The lines of updates that have been printed so far."""
    return [line for line in capsys.readouterr().err.splitlines() if f"/{total}" in line]


def test_plain_updates_come_at_most_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainProgress(clock).step("measure") as step:
        for second in range(12):
            clock.now = 100.0 + second
            step.update(second, 12, "time fp32")
        step.update(12, 12)
    assert updates(capsys, 12) == [
        "measure 5/12 time fp32, about 7 s left",
        "measure 10/12 time fp32, about 2 s left",
    ]


def test_a_plain_line_has_the_time_left_by_the_pace_since_the_first_update(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with PlainProgress(clock).step("measure") as step:
        clock.now += 60  # until the first update nothing of what is counted was done
        step.update(0, 40, "compare fp32")
        clock.now += 15
        step.update(12, 40, "time int8-s2t2-b1")
    # 12 took 15 s, so 28 take 35 s.
    assert updates(capsys, 40) == [
        "measure 0/40 compare fp32",
        "measure 12/40 time int8-s2t2-b1, about 35 s left",
    ]


def test_there_is_no_time_left_to_tell_before_anything_is_done() -> None:
    pace = Pace()
    assert pace.seconds_left(0.0, 3, 9) is None
    assert pace.seconds_left(8.0, 3, 9) is None


@pytest.mark.parametrize(("done", "total"), [(1, 10), (6, 20)])
def test_other_work_has_a_pace_of_its_own(done: int, total: int) -> None:
    pace = Pace()
    pace.seconds_left(0.0, 5, 10)
    assert pace.seconds_left(1.0, 9, 10) == pytest.approx(0.25)
    assert pace.seconds_left(100.0, done, total) is None
    assert pace.seconds_left(107.0, done + 1, total) == pytest.approx(7.0 * (total - done - 1))


@given(st.floats(0.01, 100), st.integers(0, 1000), st.integers(1, 1000), st.integers(0, 1000))
def test_at_an_even_pace_the_time_left_is_what_it_takes(
    each_s: float, before: int, done: int, rest: int
) -> None:
    pace, total = Pace(), before + done + rest
    pace.seconds_left(50.0, before, total)
    left = pace.seconds_left(50.0 + each_s * done, before + done, total)
    assert left == pytest.approx(each_s * rest)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 1 s left"),
        (59.6, "about 1 min 0 s left"),
        (130, "about 2 min 10 s left"),
        (3900, "about 1 h 5 min left"),
    ],
)
def test_time_left_is_told_in_a_persons_units(seconds: float, text: str) -> None:
    assert said(seconds) == text


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can draw bars, whatever the tests run in."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize(
    ("stderr", "kind"), [(Terminal, TerminalProgress), (io.StringIO, PlainProgress)]
)
def test_a_terminal_gets_bars_and_anything_else_plain_lines(
    stderr: type[io.StringIO], kind: type
) -> None:
    with redirect_stderr(stderr()) as shown:
        assert isinstance(for_stderr(), kind)
    assert shown.getvalue() == ""


def test_a_terminal_step_shows_how_far_it_is_and_then_that_it_is_done() -> None:
    clock = Clock()
    with (
        redirect_stderr(Terminal()) as terminal,
        TerminalProgress(clock).step("cpu: measure") as step,
    ):
        step.update(0, 7, "compare fp32-s1t2-b1")
        clock.now += 30
        step.update(3, 7, "time fp32-s1t2-b1")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"3/7 0:00:30 about 40 s left time fp32-s1t2-b1", shown)
    assert re.search(r"done cpu: measure +30\.0 s", shown)


def test_a_terminal_step_that_fails_is_not_called_done() -> None:
    with (
        redirect_stderr(Terminal()) as terminal,
        pytest.raises(KeyboardInterrupt),
        for_stderr().step("measure"),
    ):
        raise KeyboardInterrupt
    assert "done" not in terminal.getvalue()


def test_a_note_is_shown_as_it_is() -> None:
    with redirect_stderr(Terminal()) as terminal:
        for_stderr().note("targets[0]: [bold] is no markup")
    assert "targets[0]: [bold] is no markup" in terminal.getvalue()
