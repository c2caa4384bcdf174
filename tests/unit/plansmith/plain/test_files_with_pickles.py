"""Files of a version are looked into when they are made: `verify` refuses what holds a pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plansmith.errors import UnusableInput
from plansmith.pipeline import Built
from plansmith.repository import ModelFolder

Build = Callable[..., Built]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("words.pt", r'b"\x80\x04N."', "'words.pt' begins as a pickle: to load a pickle runs"),
        ("words.npz", r'b"PK\x03\x04 cut off"', "'words.npz' cannot be looked into: File is not a"),
    ],
)
def test_a_file_that_verify_would_refuse_is_not_published(
    name: str, content: str, told: str, repository: Path, build_model: Build
) -> None:
    path = repository / "text" / "source.py"
    text = path.read_text().replace('"words.txt"', f'"{name}"')
    assert 'b"a b"' in text
    path.write_text(text.replace('b"a b"', content))
    failure = build_model("text").failures["cpu"]
    assert isinstance(failure, UnusableInput)
    assert told in str(failure)
    assert ModelFolder(path=repository / "text").versions() == ()
