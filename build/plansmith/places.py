"""Where the files are that come with this package but are not Python modules of it.

In a checkout they are in the project's own folders; a wheel carries copies inside the package.
"""

from __future__ import annotations

from pathlib import Path

from plansmith.errors import LacksSomething

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parents[1]


def backends() -> Path:
    """The folder of Triton backends written in Python."""
    return _first(PROJECT / "deploy" / "backends", PACKAGE / "backends")


def locustfile() -> Path:
    """What Locust is started with."""
    return _first(PROJECT / "loadtests" / "locustfile.py", PACKAGE / "loadtests" / "locustfile.py")


def _first(*places: Path) -> Path:
    for place in places:
        if place.exists():
            return place
    raise LacksSomething(f"{places[0]}: not there; install plansmith from its checkout again")
