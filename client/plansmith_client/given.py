"""What a caller gives, which is not always what a type checker would let through."""

from __future__ import annotations


def is_given_as(value: object, *kinds: type) -> bool:
    """Whether `value` is of one of `kinds`, asked where its type says that it is."""
    return isinstance(value, kinds)
