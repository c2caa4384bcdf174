"""`plansmith top`: what a server's models do now."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import suppress

from plansmith.verbs import options

ABOUT = "what a server's models do now: rates, latencies, batches, cache hits"


def arguments(verb: ArgumentParser) -> None:
    options.url(verb)
    verb.add_argument(
        "--interval-s", type=options.seconds, default=2.0, help="between readings (default: 2)"
    )
    verb.add_argument("--count", type=options.positive, help="end after so many intervals")
    verb.add_argument("--json", action="store_true", help="a line of JSON for each interval")


def run(arguments: Namespace) -> int:
    """A live table on a terminal, where keys sort it; elsewhere a table for each interval."""
    from plansmith.live import watching

    # How it is ended as a rule.
    with suppress(KeyboardInterrupt):
        watching.watch(
            arguments.url,
            interval_s=arguments.interval_s,
            count=arguments.count,
            as_json=arguments.json,
        )
    return 0
