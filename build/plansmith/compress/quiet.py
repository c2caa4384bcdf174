"""Libraries that print, log and warn, kept from doing so: stdout is for results alone."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from plansmith.errors import PlansmithError


@contextmanager
def silenced(failure: str) -> Generator[None, None, None]:
    """While it lasts nothing is printed, logged or warned of by Python code.

    What a library raises comes out as PlansmithError that begins with `failure`; a module that is
    missing stays ModuleNotFoundError. Process-wide, hence not for use beside threads that print.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    except (PlansmithError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise PlansmithError(f"{failure}: {type(error).__name__}: {error}") from error
    finally:
        logging.disable(before)
