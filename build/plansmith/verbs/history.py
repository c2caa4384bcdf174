"""`plansmith history`: a model's versions, why each was chosen, and what became of it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options

ABOUT = "a model's versions, why each was chosen, and what became of it"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    options.repository(verb)
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Versions and events, newest first."""
    from plansmith.repository import ModelFolder
    from plansmith.versions import history

    (path,) = given.published(arguments.repository, [arguments.model])
    found = history.of(ModelFolder(path=path))
    if arguments.json:
        given.print_json(found)
    else:
        print("\n".join(history.lines(found)))
    return 0
