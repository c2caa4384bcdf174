"""`plansmith verify`: whether published files are as they were built and signed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options, signatures

ABOUT = "whether published files are as they were built and signed"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all in the repository, if none")
    options.repository(verb)
    signatures.demand_options(verb)
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Every file that is not as it was published; 1 where there is one."""
    from plansmith.verify import verify as check

    demand = signatures.demand(arguments)
    folders = given.published(arguments.repository, arguments.models)
    return given.show(check(folders, demand), as_json=arguments.json)
