"""Which versions a config lets the server load. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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
