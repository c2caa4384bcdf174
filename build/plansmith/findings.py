"""What was found out about one version: the values a report is made from, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from plansmith.choose import judge
from plansmith.compare import CONFIDENCE, Fidelity
from plansmith.figures import NOT_MEASURED, PERCENT, floor_percent, percent
from plansmith.load_result import LoadResult
from plansmith.manifest import Manifest, Trial

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
    """Evaluation samples through the real server, against the FP32 reference's answers.

    `count` samples one by one and again in batches of `batch_sizes`. `max_abs_deviation` and
    `tolerance` are in the output's own unit (logits); `top1_agreement` is a share, 0..1.
    """

    count: int
    batch_sizes: tuple[int, ...]
    max_abs_deviation: float
    tolerance: float
    passed: bool
    top1_agreement: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one report is made from; None and empty tuples are things that were not measured."""

    manifest: Manifest
    loads: tuple[LoadResult, ...]
    predictions: tuple[Prediction, ...]
    served_check: ServedCheck | None
    created_utc: str
    server: str


def headline(report: Report) -> str:
    """One sentence: what was chosen, how much faster it is than what, and how faithful."""
    manifest, chosen = report.manifest, report.manifest.chosen
    # Of each the fastest: any other would flatter the chosen one.
    others = filter(None, (manifest.fastest(one) for one in ("reference", "baseline")))
    ratios = [
        f"{chosen.throughput.median_per_s / trial.throughput.median_per_s:.1f}{TIMES} "
        f"{trial.precision.upper()} {trial.runtime}"
        for trial in others
    ]
    built = f"{manifest.model} v{manifest.version} on {manifest.target}"
    return f"{built}: {', '.join([chosen.name, *ratios])}; {_agreement(chosen.fidelity)}"


def _agreement(fidelity: Fidelity | None) -> str:
    if fidelity is None:
        return f"top-1 agreement {NOT_MEASURED}"
    agreement = f"top-1 agreement {percent(fidelity.top1_agreement)} on {fidelity.count} samples"
    floor = f"{AT_LEAST} {floor_percent(fidelity.top1_agreement_low)}"
    return f"{agreement} ({floor} at {CONFIDENCE * 100:.0f}{PERCENT} confidence)"


def verdict(report: Report) -> tuple[str, str]:
    """One of "pass", "fail" and "unclear" for the version as it was served, and the reason.

    What was not measured or not proven is unclear, never a pass.
    """
    found = (_accuracy(report.manifest), _answers(report.served_check), _under_load(report.loads))
    words = [word for word, _ in found]
    worst = next(word for word in ("fail", "unclear", "pass") if word in words)
    return worst, " ".join(sentence for _, sentence in found)


def _accuracy(manifest: Manifest) -> tuple[str, str]:
    fidelity, strict = manifest.chosen.fidelity, replace(manifest.budget, accept_not_proven=False)
    if fidelity is not None and judge(fidelity, strict).passed:
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


def loss(fidelity: Fidelity, metric: str) -> tuple[float, float]:
    """How much of the budget's `metric` was lost, as seen and at most (95 %); shares 0..1."""
    if metric == "top1_agreement":
        return 1 - fidelity.top1_agreement, 1 - fidelity.top1_agreement_low
    return fidelity.expected_top1_drop, fidelity.expected_top1_drop_high


def table_order(trial: Trial) -> tuple[int, float]:
    """The chosen first, then by verdict, the fastest first."""
    return VERDICT_ORDER.index(trial.verdict), -trial.throughput.median_per_s
