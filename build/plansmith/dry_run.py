"""What a build would do, stage by stage, and why; nothing is changed."""

from __future__ import annotations

from plansmith import pipeline
from plansmith.cache import Cache
from plansmith.job import AnyJob
from plansmith.keys import StageKey


def explain(job: AnyJob, cache: Cache, *, force: bool = False) -> dict[str, str]:
    """For each stage whether it would run, and why; changes nothing."""
    plans: dict[str, str] = {}
    current, unserved = ((), {}) if force else pipeline.published(job)
    plans |= {f"{name}: build": "skip: the published version is current" for name in current}
    plans |= {
        f"{name}: publish": "run: its version is complete but not served" for name in unserved
    }
    missing = [name for name in job.targets if name not in (*current, *unserved)]
    for name, error in pipeline.cannot_build(job, missing, None).items():
        plans[f"{name}: build"] = f"cannot run here: {str(error).splitlines()[0]}"
        missing.remove(name)
    for stage in pipeline.stage_keys(job) if missing else ():
        target = stage.stage.partition(": ")[0]
        if target in job.targets and target not in missing:
            continue
        plans[stage.stage] = _plan(job, cache, stage, force=force)
    for name in missing:
        plans[f"{name}: publish"] = "run: no version of this build yet"
    return plans


def _plan(job: AnyJob, cache: Cache, stage: StageKey, *, force: bool) -> str:
    if force:
        return "run: forced"
    if cache.find(stage.stage, stage.key) is not None:
        return "skip: in the cache"
    before = cache.recall(f"{job.name}/{stage.stage}")
    if before is None:
        return "run: never made"
    names = sorted({*before, *stage.parts})
    changed = [name for name in names if before.get(name) != stage.parts.get(name)]
    return f"run: changed: {', '.join(changed)}" if changed else "run: no longer in the cache"
