"""Which versions a config lets the server load. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Triton's version_policy { specific { versions: [ 3 ] } }; without one it serves the latest.
_VERSIONS = re.compile(r"\bversions\s*:\s*(\d+|\[[^\]]*\])")
# What only looks like it: comments and strings.
_ASIDE = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""")


def versions_named(config: str) -> tuple[int, ...] | None:
    """The versions of the text's version policy, ascending; None where it names none.

    Without Triton's messages, which take long to import, and of a config that is none, too.
    """
    named = _VERSIONS.findall(_ASIDE.sub(" ", config))
    numbers = {int(number) for one in named for number in re.findall(r"\d+", one)}
    return tuple(sorted(numbers)) if named else None


def loaded_versions(config: Any, there: Sequence[int]) -> tuple[int, ...]:
    """Those of the versions `there` (ascending) that the policy of `config`, a message, takes.

    The newest one without a policy; none of a `latest` without `num_versions`, which is 0.
    """
    policy = config.version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return tuple(there)
    if choice == "specific":
        return tuple(version for version in there if version in policy.specific.versions)
    count = int(policy.latest.num_versions) if choice == "latest" else 1
    return tuple(there[-count:]) if count > 0 else ()
