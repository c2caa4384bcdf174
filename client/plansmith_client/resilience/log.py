"""What happens to endpoints, told to `logging`, which is imported with the first thing to tell."""

from __future__ import annotations

from typing import Literal

NAME = "plansmith_client.resilience"


def tell(level: Literal["debug", "info", "warning"], message: str, *values: object) -> None:
    """Logs `message % values`; never a header or a tensor."""
    import logging

    library = logging.getLogger("plansmith_client")
    if not library.handlers:
        # Who has not set up logging is not written to on stderr, as a library has to do.
        library.addHandler(logging.NullHandler())
    getattr(logging.getLogger(NAME), level)(message, *values)
