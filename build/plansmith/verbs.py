"""What each verb does: a few library calls, results on stdout, and an exit code."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plansmith import tables
from plansmith.cache import Cache
from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    from plansmith.preflight import Preflight
    from plansmith.server import Ports
    from plansmith.server_files import ServerFiles
    from plansmith.verify import Verification


def build(arguments: Namespace) -> int:
    """Each model's recipe to a published version; one that is current is left as it is."""
    from plansmith import dry_run, job, pipeline
    from plansmith.engines import releases
    from plansmith.measure import Plan
    from plansmith.progress import for_stderr

    if arguments.container is not None:
        # Told at once, not only by a target that makes use of it.
        releases.find(arguments.container)
    cache, progress = Cache(root=arguments.cache), for_stderr()
    jobs = [
        job.prepare(folder, arguments.target, Plan())
        for folder in _folders(arguments.repository, arguments.models)
    ]
    if arguments.dry_run:
        plans = {one.name: dry_run.explain(one, cache, force=arguments.force) for one in jobs}
        tables.show_plans(plans, as_json=arguments.json)
        return 0
    built = [
        pipeline.build(one, cache, progress, force=arguments.force, container=arguments.container)
        for one in jobs
    ]
    tables.show_built(built, as_json=arguments.json)
    failures = [error for one in built for error in one.failures.values()]
    for one in built:
        for target, error in one.failures.items():
            print(f"plansmith build: {one.model}: {target}: {error}", file=sys.stderr)
    return max((error.exit_code for error in failures), default=0)


def preflight(arguments: Namespace) -> int:
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
    folders = _published(arguments.repository, arguments.models)
    return _show(check(folders, arguments.target, there), as_json=arguments.json)


def verify(arguments: Namespace) -> int:
    """Every file that is not as it was published; 1 where there is one."""
    from plansmith.verify import verify as check

    folders = _published(arguments.repository, arguments.models)
    return _show(check(folders), as_json=arguments.json)


def serve(arguments: Namespace) -> int:
    """The embedded server in the foreground until SIGTERM or Ctrl-C, which both end it cleanly."""
    from plansmith.repository import check_published
    from plansmith.server import serving

    try:
        # Both, and by name: a shell starts background jobs with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _raise_interrupt)
        check_published(arguments.repository, arguments.target)
        files, ports = _server_files(arguments.cache), _chosen_ports(arguments)
        logs = arguments.cache / "logs"
        with serving(files, arguments.repository, arguments.target, ports, logs) as server:
            tables.show_ready(server, arguments.repository, as_json=arguments.json)
            server.wait()
    except KeyboardInterrupt:
        return 0
    return 1


def infer(arguments: Namespace) -> int:
    """Files to a served model and its answers to stdout."""
    from plansmith import infer as inference

    answers = inference.ask(
        arguments.model,
        arguments.files,
        url=arguments.url,
        top=arguments.top,
        timeout_s=arguments.timeout_s,
    )
    tables.show_answers(answers, as_json=arguments.json)
    return 0


def load(arguments: Namespace) -> int:
    """A load run by Locust; its verdict is the exit code."""
    from plansmith import loadtest, pipeline
    from plansmith.job import prepare
    from plansmith.measure import Plan

    folder = arguments.repository / arguments.model
    p99_ms, samples = arguments.p99_ms, arguments.input
    # Only a model of ours has a recipe; any server's model can be loaded with --p99-ms.
    if p99_ms is None or (samples is None and folder.is_dir()):
        job = prepare(folder, None, Plan())
        p99_ms = job.recipe.p99_ms if p99_ms is None else p99_ms
        samples = samples or pipeline.find_samples(job, Cache(root=arguments.cache))
    run = loadtest.Run(
        model=arguments.model,
        url=arguments.url,
        concurrency=arguments.concurrency or (None if arguments.rate else 16),
        rate_per_s=arguments.rate,
        duration_s=arguments.duration_s,
        p99_ms=p99_ms,
        samples=samples,
    )
    return loadtest.start(run, arguments.json)


def demo(arguments: Namespace) -> int:
    """The whole way for one model, and the report; 0 only where the verdict is a pass."""
    from plansmith import demo as whole

    with_signals = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        done = whole.run(
            arguments.repository / arguments.model,
            Cache(root=arguments.cache),
            _server_files(arguments.cache),
            arguments.out,
            short=arguments.short,
        )
    finally:
        signal.signal(signal.SIGTERM, with_signals)
    return tables.show_demo(done, as_json=arguments.json)


def image(arguments: Namespace) -> int:
    """The repository inside a container image."""
    from plansmith import places
    from plansmith.container import build_image

    build_image(places.PROJECT, arguments.tag, arguments.repository, config_name=arguments.target)
    return 0


def up(arguments: Namespace) -> int:
    """The container image in the foreground."""
    from plansmith.container import run_image

    run_image(
        arguments.tag,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
    )
    return 0


def _folders(repository: Path, models: list[str]) -> list[Path]:
    if models:
        return [repository / name for name in models]
    folders = sorted(path.parent for path in repository.glob("*/recipe.toml"))
    if not folders:
        raise UnusableInput(f"{repository}: no model has a recipe there (MODEL/recipe.toml)")
    return folders


def _published(repository: Path, models: list[str]) -> list[Path]:
    """The folders of `models`, or of all that a server would load: a recipe is not needed."""
    if not repository.is_dir():
        raise UnusableInput(f"{repository}: no such folder; run `plansmith build`")
    there = sorted(m for m in repository.iterdir() if m.is_dir() and not m.name.startswith("."))
    if not there:
        raise UnusableInput(f"{repository}: no model in it; run `plansmith build`")
    wanted = [repository / name for name in dict.fromkeys(models)] if models else there
    known = ", ".join(folder.name for folder in there)
    missing = [f"{one}: no such model; there are {known}" for one in wanted if not one.is_dir()]
    if missing:
        raise UnusableInput("\n".join(missing))
    return wanted


def _show(found: Preflight | Verification, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        print("\n".join(found.lines()))
    return 0 if found.is_fine else 1


def _server_files(cache: Path) -> ServerFiles:
    from plansmith import places
    from plansmith.server_files import assemble, find_environment

    return assemble(find_environment(), places.backends(), Cache(root=cache))


def _chosen_ports(arguments: Namespace) -> Ports:
    from plansmith.server import Ports

    return Ports(http=arguments.http_port, grpc=arguments.grpc_port, metrics=arguments.metrics_port)


def _raise_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
