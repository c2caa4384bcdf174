"""`plansmith rollback`: the version before, or another, served again as it was."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options, publish, signatures

ABOUT = "the version before, or another, served again as it was"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    options.repository(verb)
    verb.add_argument(
        "--to", type=options.positive, metavar="N", help="(default: the one served before)"
    )
    publish.control_options(verb)
    signatures.demand_options(verb)
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """The version that is served now; its files are looked at first."""
    from contextlib import ExitStack

    from plansmith.repository import ModelFolder
    from plansmith.versions import promotion
    from plansmith.versions.control import ModelControl
    from plansmith.versions.disk import locked

    (path,) = given.published(arguments.repository, [arguments.model])
    folder, demand = ModelFolder(path=path), signatures.demand(arguments)
    with locked(path), ExitStack() as stack:
        control = stack.enter_context(ModelControl(arguments.url)) if arguments.url else None
        version = arguments.to or promotion.previous(folder)
        texts = promotion.check(folder, version, demand)
        promoted = promotion.promote(
            folder, version, texts, control, kind="rolled back", reason=arguments.reason
        )
    return publish.show(promoted, None, as_json=arguments.json)
