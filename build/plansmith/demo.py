"""The whole way for one model: build → serve → check → load → report."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith import job as jobs
from plansmith import loadtest, pipeline, report
from plansmith.cache import Cache
from plansmith.golden import check_served
from plansmith.infer import connected
from plansmith.job import Job
from plansmith.load_result import LoadResult
from plansmith.measure import Plan
from plansmith.progress import Progress, for_stderr
from plansmith.report import Prediction, Ranked, Report
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.stages import Golden

if TYPE_CHECKING:
    from plansmith_client import Client

CONCURRENCY = 16
# Of what the closed loop reached: busy, with room for the noise of a shared machine.
OPEN_LOOP_SHARE = 0.5
TIMEOUT_S = 30.0
TOP = 5


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a demo came to, and where its report is."""

    report: Report
    html: Path
    json: Path


def run(folder: Path, cache: Cache, files: ServerFiles, out: Path, *, short: bool) -> Done:
    """Builds the model in `folder`, serves it, checks and loads it; the report is in `out`."""
    plan, progress = Plan(), for_stderr()
    job = jobs.prepare(folder, None, plan)
    manifest = pipeline.build(job, cache, progress, plan).manifest
    golden = pipeline.load_golden(job, cache, progress)
    with ExitStack() as stack:
        with progress.step("serve"):
            server = stack.enter_context(
                serving(
                    files,
                    folder.parent,
                    job.target,
                    free_ports(),
                    cache.root / "logs",
                    models=(job.name,),
                )
            )
        with progress.step("check") as step, connected(server.grpc_url, TIMEOUT_S) as client:
            checked = check_served(client, manifest, golden, step)
            predictions = predict(client, job.name, golden)
        loads = _loads(server, job, golden, progress, short=short)
        description = server.description
    with progress.step("report"):
        whole = Report(
            manifest=manifest,
            loads=loads,
            predictions=predictions,
            served_check=checked,
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
    server: Server, job: Job, golden: Golden, progress: Progress, *, short: bool
) -> tuple[LoadResult, ...]:
    """As fast as it will go, one at a time and many at once; then at a steady rate it can bear."""
    seconds = 4.0 if short else 10.0
    closed: list[LoadResult] = []
    for concurrency in (1, CONCURRENCY):
        with progress.step(f"load {concurrency} in flight"):
            run = _run(server, job, golden, seconds, concurrency=concurrency)
            closed.append(loadtest.measure(run))
    rate_per_s = max(1.0, round(closed[-1].throughput_per_s * OPEN_LOOP_SHARE))
    with progress.step(f"load {rate_per_s:g}/s"):
        opened = loadtest.measure(_run(server, job, golden, seconds, rate_per_s=rate_per_s))
    return (*closed, opened)


def _run(
    server: Server,
    job: Job,
    golden: Golden,
    duration_s: float,
    *,
    concurrency: int | None = None,
    rate_per_s: float | None = None,
) -> loadtest.Run:
    return loadtest.Run(
        model=job.name,
        url=server.grpc_url,
        concurrency=concurrency,
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        p99_ms=job.recipe.p99_ms,
        samples=golden.file,
    )
