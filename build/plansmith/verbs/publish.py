"""`plansmith publish`: a version into the configs and a running server; compared first if asked."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.verbs import given, options, signatures

if TYPE_CHECKING:
    from plansmith.repository import ModelFolder
    from plansmith.versions.comparison import Comparison
    from plansmith.versions.control import ModelControl
    from plansmith.versions.promotion import Promoted
    from plansmith.versions.requests import Replay, Sameness

ABOUT = "a version into the configs and a running server, without a gap"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    options.repository(verb)
    options.cache(verb)
    verb.add_argument(
        "--version", type=options.positive, metavar="N", help="(default: the newest complete one)"
    )
    control_options(verb)
    way = verb.add_mutually_exclusive_group()
    way.add_argument(
        "--shadow", action="store_true", help="first replay every request to both versions"
    )
    way.add_argument(
        "--canary", type=_half, metavar="SHARE", help="first replay a growing share, from 0.1 say"
    )
    _comparison_options(verb)
    signatures.demand_options(verb)
    options.as_json(verb)


def control_options(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--url", metavar="HOST:PORT", help="of the running server, such as localhost:8001"
    )
    verb.add_argument("--reason", default="", help="for the history")


def _comparison_options(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--requests",
        metavar="FILE",
        help="an .npz of recorded requests, or 'golden' (default: the evaluation data that the "
        "build left in the cache, else golden answers)",
    )
    verb.add_argument("--target", default="cpu", help="what the server runs on (default: cpu)")
    verb.add_argument(
        "--count", type=_count, default=600, help="requests of each step (default: 600)"
    )
    verb.add_argument(
        "--concurrency", type=options.positive, default=2, help="requests at a time (default: 2)"
    )
    verb.add_argument(
        "--max-drift", type=_share, metavar="SHARE", help="of answers (default: the budget's)"
    )
    verb.add_argument(
        "--max-errors", type=_share, default=0.01, metavar="SHARE", help="(default: 0.01)"
    )
    verb.add_argument(
        "--max-slowdown", type=_ratio, default=1.1, metavar="RATIO", help="(default: 1.1)"
    )
    verb.add_argument(
        "--accept-not-proven",
        action="store_true",
        help="publish where requests are too few to tell",
    )


def run(arguments: Namespace) -> int:
    """The version that is served now; 1 where a comparison kept it from being served."""
    from contextlib import ExitStack

    from plansmith.errors import UnusableInput
    from plansmith.repository import ModelFolder
    from plansmith.versions import promotion
    from plansmith.versions.control import ModelControl
    from plansmith.versions.disk import locked

    compares = arguments.shadow or arguments.canary is not None
    if compares and arguments.url is None:
        raise UnusableInput(
            "--shadow and --canary need --url: which server is it to be compared on?"
        )
    (path,) = given.published(arguments.repository, [arguments.model])
    folder, demand = ModelFolder(path=path), signatures.demand(arguments)
    with locked(path), ExitStack() as stack:
        control = stack.enter_context(ModelControl(arguments.url)) if arguments.url else None
        version = arguments.version or promotion.newest(folder)
        texts = promotion.check(folder, version, demand)
        found = None
        if control is not None and compares:
            found = _compare(arguments, control, folder, version)
            if not _is_let_through(found, arguments):
                return _refuse(arguments, control, folder, version, found)
        promoted = promotion.promote(
            folder,
            version,
            texts,
            control,
            kind="served",
            reason=arguments.reason,
            figures=found.figures if found else (),
        )
    return show(promoted, found, as_json=arguments.json)


def _is_let_through(found: Comparison, arguments: Namespace) -> bool:
    return found.verdict == "pass" or (
        found.verdict == "not proven" and arguments.accept_not_proven
    )


def _compare(
    arguments: Namespace, control: ModelControl, folder: ModelFolder, version: int
) -> Comparison:
    from plansmith.infer import connected
    from plansmith.versions import trial
    from plansmith.versions.comparison import Limits
    from plansmith.versions.replay import Pace
    from plansmith.versions.requests import thinned

    manifest = folder.manifest(version)
    budget = manifest.budget
    drift = arguments.max_drift
    if drift is None:
        drift = budget.max_drop if budget else 0.01
    requests, sameness = _requests(arguments, folder, version)
    plan = trial.Plan(
        pace=Pace(count=arguments.count, concurrency=arguments.concurrency),
        limits=Limits(
            max_drift=drift,
            max_errors=arguments.max_errors,
            max_slowdown=arguments.max_slowdown,
        ),
        sameness=sameness,
        share=arguments.canary,
    )
    with connected(arguments.url, 30.0) as client:
        return trial.run(
            control,
            client,
            folder,
            version,
            arguments.target,
            thinned(requests, arguments.count),
            plan,
            lambda line: print(line, file=sys.stderr),
        )


def _requests(arguments: Namespace, folder: ModelFolder, version: int) -> tuple[Replay, Sameness]:
    from plansmith.versions import sources

    found = sources.sameness(folder, version)
    if arguments.requests not in (None, "golden"):
        return sources.recorded(Path(arguments.requests), folder, version), found
    if arguments.requests is None:
        evaluation = sources.evaluation(folder, arguments.cache, version)
        if evaluation is not None:
            return evaluation, found
    return sources.golden(folder, version), found


def _refuse(
    arguments: Namespace,
    control: ModelControl,
    folder: ModelFolder,
    version: int,
    found: Comparison,
) -> int:
    from plansmith.versions import promotion

    served = max(control.versions(arguments.model), default=version)
    reason = f"{found.way}: {found.verdict}"
    promotion.refuse(folder, version, served, reason=reason, figures=found.figures)
    if arguments.json:
        told = {"published": None, "refused": version, "served": served, "comparison": found}
        given.print_json(told)
    else:
        print("\n".join(found.figures))
    hint = ""
    if found.verdict == "not proven":
        hint = "; more requests (--requests, --count) may tell, --accept-not-proven publishes it"
    print(
        f"plansmith publish: {arguments.model} version {version} is not published, version "
        f"{served} goes on answering: {reason}{hint}",
        file=sys.stderr,
    )
    return 1


def show(promoted: Promoted, found: Comparison | None, *, as_json: bool) -> int:
    """What is served now, and the figures of the comparison before it; 0."""
    if as_json:
        given.print_json({"published": promoted, "comparison": found})
        return 0
    if found is not None:
        print("\n".join(found.figures))
    print(promoted.line())
    return 0


def _share(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is not a number") from error


def _half(text: str) -> float:
    value = _share(text)
    if value > 0.5:
        raise ArgumentTypeError(f"{text} is above 0.5: the share to begin with is a small one")
    return value


def _ratio(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text} is not a ratio above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise ArgumentTypeError(f"{text} is not a whole number from 2 up")
    return int(text)
