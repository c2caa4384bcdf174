"""`plansmith image`: a container image that serves the repository."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import options

ABOUT = "a container image that serves the repository"


def arguments(verb: ArgumentParser) -> None:
    options.repository(verb)
    options.cache(verb)
    options.tag(verb)
    verb.add_argument("--target", default="cpu", help="serve configs/TARGET.pbtxt (default: cpu)")


def run(arguments: Namespace) -> int:
    """The repository inside a container image."""
    from plansmith import places
    from plansmith.container import build_image

    build_image(places.PROJECT, arguments.tag, arguments.repository, config_name=arguments.target)
    return 0
