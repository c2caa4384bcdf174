"""`plansmith infer`: one call to a served model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from plansmith.verbs import options

ABOUT = "one call to a served model"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    verb.add_argument(
        "given",
        nargs="*",
        metavar="INPUT",
        help="a picture, sound, text, .npy, .npz or .json, each a call; - for stdin; "
        "NAME=VALUE or NAME=FILE for one of several inputs",
    )
    verb.add_argument(
        "--text", action="append", default=[], dest="texts", help="a text in place of a file"
    )
    verb.add_argument("--version", type=options.positive, help="(default: the server's choice)")
    options.url(verb)
    verb.add_argument("--top", type=options.positive, default=5, help="classes shown (default: 5)")
    verb.add_argument(
        "--rate",
        type=options.positive,
        default=16_000,
        metavar="HZ",
        help="samples of sound a second that the model takes (default: 16000)",
    )
    verb.add_argument("--timeout-s", type=float, default=30.0, help="for each call (default: 30)")
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Files, values and texts to a served model, and its answers to stdout."""
    from plansmith import infer as inference
    from plansmith import tables

    answers = inference.ask(
        arguments.model,
        arguments.given,
        texts=arguments.texts,
        version=arguments.version,
        url=arguments.url,
        top=arguments.top,
        timeout_s=arguments.timeout_s,
        rate_hz=arguments.rate,
    )
    tables.show_answers(answers, as_json=arguments.json)
    return 0
