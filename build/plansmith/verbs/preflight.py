"""`plansmith preflight`: whether the engines will load where they are to run."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from plansmith.verbs import given, options

ABOUT = "whether the engines will load where they are to run"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all in the repository, if none")
    options.repository(verb)
    verb.add_argument("--target", required=True, choices=("tensorrt", "tensorrt-rtx"))
    place = verb.add_argument_group(
        "where they are to run", "what is not given is taken from this machine, as far as it tells"
    )
    place.add_argument("--compute-capability", type=_capability, help="the GPU's: 8.6")
    place.add_argument("--driver", type=_version, help="NVIDIA's: 580.65")
    place.add_argument("--container", metavar="RELEASE", help="NVIDIA's release: 26.06")
    place.add_argument("--tensorrt", type=_version, metavar="VERSION")
    place.add_argument("--tensorrt-rtx", type=_version, metavar="VERSION")
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Every reason why an engine would not load in the place described; 1 where there is one."""
    from plansmith.preflight import describe_place
    from plansmith.preflight import preflight as check

    there = describe_place(
        compute_capability=arguments.compute_capability,
        driver=arguments.driver,
        container=arguments.container,
        tensorrt_version=arguments.tensorrt,
        tensorrt_rtx_version=arguments.tensorrt_rtx,
    )
    folders = given.published(arguments.repository, arguments.models)
    return given.show(check(folders, arguments.target, there), as_json=arguments.json)


def _capability(text: str) -> str:
    if not re.fullmatch(r"\d{1,2}\.\d", text):
        raise ArgumentTypeError(f"{text} is not a compute capability like 8.6")
    return text


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise ArgumentTypeError(f"{text} is not a version: numbers and dots")
    return text
