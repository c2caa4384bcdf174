"""What a library says is not heard; what it raises is told as ours."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from plansmith.compress.quiet import silenced
from plansmith.errors import PlansmithError, UnusableInput


def test_nothing_is_printed_logged_or_warned_of(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with silenced("it failed"):
        print("to stdout")
        print("to stderr", file=sys.stderr)
        logging.getLogger("a library").error("logged")
        warnings.warn("warned", stacklevel=1)  # an error, were it heard
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_afterwards_all_is_heard_again(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with silenced("it failed"):
        pass
    print("to stdout")
    logging.getLogger("a library").error("logged")
    assert capsys.readouterr().out == "to stdout\n"
    assert [record.message for record in caplog.records] == ["logged"]


def test_a_library_s_error_says_what_failed() -> None:
    message = r"^it failed: ValueError: why$"
    with pytest.raises(PlansmithError, match=message), silenced("it failed"):
        raise ValueError("why")


@pytest.mark.parametrize("error", [UnusableInput("ours"), ModuleNotFoundError("missing")])
def test_what_has_its_own_message_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, silenced("it failed"):
        raise error
    assert raised.value is error
