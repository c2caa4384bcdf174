"""The versions that a config's text names, without Triton's messages."""

from __future__ import annotations

import pytest

from plansmith.config.version_policy import versions_named


@pytest.mark.parametrize(
    ("config", "versions"),
    [
        ("version_policy { specific { versions: [ 7, 3 ] } }", (3, 7)),
        ("version_policy: { specific: { versions: 3 versions: 12 } }", (3, 12)),
        ("version_policy { specific { versions: [ 3,\n  # and\n  4 ] } }", (3, 4)),
        ("version_policy { specific { versions: [ ] } }", ()),
        ("version_policy { latest { num_versions: 2 } }", None),
        ("", None),
        ("no config {", None),
    ],
)
def test_all_that_the_policy_names(config: str, versions: tuple[int, ...] | None) -> None:
    assert versions_named(config) == versions


@pytest.mark.parametrize(
    "aside",
    [
        "# versions: [ 1 ] until Monday\n",
        'parameters { key: "versions: 1" }\n',
        "parameters { key: 'a \\' versions: 1' }\n",
        'name: "a#b" # versions: 1\n',
    ],
)
def test_comments_and_strings_name_none(aside: str) -> None:
    assert versions_named(aside) is None
    assert versions_named(f"{aside}version_policy {{ specific {{ versions: [ 2 ] }} }}") == (2,)
