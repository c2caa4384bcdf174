"""What becomes of shared memory, told to `logging`, which is imported with the first to tell."""

from __future__ import annotations

NAME = "plansmith_client.memory"


def tell(message: str, *values: object) -> None:
    """Logs `message % values` for whoever looks for it; never a tensor."""
    import logging

    logging.getLogger(NAME).debug(message, *values)
