"""What the benchmarks have in common as programs."""

from __future__ import annotations

import sys
from collections.abc import Callable

from plansmith.errors import PlansmithError

EXIT_INTERRUPTED = 130


def exit_code(name: str, work: Callable[[], int]) -> int:
    """What `work` gives; for an error its code, after its message as that of the program `name`."""
    try:
        return work()
    except PlansmithError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
