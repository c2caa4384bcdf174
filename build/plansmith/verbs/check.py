"""`plansmith check`: a repository against the server's own rules, without a server."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.verbs import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plansmith.rules.findings import Finding

ABOUT = "a repository against the server's own rules, without a server"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument(
        "repositories",
        nargs="*",
        type=Path,
        metavar="DIR",
        help=f"those that one server is given (default: {options.REPOSITORY})",
    )
    verb.add_argument("--fix", action="store_true", help="repair what cannot change the meaning")
    verb.add_argument(
        "--errors-only", action="store_true", help="say and count nothing of warnings"
    )
    verb.add_argument(
        "--cores", type=options.positive, help="of the machine that serves (default: this one's)"
    )
    verb.add_argument(
        "--server-version",
        type=_version,
        metavar="VERSION",
        help="of the server that serves: 2.60 (default: the embedded one's)",
    )
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """A line for each finding; 1 where one is more than a note (with --errors-only: an error)."""
    from plansmith.config.fields import OLDEST_SERVER
    from plansmith.rules.checking import check
    from plansmith.rules.facts import Place
    from plansmith.rules.repairs import repair

    roots: list[Path] = arguments.repositories or [options.REPOSITORY]
    place = Place(
        cores=arguments.cores or len(os.sched_getaffinity(0)),
        server_version=arguments.server_version or OLDEST_SERVER,
    )
    found = check(roots, place)
    if arguments.fix:
        for change in repair(found):
            print(f"fixed {change}", file=sys.stderr)
        found = check(roots, place)
    shown = [one for one in found if one.severity == "error" or not arguments.errors_only]
    _show(shown, as_json=arguments.json)
    return 1 if any(one.severity != "note" for one in shown) else 0


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    import json

    if as_json:
        told = [
            {
                "file": one.file,
                "line": one.line,
                "rule": one.rule,
                "severity": one.severity,
                "message": one.message,
                "fix": one.fix,
                "fixable": one.repair is not None,
            }
            for one in findings
        ]
        _print(json.dumps({"findings": told}, indent=2, ensure_ascii=False))
    elif findings:
        _print("\n".join(str(one) for one in findings))
    print(_summary(Counter(one.severity for one in findings)), file=sys.stderr)


def _summary(counts: Counter[str]) -> str:
    notes = [_count(counts["note"], "note")] if counts["note"] else []
    if not counts["error"] and not counts["warning"]:
        return ", ".join(["clean", *notes])
    told = [_count(counts["error"], "error"), _count(counts["warning"], "warning")]
    return ", ".join([*told, *notes])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _print(text: str) -> None:
    # The names of files may be no UTF-8.
    print(text.encode("utf-8", "backslashreplace").decode())


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", text):
        raise ArgumentTypeError(f"{text} is not a server's version like 2.51")
    return text
