"""`plansmith models`: what a server has, and what of it is ready."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options

ABOUT = "what a server has: models, versions, states, inputs, outputs, counts"
TIMEOUT_S = 30.0


def arguments(verb: ArgumentParser) -> None:
    options.url(verb)
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """A table of the server's models; why those that are not ready are not."""
    from plansmith.infer import connected
    from plansmith.live import listing

    with connected(arguments.url, TIMEOUT_S) as client:
        found = listing.served_models(client)
    if arguments.json:
        given.print_json(found)
    else:
        listing.show(found)
    return 0
