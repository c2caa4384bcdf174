"""`plansmith VERB`: arguments in, exit code out. No heavy import before the verb is known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType

from plansmith.errors import PlansmithError
from plansmith.extras import missing_module
from plansmith.verbs import (
    build,
    check,
    demo,
    history,
    image,
    infer,
    load,
    models,
    preflight,
    publish,
    rollback,
    serve,
    sign,
    top,
    up,
    verify,
)

EXIT_INTERRUPTED = 130
# In the order of `plansmith --help`.
VERBS: Mapping[str, ModuleType] = MappingProxyType(
    {
        "build": build,
        "check": check,
        "preflight": preflight,
        "sign": sign,
        "verify": verify,
        "publish": publish,
        "rollback": rollback,
        "history": history,
        "serve": serve,
        "infer": infer,
        "models": models,
        "top": top,
        "load": load,
        "demo": demo,
        "image": image,
        "up": up,
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; its exit code. A user's mistake is one message, never a traceback."""
    arguments = parser().parse_args(argv)
    try:
        return VERBS[arguments.verb].run(arguments)
    except PlansmithError as error:
        print(f"plansmith {arguments.verb}: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        lacks = missing_module(error)
        if lacks is None:
            raise
        print(f"plansmith {arguments.verb}: {lacks}", file=sys.stderr)
        return lacks.exit_code
    except KeyboardInterrupt:
        print(
            f"plansmith {arguments.verb}: interrupted; what was finished is kept", file=sys.stderr
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, for instance `head`.
        sys.stderr.close()
        return 1


def parser() -> argparse.ArgumentParser:
    """All verbs and their arguments."""
    program = argparse.ArgumentParser(
        prog="plansmith",
        description="Trained model in, measured and deployable Triton model repository out.",
        epilog="exit codes: 0 fine, 1 something was found or failed, 2 unusable input, "
        "3 this machine lacks something, 4 too noisy to tell, 130 interrupted",
    )
    verbs = program.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        about = f"{verb.ABOUT[0].upper()}{verb.ABOUT[1:]}."
        verb.arguments(verbs.add_parser(name, help=verb.ABOUT, description=about))
    return program
