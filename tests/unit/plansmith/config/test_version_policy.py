"""The versions that a config's policy lets the server load."""

from __future__ import annotations

import pytest

from plansmith.config.parsing import parse
from plansmith.config.version_policy import loaded_versions


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [
        ("", (7,)),
        ("version_policy { }", (7,)),
        ("version_policy { all { } }", (2, 3, 7)),
        ("version_policy { latest { num_versions: 2 } }", (3, 7)),
        ("version_policy { latest { num_versions: 9 } }", (2, 3, 7)),
        # What is not written is 0 in the message; the server finds nothing to load.
        ("version_policy { latest { } }", ()),
        ("version_policy { specific { versions: [ 7, 2, 5 ] } }", (2, 7)),
    ],
)
def test_of_the_versions_that_are_there(policy: str, loaded: tuple[int, ...]) -> None:
    message = parse(policy, "config.pbtxt").message
    assert loaded_versions(message, (2, 3, 7)) == loaded
