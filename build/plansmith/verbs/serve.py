"""`plansmith serve`: a real Triton on this machine, for development."""

from __future__ import annotations

import signal
from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options

ABOUT = "a real Triton on this machine, for development"


def arguments(verb: ArgumentParser) -> None:
    options.repository(verb)
    options.cache(verb)
    verb.add_argument("--target", default="cpu", help="serve configs/TARGET.pbtxt (default: cpu)")
    options.ports(verb)
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """The embedded server in the foreground until SIGTERM or Ctrl-C, which both end it cleanly."""
    from plansmith import tables
    from plansmith.repository import check_published
    from plansmith.server import serving

    try:
        # Both, and by name: a shell starts background jobs with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, given.raise_interrupt)
        check_published(arguments.repository, arguments.target)
        files, ports = given.server_files(arguments.cache), given.chosen_ports(arguments)
        logs = arguments.cache / "logs"
        with serving(files, arguments.repository, arguments.target, ports, logs) as server:
            tables.show_ready(server, arguments.repository, as_json=arguments.json)
            server.wait()
    except KeyboardInterrupt:
        return 0
    return 1
