"""An interrupt of any verb is one line."""

from __future__ import annotations

import pytest

from command_line import Command


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["verify"], "plansmith.verify.verify"),
        (["preflight", "--target", "tensorrt-rtx"], "plansmith.preflight.preflight"),
        (["build"], "plansmith.pipeline.build"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_an_interrupt_is_one_line_and_its_own_exit_code(
    run: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], step: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupt)
    told = run(*arguments)
    assert (told.code, told.out) == (130, [])
    assert told.err == [f"plansmith {arguments[0]}: interrupted; what was finished is kept"]
