"""What a choice is made between: forms, a budget, and how the outcome is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plansmith.compare import Fidelity
from plansmith.forms import Form
from plansmith.manifest import Trial
from plansmith.recipe import Budget

TrialOf = Callable[..., Trial]
FidelityOf = Callable[..., Fidelity]
BUDGET = Budget(metric="top1_agreement", max_drop=0.01)


def form(name: str, precision: str, parent: str | None) -> Form:
    return Form(
        name=name, precision=precision, parent=parent, tool="a tool", macs=10, parameters=10
    )


# Every form that a build may make of one model.
FORMS = (
    form("fp32", "fp32", None),
    form("fp16", "fp16", "fp32"),
    form("int8", "int8", "fp32"),
    form("pruned", "fp32", "fp32"),
    form("pruned-fp16", "fp16", "pruned"),
    form("pruned-int8", "int8", "pruned"),
)


def by_name(trials: Sequence[Trial]) -> dict[str, Trial]:
    return {trial.name: trial for trial in trials}


def verdicts(trials: Sequence[Trial]) -> dict[str, str]:
    return {trial.name: trial.verdict for trial in trials}
