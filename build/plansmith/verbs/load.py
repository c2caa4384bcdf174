"""`plansmith load`: a load test with a verdict."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from plansmith.errors import UnusableInput
from plansmith.verbs import options

ABOUT = "a load test with a verdict"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("model", metavar="MODEL")
    how = verb.add_mutually_exclusive_group()
    how.add_argument("--concurrency", type=options.positive, help="closed loop (default: 16)")
    how.add_argument("--rate", type=float, help="open loop, requests per second")
    verb.add_argument("--duration-s", type=float, default=10.0, help="(default: 10)")
    verb.add_argument("--p99-ms", type=float, help="the SLO; the recipe's, if not given")
    verb.add_argument("--input", type=Path, help="samples (.npz, .npy); the build's, if not given")
    options.url(verb)
    options.repository(verb)
    options.cache(verb)
    verb.add_argument("--json", type=Path, metavar="FILE", help="where to write the result")


def run(arguments: Namespace) -> int:
    """A load run by Locust; its verdict is the exit code."""
    from plansmith import loadtest, pipeline
    from plansmith.cache import Cache
    from plansmith.job import prepare
    from plansmith.measure import Plan
    from plansmith.plain.job import PlainJob

    folder = arguments.repository / arguments.model
    p99_ms, samples = arguments.p99_ms, arguments.input
    # Only a model of ours has a recipe; any server's model can be loaded with --p99-ms.
    if p99_ms is None or (samples is None and folder.is_dir()):
        job = prepare(folder, None, Plan())
        if isinstance(job, PlainJob) and job.why_not_loaded:
            raise UnusableInput(f"{job.name}: {job.why_not_loaded}")
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
