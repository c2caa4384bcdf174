"""`plansmith infer`: one call to a served model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from plansmith.verbs import options

ABOUT = "one call to a served model"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    verb.add_argument("files", nargs="+", metavar="FILE", type=Path, help="a picture, or an .npy")
    options.url(verb)
    verb.add_argument("--top", type=options.positive, default=5, help="classes shown (default: 5)")
    verb.add_argument("--timeout-s", type=float, default=30.0, help="for each call (default: 30)")
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Files to a served model and its answers to stdout."""
    from plansmith import infer as inference
    from plansmith import tables

    answers = inference.ask(
        arguments.model,
        arguments.files,
        url=arguments.url,
        top=arguments.top,
        timeout_s=arguments.timeout_s,
    )
    tables.show_answers(answers, as_json=arguments.json)
    return 0
