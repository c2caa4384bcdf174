"""`plansmith build`: recipes to measured, published versions."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from plansmith.verbs import given, options

ABOUT = "recipes to measured, published versions"


def arguments(verb: ArgumentParser) -> None:
    verb.add_argument("models", nargs="*", metavar="MODEL", help="and what they call; if none, all")
    options.repository(verb)
    options.cache(verb)
    verb.add_argument("--target", help="all of the recipe's, if not given")
    verb.add_argument(
        "--container", metavar="RELEASE", help="NVIDIA's, whose TensorRT is to build: 26.06"
    )
    verb.add_argument("--dry-run", action="store_true", help="only tell what would run, and why")
    verb.add_argument("--force", action="store_true", help="take nothing from the cache")
    verb.add_argument(
        "--stage",
        action="store_true",
        help="no config is to name the new version: `plansmith publish` does",
    )
    options.as_json(verb)


def run(arguments: Namespace) -> int:
    """Each model's recipe to a published version; one that is current is left as it is."""
    from plansmith import build_order, dry_run, pipeline, tables
    from plansmith.cache import Cache
    from plansmith.engines import releases
    from plansmith.golden.admission import Admission
    from plansmith.measure import Plan
    from plansmith.progress import for_stderr

    if arguments.container is not None:
        # Told at once, not only by a target that makes use of it.
        releases.find(arguments.container)
    cache, progress = Cache(root=arguments.cache), for_stderr()
    folders = given.with_recipe(arguments.repository, arguments.models)
    named = bool(arguments.models)
    jobs = build_order.jobs_for(folders, arguments.target, Plan(), named=named)
    if arguments.dry_run:
        plans = {one.name: dry_run.explain(one, cache, force=arguments.force) for one in jobs}
        tables.show_plans(plans, as_json=arguments.json)
        return 0
    admission = Admission(cache)
    built = build_order.build_in_order(
        jobs,
        lambda one: pipeline.build(
            one,
            cache,
            progress,
            force=arguments.force,
            container=arguments.container,
            admission=admission,
            stage=arguments.stage,
        ),
    )
    tables.show_built(built, as_json=arguments.json)
    failures = [error for one in built for error in one.failures.values()]
    for one in built:
        for target, error in one.failures.items():
            print(f"plansmith build: {one.model}: {target}: {error}", file=sys.stderr)
    return max((error.exit_code for error in failures), default=0)
