"""`plansmith serve`: a real Triton on this machine, for development."""

from __future__ import annotations

import signal
from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options, signatures

# For one answer of one model.
TIMEOUT_S = 60.0
ABOUT = "a real Triton on this machine, for development"


def arguments(verb: ArgumentParser) -> None:
    options.repository(verb)
    options.cache(verb)
    verb.add_argument("--target", default="cpu", help="serve configs/TARGET.pbtxt (default: cpu)")
    options.ports(verb)
    verb.add_argument(
        "--control",
        action="store_true",
        help="let callers on this machine load models, as `plansmith publish --url` does",
    )
    signatures.demand_options(verb)
    verb.add_argument(
        "--check", action="store_true", help="ask for every version's golden answers first"
    )
    verb.add_argument(
        "--url",
        metavar="HOST:PORT",
        help="with --check: start no server, ask the one with this gRPC port",
    )
    verb.add_argument(
        "--no-verify", action="store_true", help="serve files that are not as they were published"
    )
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """The embedded server in the foreground until SIGTERM or Ctrl-C, which both end it cleanly.

    With --check it goes on only if all golden answers are given; with --url that is all it does.
    """
    from plansmith import tables
    from plansmith.errors import UnusableInput
    from plansmith.published import check_published
    from plansmith.server import serving

    try:
        # Both, and by name: a shell starts background jobs with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, given.raise_interrupt)
        if arguments.url is not None and not arguments.check:
            raise UnusableInput("--url is for --check: it names a server that is not started here")
        check_published(arguments.repository, arguments.target)
        if arguments.url is not None:
            return _check(arguments, arguments.url)
        signatures.verify_before_serving(arguments)
        files, ports = given.server_files(arguments.cache), given.chosen_ports(arguments)
        logs = arguments.cache / "logs"
        with serving(
            files,
            arguments.repository,
            arguments.target,
            ports,
            logs,
            control=arguments.control,
        ) as server:
            if arguments.check and (failed := _check(arguments, server.grpc_url)):
                return failed
            tables.show_ready(server, arguments.repository, as_json=arguments.json)
            server.wait()
    except KeyboardInterrupt:
        return 0
    return 1


def _check(arguments: Namespace, url: str) -> int:
    """Golden answers of the server at `url`, and a table of them; 0 where all are given, else 1."""
    import msgspec

    from plansmith.golden.served import check_repository
    from plansmith.infer import connected
    from plansmith.progress import for_stderr

    # A gRPC port, whatever its number: the client would take 8000 alone for HTTP.
    asked = url if "://" in url else f"grpc://{url}"
    with connected(asked, TIMEOUT_S) as client, for_stderr().step("check") as step:
        found = check_repository(client, url, arguments.repository, arguments.target, step)
    # One line for machines: that of the ready server comes after it.
    text = msgspec.json.encode(found).decode() if arguments.json else "\n".join(found.lines())
    print(text, flush=True)
    return 0 if found.is_fine else 1
