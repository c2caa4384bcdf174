"""`plansmith demo`: build, serve, check, load, and the report."""

from __future__ import annotations

import signal
from argparse import ArgumentParser, Namespace
from pathlib import Path

from plansmith.verbs import given, options

OUT = Path("out")
ABOUT = "build, serve, check, load, and the report"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", nargs="?", default="efficientnet_lite0", metavar="MODEL")
    options.repository(verb)
    options.cache(verb)
    verb.add_argument("--out", type=Path, default=OUT, help=f"for the report (default: {OUT})")
    verb.add_argument("--short", action="store_true", help="shorter load runs, for a CI machine")
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """The whole way for one model, and the report; 0 only where the verdict is a pass."""
    from plansmith import demo as whole
    from plansmith import tables
    from plansmith.cache import Cache

    with_signals = signal.signal(signal.SIGTERM, given.raise_interrupt)
    try:
        done = whole.run(
            arguments.repository / arguments.model,
            Cache(root=arguments.cache),
            given.server_files(arguments.cache),
            arguments.out,
            short=arguments.short,
        )
    finally:
        signal.signal(signal.SIGTERM, with_signals)
    return tables.show_demo(done, as_json=arguments.json)
