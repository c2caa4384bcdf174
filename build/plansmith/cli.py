"""`plansmith VERB`: arguments in, exit code out. No heavy import before the verb is known."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from plansmith.errors import PlansmithError
from plansmith.extras import missing_module

EXIT_INTERRUPTED = 130
REPOSITORY = Path("model_repository")
CACHE = Path(".cache")
OUT = Path("out")
TAG = "plansmith/triton:dev"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; its exit code. A user's mistake is one message, never a traceback."""
    arguments = parser().parse_args(argv)
    try:
        return _run(arguments.verb)(arguments)
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


def _run(verb: str) -> Callable[[argparse.Namespace], int]:
    from plansmith import verbs

    return getattr(verbs, verb)


def parser() -> argparse.ArgumentParser:
    """All verbs and their arguments."""
    top = argparse.ArgumentParser(
        prog="plansmith",
        description="Trained model in, measured and deployable Triton model repository out.",
        epilog="exit codes: 0 fine, 1 something was found or failed, 2 unusable input, "
        "3 this machine lacks something, 4 too noisy to tell, 130 interrupted",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _build(_verb(verbs, "build", "recipes to measured, published versions"))
    _preflight(_verb(verbs, "preflight", "whether the engines will load where they are to run"))
    _verify(_verb(verbs, "verify", "whether published files are as they were built"))
    _serve(_verb(verbs, "serve", "a real Triton on this machine, for development"))
    _infer(_verb(verbs, "infer", "one call to a served model"))
    _load(_verb(verbs, "load", "a load test with a verdict"))
    _demo(_verb(verbs, "demo", "build, serve, check, load, and the report"))
    _image(_verb(verbs, "image", "a container image that serves the repository"))
    _up(_verb(verbs, "up", "that image, running in the foreground"))
    return top


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _build(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all with a recipe, if none")
    _repository(verb)
    _cache(verb)
    verb.add_argument("--target", help="all of the recipe's, if not given")
    verb.add_argument(
        "--container", metavar="RELEASE", help="NVIDIA's, whose TensorRT is to build: 26.06"
    )
    verb.add_argument("--dry-run", action="store_true", help="only tell what would run, and why")
    verb.add_argument("--force", action="store_true", help="take nothing from the cache")
    _json(verb)


def _preflight(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all in the repository, if none")
    _repository(verb)
    verb.add_argument("--target", required=True, choices=("tensorrt", "tensorrt-rtx"))
    place = verb.add_argument_group(
        "where they are to run", "what is not given is taken from this machine, as far as it tells"
    )
    place.add_argument("--compute-capability", type=_capability, help="the GPU's: 8.6")
    place.add_argument("--driver", type=_version, help="NVIDIA's: 580.65")
    place.add_argument("--container", metavar="RELEASE", help="NVIDIA's release: 26.06")
    place.add_argument("--tensorrt", type=_version, metavar="VERSION")
    place.add_argument("--tensorrt-rtx", type=_version, metavar="VERSION")
    _json(verb)


def _verify(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="all in the repository, if none")
    _repository(verb)
    _json(verb)


def _serve(verb: argparse.ArgumentParser) -> None:
    _repository(verb)
    _cache(verb)
    verb.add_argument("--target", default="cpu", help="serve configs/TARGET.pbtxt (default: cpu)")
    _ports(verb)
    _json(verb)


def _infer(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    verb.add_argument("files", nargs="+", metavar="FILE", type=Path, help="a picture, or an .npy")
    _url(verb)
    verb.add_argument("--top", type=_positive, default=5, help="classes shown (default: 5)")
    verb.add_argument("--timeout-s", type=float, default=30.0, help="for each call (default: 30)")
    _json(verb)


def _load(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    how = verb.add_mutually_exclusive_group()
    how.add_argument("--concurrency", type=_positive, help="closed loop (default: 16)")
    how.add_argument("--rate", type=float, help="open loop, requests per second")
    verb.add_argument("--duration-s", type=float, default=10.0, help="(default: 10)")
    verb.add_argument("--p99-ms", type=float, help="the SLO; the recipe's, if not given")
    verb.add_argument("--input", type=Path, help="samples (.npz, .npy); the build's, if not given")
    _url(verb)
    _repository(verb)
    _cache(verb)
    verb.add_argument("--json", type=Path, metavar="FILE", help="where to write the result")


def _demo(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("model", nargs="?", default="efficientnet_lite0", metavar="MODEL")
    _repository(verb)
    _cache(verb)
    verb.add_argument("--out", type=Path, default=OUT, help=f"for the report (default: {OUT})")
    verb.add_argument("--short", action="store_true", help="shorter load runs, for a CI machine")
    _json(verb)


def _image(verb: argparse.ArgumentParser) -> None:
    _repository(verb)
    _cache(verb)
    _tag(verb)
    verb.add_argument("--target", default="cpu", help="serve configs/TARGET.pbtxt (default: cpu)")


def _up(verb: argparse.ArgumentParser) -> None:
    _tag(verb)
    _ports(verb)


def _repository(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--repository", type=Path, default=REPOSITORY, help=f"(default: {REPOSITORY})"
    )


def _cache(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--cache", type=Path, default=CACHE, help=f"(default: {CACHE})")


def _ports(verb: argparse.ArgumentParser) -> None:
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        verb.add_argument(f"--{name}-port", type=_port, default=port, help=f"(default: {port})")


def _url(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--url", default="localhost:8001", help="(default: localhost:8001)")


def _tag(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--tag", default=TAG, help=f"(default: {TAG})")


def _json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="the result as JSON, for machines")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _capability(text: str) -> str:
    if not re.fullmatch(r"\d{1,2}\.\d", text):
        raise argparse.ArgumentTypeError(f"{text} is not a compute capability like 8.6")
    return text


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text} is not a version: numbers and dots")
    return text


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 1 to 65535")
    return value
