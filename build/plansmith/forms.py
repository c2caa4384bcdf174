"""The forms a trained model is given on its way: pruned, quantised, or as it came. Pure.

A form is one graph with its weights. A target compiles each form; a variant is a compiled form run
in one way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# From the most to the least exact; a form is compared with those above it.
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, kw_only=True)
class PruneAttempt:
    """One network that was tried: `ratio` is the share of its channels each layer lost, 0..1.

    `macs` are for one sample. `loss` is the accuracy lost on the tuning samples, or the share of
    them whose top-1 answer changed, 0..1; below zero is won. `kept_budget`: the loss and its
    standard error together stay within the goal.
    """

    ratio: float
    macs: int
    parameters: int
    loss: float
    kept_budget: bool


@dataclass(frozen=True, kw_only=True)
class Form:
    """How one form was made, and how large it is.

    `parent` is the form that it was made from, None for the trained model itself. `macs` are those
    of one sample, None where the shapes leave them open. `kept_layers` are those that mixed
    precision left in `kept_precision`. `refused` says why the form could not be made: it has then
    no artifact and no trial. `notes` are sentences for the report.
    """

    name: str
    precision: str
    parent: str | None
    tool: str
    macs: int | None
    parameters: int
    kept_layers: tuple[str, ...] = ()
    kept_precision: str = "fp32"
    attempts: tuple[PruneAttempt, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""


def derived(base: Form, precision: str, tool: str, *, mixed: bool = False) -> Form:
    """The form of that precision made from `base`, before anything is told of it."""
    return replace(
        base,
        name=name_of(base.name, precision, mixed=mixed),
        precision=precision,
        parent=base.name,
        tool=tool,
        attempts=(),
        notes=(),
    )


def name_of(base: str, precision: str, *, mixed: bool = False) -> str:
    """The name of the form of that precision made from `base`, which is "fp32" or "pruned"."""
    stem = precision if base == "fp32" else f"{base}-{precision}"
    return f"{stem}-mixed" if mixed else stem


def ancestors(forms: dict[str, Form], name: str) -> tuple[str, ...]:
    """The forms that `name` was made from, the nearest first."""
    found: list[str] = []
    parent = forms[name].parent
    while parent is not None:
        found.append(parent)
        parent = forms[parent].parent
    return tuple(found)
