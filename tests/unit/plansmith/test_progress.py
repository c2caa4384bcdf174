"""Progress: what stands on stderr while a step runs, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr

import pytest

from plansmith import progress
from plansmith.progress import PlainProgress, TerminalProgress, for_stderr


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


def test_plain_updates_come_at_most_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with PlainProgress().step("measure") as step:
        for second in range(12):
            now[0] = 100.0 + second
            step.update(second, 12, "time fp32")
        step.update(12, 12)
    _, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if "/12" in line]
    assert lines == ["measure 5/12 time fp32", "measure 10/12 time fp32"]


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
    with redirect_stderr(Terminal()) as terminal, for_stderr().step("measure") as step:
        step.update(3, 7, "time fp32-s1t2-b1")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "3/7" in shown
    assert "time fp32-s1t2-b1" in shown
    assert re.search(r"done measure +\d+\.\d s", shown)


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
