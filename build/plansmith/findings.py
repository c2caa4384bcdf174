"""What was found out about one version: the values a report is made from, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from plansmith.compare import Fidelity
from plansmith.figures import NOT_MEASURED, PERCENT, floor_percent, percent, points
from plansmith.forms import Form
from plansmith.gate import judge
from plansmith.load_result import LoadResult
from plansmith.manifest import Manifest, TargetBuild, Trial, rate
from plansmith.showcase.calls import Showcase
from plansmith.statistics import CONFIDENCE

TIMES, AT_LEAST = "\u00d7", "\u2265"
# By how an image file begins.
MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
VERDICT_ORDER = ("chosen", "kept", "refused", "reference", "baseline")


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One class of an answer; `probability` is 0..1."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One picture, the server's best classes (most probable first), and the reference's best.

    `image`: uint8 [height, width, 3] RGB, or the bytes of a PNG or JPEG file. Raises ValueError
    for any other image and for an empty answer.
    """

    title: str
    caption: str
    image: NDArray[np.uint8] | bytes = field(repr=False, compare=False)
    served: tuple[Ranked, ...]
    reference_index: int
    reference_label: str

    def __post_init__(self) -> None:
        if not self.served:
            raise ValueError(f"{self.title}: the server's answer names no class")
        if isinstance(self.image, bytes):
            if not self.image.startswith(tuple(MEDIA_TYPES)):
                raise ValueError(f"{self.title}: the image's bytes are neither PNG nor JPEG")
        elif self.image.dtype != np.uint8 or self.image.shape[2:] != (3,):
            got = f"{self.image.dtype} {list(self.image.shape)}"
            raise ValueError(f"{self.title}: image is {got}; expected uint8 [height, width, 3]")

    @property
    def agrees(self) -> bool:
        """Whether server and reference name the same class."""
        return self.served[0].index == self.reference_index


@dataclass(frozen=True, kw_only=True)
class ServedCheck:
    """Samples through a real server, against the original's answers.

    `count` samples one by one and again in batches of `batch_sizes`. `max_abs_deviation` and
    `tolerance` are in the output's own unit (logits); `top1_agreement` is a share, 0..1, None for
    outputs that are no class scores. `fault` is the first thing that was wrong, "" for nothing.
    """

    count: int
    batch_sizes: tuple[int, ...]
    max_abs_deviation: float
    tolerance: float
    passed: bool
    top1_agreement: float | None
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """What runs a model ("openvino", "python", "ensemble"), and how it is called.

    `keeps_state`: from request to request of a sequence. `streams`: any number of answers to one
    request. `calls`: the models that have to be there for this one to answer.
    """

    backend: str
    keeps_state: bool = False
    streams: bool = False
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One version that the server had, against its golden answers.

    `check` is None where it was not asked for them, and `note` says why. `version` and `kind` are
    None where none could be built.
    """

    model: str
    version: int | None
    kind: ModelKind | None
    check: ServedCheck | None
    note: str
    failed: bool


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one report is made from; None and empty tuples are things that were not measured."""

    manifest: Manifest
    target: str
    loads: tuple[LoadResult, ...]
    predictions: tuple[Prediction, ...]
    served_check: ServedCheck | None
    models: tuple[ServedModel, ...]
    showcase: Showcase
    created_utc: str
    server: str

    @property
    def build(self) -> TargetBuild:
        """What was built for the target that was served."""
        return self.manifest.on(self.target)


def headline(report: Report) -> str:
    """One sentence: what was chosen, how much faster it is than what, and how faithful."""
    manifest, chosen = report.manifest, report.build.chosen
    built = f"{manifest.model} v{manifest.version} on {report.target}"
    return f"{built}: {chosen.name}, {_speedup(report.build)}; {_faithful(chosen.fidelity)}"


def _speedup(build: TargetBuild) -> str:
    if build.chosen.throughput is None:
        return f"speed {NOT_MEASURED}"
    # Of each the fastest: any other would flatter the chosen one.
    others = filter(None, (build.fastest(one) for one in ("reference", "baseline")))
    ratios = [
        f"{rate(build.chosen) / rate(trial):.1f}{TIMES} {trial.precision.upper()} {trial.runtime}"
        for trial in others
    ]
    return ", ".join(ratios) or f"speedup {NOT_MEASURED}"


def _faithful(fidelity: Fidelity | None) -> str:
    if fidelity is None:
        return f"top-1 agreement {NOT_MEASURED}"
    confidence = f"at {CONFIDENCE * 100:.0f}{PERCENT} confidence"
    if (labelled := fidelity.labelled) is not None:
        return (
            f"top-1 accuracy {percent(labelled.accuracy)} on {fidelity.count} samples, FP32's "
            f"{percent(labelled.original_accuracy)}, drop at most {points(labelled.drop_high)} "
            f"{confidence}"
        )
    agreement = f"top-1 agreement {percent(fidelity.top1_agreement)} on {fidelity.count} samples"
    return f"{agreement} ({AT_LEAST} {floor_percent(fidelity.top1_agreement_low)} {confidence})"


def verdict(report: Report) -> tuple[str, str]:
    """One of "pass", "fail" and "unclear" for the version as it was served, and the reason.

    What was not measured or not proven is unclear, never a pass.
    """
    found = (
        _accuracy(report),
        _answers(report.served_check),
        _under_load(report.loads),
        _repository(report.models),
    )
    words = [word for word, _ in found]
    worst = next(word for word in ("fail", "unclear", "pass") if word in words)
    return worst, " ".join(sentence for _, sentence in found)


def _accuracy(report: Report) -> tuple[str, str]:
    fidelity, budget = report.build.chosen.fidelity, report.manifest.budget
    if fidelity is not None and budget is not None:
        passed = judge(fidelity, replace(budget, accept_not_proven=False)).passed
    else:
        passed = False
    if passed:
        return "pass", "The accuracy budget is kept."
    return "unclear", "The accuracy budget is not proven to be kept."


def _answers(check: ServedCheck | None) -> tuple[str, str]:
    if check is None:
        return "unclear", "Served answers were not checked."
    match = "match" if check.passed else "do not match"
    return (
        "pass" if check.passed else "fail",
        f"Served answers {match} FP32's within tolerance on {check.count} samples.",
    )


def _under_load(loads: tuple[LoadResult, ...]) -> tuple[str, str]:
    if not loads:
        return "unclear", "It was not put under load."
    words = [load.verdict for load in loads]
    worst = next(word for word in ("fail", "unclear", "pass") if word in words)
    return worst, f"{words.count('pass')} of {len(words)} load runs keep the SLO."


def _repository(models: tuple[ServedModel, ...]) -> tuple[str, str]:
    """Models without golden answers have nothing to fail by; that they have none is told."""
    names = {one.model for one in models}
    failed = [f"{one.model} ({_why(one)})" for one in models if one.failed]
    checked = {one.model for one in models if one.check is not None}
    if failed:
        return "fail", f"Not as they are to be in the repository: {'; '.join(failed)}."
    word = "pass" if checked else "unclear"
    return word, f"{len(checked)} of {len(names)} models of the repository gave golden answers."


def _why(one: ServedModel) -> str:
    """The first line: messages may have more, which the page has."""
    told = one.note or (one.check.fault if one.check else "")
    return told.partition("\n")[0]


def loss(fidelity: Fidelity | None, metric: str) -> tuple[float, float] | None:
    """How much of the budget's `metric` was lost, as seen and at most (95 %); shares up to 1.

    Negative where a variant gained; None where the metric could not be measured.
    """
    if fidelity is None:
        return None
    if metric == "top1":
        labelled = fidelity.labelled
        return (labelled.drop, labelled.drop_high) if labelled else None
    if metric == "top1_agreement":
        return 1 - fidelity.top1_agreement, 1 - fidelity.top1_agreement_low
    return fidelity.expected_top1_drop, fidelity.expected_top1_drop_high


def kind(trial: Trial, form: Form) -> str:
    """What a plot calls the trials of one form run in one precision: "int8", "pruned in bf16"."""
    if trial.precision == form.precision:
        return form.name
    # What is left of a name that ends in the form's own precision: that is not what was run.
    base = form.name.removesuffix(form.precision).rstrip("-")
    return f"{base} in {trial.precision}" if base else trial.precision


def relative_macs(form: Form, forms: Sequence[Form]) -> float | None:
    """Multiply-accumulates of `form` as a share of the trained model's, None where unknown."""
    whole = next((one.macs for one in forms if one.parent is None), None)
    return form.macs / whole if form.macs is not None and whole else None


def table_order(trial: Trial) -> tuple[int, float]:
    """The chosen first, then by verdict, the fastest first."""
    return VERDICT_ORDER.index(trial.verdict), -rate(trial)
