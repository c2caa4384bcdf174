"""What a repository's models are, by their configs, and whether they answer as they are to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import PlansmithError
from plansmith.findings import ModelKind, ServedModel
from plansmith.golden.served import ModelCheck, check_repository
from plansmith.integrity.beside import read_served
from plansmith.job import read_recipe
from plansmith.plain.calls import calls_of
from plansmith.progress import Step
from plansmith.repository import CONFIGS, version_folders

if TYPE_CHECKING:
    from plansmith.config.message import ModelConfig
    from plansmith_client import Client


def servable(repository: Path, target: str) -> dict[str, ModelKind]:
    """What has a config for `target` and a version that it names: what a server can load.

    Raises UnusableInput for a config that cannot be read.
    """
    from plansmith.config.parsing import parse

    found: dict[str, ModelKind] = {}
    for path in sorted(repository.glob(f"*/{CONFIGS}/{target}.pbtxt")):
        folder = path.parents[1]
        versions = [int(one.name) for one in version_folders(folder)]
        if read_served(folder, f"{CONFIGS}/{path.name}", versions).versions:
            config = parse(path.read_text(encoding="utf-8"), str(path)).message
            found[folder.name] = kind_of(config, _called_by_code(folder))
    return found


def _called_by_code(folder: Path) -> tuple[str, ...]:
    """The recipe's word for it: no config names the models that a Python model calls."""
    try:
        return calls_of(read_recipe(folder))
    except PlansmithError:
        return ()


def kind_of(config: ModelConfig, called: Sequence[str]) -> ModelKind:
    """How the model is served; `called` are the models that its code is said to call."""
    steps: list[str] = [step.model_name for step in config.ensemble_scheduling.step]
    return ModelKind(
        backend=config.backend or config.platform,
        keeps_state=config.HasField("sequence_batching"),
        streams=bool(config.model_transaction_policy.decoupled),
        calls=tuple(dict.fromkeys((*steps, *called))),
    )


def check_models(
    client: Client,
    url: str,
    repository: Path,
    target: str,
    kinds: Mapping[str, ModelKind],
    step: Step,
) -> tuple[ServedModel, ...]:
    """Every version that the server at `url` has of the models in `kinds`, and its golden answers.

    Raises PlansmithError where no server is ready there, UnusableInput where no model has any.
    """
    found = check_repository(client, url, repository, target, step)
    # Beside these the repository may have models for other targets, which are not served here.
    return tuple(served_model(one, kinds[one.model]) for one in found.models if one.model in kinds)


def served_model(one: ModelCheck, kind: ModelKind) -> ServedModel:
    return ServedModel(
        model=one.model,
        version=one.version,
        kind=kind,
        check=one.found,
        note=one.note,
        failed=one.failed,
    )


def with_faults(
    models: Sequence[ServedModel], faults: Mapping[str, str]
) -> tuple[ServedModel, ...]:
    """`models`, and those that could not be built: a failure whatever is served of them."""
    there = {one.model for one in models}
    missing = [
        ServedModel(model=name, version=None, kind=None, check=None, note=fault, failed=True)
        for name, fault in faults.items()
        if name not in there
    ]
    told = [_with_fault(one, faults[one.model]) if one.model in faults else one for one in models]
    return tuple(sorted((*told, *missing), key=lambda one: (one.model, one.version or 0)))


def _with_fault(one: ServedModel, fault: str) -> ServedModel:
    return replace(one, note=f"this is an older version: {fault}", failed=True)
