"""How Triton is to serve a model as it is."""

from __future__ import annotations

from plansmith.config.compose import compose
from plansmith.config.message import ServingConfig
from plansmith.config.served import Instances, ServedModel, WarmUpRow
from plansmith.errors import UnusableInput
from plansmith.plain.job import PlainJob
from plansmith.recipe.files import RECIPE_FILE
from plansmith.recipe.plain_words import AsTrained
from plansmith.recipe.serving_words import Ensemble


def check_instances(job: PlainJob) -> None:
    """Raises UnusableInput where this machine has fewer cores than instances would compute on."""
    count, cores = job.recipe.serving.instances, job.machine.cores
    if isinstance(job.recipe.model, AsTrained) and count > cores:
        raise UnusableInput(
            f"{job.folder / RECIPE_FILE}: serving.instances: is {count}, and this machine has "
            f"{cores} cores; each instance computes on one at least: lower it, or build where "
            "there are more"
        )


def serving_config(
    job: PlainJob, versions: tuple[int, ...], rows: tuple[WarmUpRow, ...]
) -> ServingConfig:
    """The configuration that serves `versions`, each warmed up with `rows` alone and in batches."""
    recipe = job.recipe
    return compose(
        ServedModel(
            name=job.name,
            backend=recipe.backend,
            max_batch_size=recipe.max_batch_size,
            inputs=recipe.offered_inputs,
            outputs=recipe.offered_outputs,
            versions=versions,
            serving=recipe.serving,
            instances=(Instances(count=recipe.serving.instances),),
            parameters=_parameters(job),
            labels=tuple((one.spec.name, one.labels) for one in recipe.outputs if one.labels),
            warm_up_rows=rows if isinstance(recipe.model, AsTrained) else (),
            warm_up_batch_sizes=(1, max(1, recipe.max_batch_size)),
            sequence=recipe.sequence,
            ensemble=recipe.model if isinstance(recipe.model, Ensemble) else None,
            decoupled=recipe.decoupled,
        )
    )


def _parameters(job: PlainJob) -> tuple[tuple[str, str], ...]:
    """All instances together on all cores: nothing was measured that would tell of better.

    What the parameters count, each instance's threads or those of all: docs/backends.md.
    """
    if not isinstance(job.recipe.model, AsTrained):
        return ()
    cores, instances = job.machine.cores, job.recipe.serving.instances
    if job.recipe.backend == "openvino":
        return (("NUM_STREAMS", str(instances)), ("INFERENCE_NUM_THREADS", str(cores)))
    return (
        ("intra_op_thread_count", str(max(1, cores // instances))),
        ("inter_op_thread_count", "1"),
    )
