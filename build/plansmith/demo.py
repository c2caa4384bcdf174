"""The whole way: build → serve → check → call → load → report.

One model is optimised and loaded; beside it the server has every other model of the repository.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import job as jobs
from plansmith import loadtest, pipeline, report
from plansmith.cache import Cache
from plansmith.errors import UnusableInput
from plansmith.findings import Prediction, Ranked, Report
from plansmith.golden.admission import Admission
from plansmith.golden.check import check_model
from plansmith.golden.evaluation import golden_answers
from plansmith.infer import connected
from plansmith.job import Job
from plansmith.load_result import LoadResult
from plansmith.manifest import rate
from plansmith.measure import Plan
from plansmith.progress import Progress, for_stderr
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.showcase.building import build_plain
from plansmith.showcase.calls import show
from plansmith.showcase.models import check_models, servable, with_faults
from plansmith.stages.products import Golden

if TYPE_CHECKING:
    from plansmith_client import Client

CONCURRENCY = 8
# Of what the closed loop reached: busy, with room for the noise of a shared machine.
OPEN_LOOP_SHARE = 0.5
TIMEOUT_S = 30.0
SHORT_S, LONG_S = 2.0, 8.0
# A p99 with 95 % confidence takes 368 of them: see load_histogram.samples_needed.
ANSWERS = 450
TOP = 5
# What the embedded server can run.
TARGET = "cpu"
# Samples whose answers are checked: more than the version keeps, for they are at hand.
CHECKED = 300


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a demo came to, and where its report is."""

    report: Report
    html: Path
    json: Path


def run(folder: Path, cache: Cache, files: ServerFiles, out: Path, *, short: bool) -> Done:
    """Builds the model in `folder`, serves it, checks and loads it; the report is in `out`.

    The models beside it that are served as they are get built too, and whatever is published there
    is served and checked.
    """
    progress = for_stderr()
    job = jobs.prepare(folder, TARGET, Plan())
    if not isinstance(job, Job):
        raise UnusableInput(
            f"{job.name}: is served as it is, so there are no variants for the demo to show; "
            f"run `plansmith build {job.name}` and `plansmith serve`"
        )
    admission = Admission(cache)
    manifest = pipeline.built(pipeline.build(job, cache, progress, admission=admission))
    golden = pipeline.load_golden(job, cache, progress)
    repository = folder.parent
    faults = build_plain(repository, TARGET, cache, progress, admission)
    kinds = servable(repository, TARGET)
    with ExitStack() as stack:
        with progress.step("serve"):
            server = stack.enter_context(
                serving(
                    files,
                    repository,
                    TARGET,
                    free_ports(),
                    cache.root / "logs",
                    models=tuple(kinds),
                    drain=False,
                )
            )
        with connected(server.grpc_url, TIMEOUT_S) as client:
            with progress.step("check") as step:
                fidelity = manifest.on(TARGET).chosen.fidelity
                answers = golden_answers(golden, manifest.outputs[0].name, [fidelity], CHECKED)
                checked = check_model(client.model(job.name), answers, step)
                models = check_models(client, server.grpc_url, repository, TARGET, kinds, step)
            with progress.step("call"):
                predictions = predict(client, job.name, golden)
                showcase = show(client, repository, kinds, progress.note)
        expected_per_s = rate(manifest.on(TARGET).chosen)
        loads = _loads(server, job, golden, progress, expected_per_s, short=short)
        description = server.description
    with progress.step("report"):
        whole = Report(
            manifest=manifest,
            target=TARGET,
            loads=loads,
            predictions=predictions,
            served_check=checked,
            models=with_faults(models, faults),
            showcase=showcase,
            created_utc=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            server=description,
        )
        html, json = report.write(whole, out)
    return Done(report=whole, html=html, json=json)


def predict(client: Client, model: str, golden: Golden) -> tuple[Prediction, ...]:
    """The served model's best classes for each of the recipe's pictures."""
    served = client.model(model)
    predictions: list[Prediction] = []
    for (title, picture), reference in zip(
        golden.pictures.items(), golden.picture_answers, strict=True
    ):
        (ranked,) = served.classify(picture[None], top=len(reference))
        best = int(reference.argmax())
        labels = {one.index: one.label or str(one.index) for one in ranked}
        predictions.append(
            Prediction(
                title=title,
                caption="as the model sees it",
                image=picture,
                served=tuple(
                    Ranked(index=one.index, label=labels[one.index], probability=one.probability)
                    for one in ranked[:TOP]
                ),
                reference_index=best,
                reference_label=labels[best],
            )
        )
    return tuple(predictions)


def _loads(
    server: Server,
    job: Job,
    golden: Golden,
    progress: Progress,
    expected_per_s: float,
    *,
    short: bool,
) -> tuple[LoadResult, ...]:
    """As fast as it will go, one at a time and many at once; then at a steady rate it can bear.

    `expected_per_s`: about what the machine can do, so that each run is long enough for a p99.
    """

    def measure(
        name: str, per_s: float, concurrency: int | None = None, rate_per_s: float | None = None
    ) -> LoadResult:
        duration_s = max(SHORT_S if short else LONG_S, math.ceil(ANSWERS / max(per_s, 1)))
        run = loadtest.Run(
            model=job.name,
            url=server.grpc_url,
            duration_s=duration_s,
            p99_ms=job.recipe.p99_ms,
            samples=golden.evaluation.file,
            concurrency=concurrency,
            rate_per_s=rate_per_s,
        )
        with progress.step(f"load: {name}") as step:
            return loadtest.measure(run, step)

    # Half of it: the load generator needs a share of the same cores.
    one = measure("1 in flight", expected_per_s / 2, concurrency=1)
    many = measure(f"{CONCURRENCY} in flight", one.throughput_per_s, concurrency=CONCURRENCY)
    rate_per_s = max(1.0, round(many.throughput_per_s * OPEN_LOOP_SHARE))
    steady = measure(f"{rate_per_s:g} requests/s", rate_per_s, rate_per_s=rate_per_s)
    return one, many, steady
