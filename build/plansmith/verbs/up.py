"""`plansmith up`: that image, running in the foreground."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import options

ABOUT = "that image, running in the foreground"


def arguments(verb: ArgumentParser) -> None:
    options.tag(verb)
    options.ports(verb)


def run(arguments: Namespace) -> int:
    """The container image in the foreground."""
    from plansmith.container import run_image

    run_image(
        arguments.tag,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
    )
    return 0
