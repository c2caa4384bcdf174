"""Arguments that several verbs take, and what their values may be."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

REPOSITORY = Path("model_repository")
CACHE = Path(".cache")
TAG = "plansmith/triton:dev"


def repository(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--repository", type=Path, default=REPOSITORY, help=f"(default: {REPOSITORY})"
    )


def cache(verb: ArgumentParser) -> None:
    verb.add_argument("--cache", type=Path, default=CACHE, help=f"(default: {CACHE})")


def ports(verb: ArgumentParser) -> None:
    for name, usual in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        verb.add_argument(f"--{name}-port", type=port, default=usual, help=f"(default: {usual})")


def url(verb: ArgumentParser) -> None:
    verb.add_argument("--url", default="localhost:8001", help="(default: localhost:8001)")


def tag(verb: ArgumentParser) -> None:
    verb.add_argument("--tag", default=TAG, help=f"(default: {TAG})")


def as_json(verb: ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="the result as JSON, for machines")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ArgumentTypeError(f"{text} is not at least 1")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text} is not a number of seconds above zero")
    return value


def port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise ArgumentTypeError(f"{text} is not a port: 1 to 65535")
    return value
