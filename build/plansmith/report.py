"""Everything measured about one version → report.html, one self-contained page, and report.json.

Rendering is pure; `write` alone touches files. matplotlib and jinja2 are imported where a page is
drawn and nowhere else.
"""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plansmith.choose import judge
from plansmith.compare import CONFIDENCE, Fidelity
from plansmith.errors import PlansmithError
from plansmith.figures import NOT_MEASURED, PERCENT, figure, fine_percent, floor_percent, percent
from plansmith.load_result import LoadResult
from plansmith.manifest import Manifest, Trial

SCHEMA = 1
HTML_NAME = "report.html"
JSON_NAME = "report.json"

# Wide enough for a card on a dense screen; a page of six photos then stays under 300 kB.
IMAGE_PIXELS = 480
TIMES, AT_LEAST = "\u00d7", "\u2265"
MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
METRICS = {
    "top1_agreement": "top-1 answers that differ from FP32's",
    "expected_top1": "expected drop of top-1 accuracy",
}
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


def to_json(report: Report) -> bytes:
    """report.json: every figure of the page and its raw data, the pictures left out."""
    word, reason = verdict(report)
    table = {
        "schema": SCHEMA,
        "created_utc": report.created_utc,
        "server": report.server,
        "headline": headline(report),
        "verdict": word,
        "reason": reason,
        "manifest": report.manifest,
        "served_check": report.served_check,
        "loads": report.loads,
        "predictions": [
            {
                "title": shown.title,
                "caption": shown.caption,
                "served": shown.served,
                "reference_index": shown.reference_index,
                "reference_label": shown.reference_label,
                "agrees": shown.agrees,
            }
            for shown in report.predictions
        ],
    }
    return msgspec.json.format(msgspec.json.encode(table), indent=2) + b"\n"


def render_html(report: Report) -> str:
    """The whole page: no script, no request to anywhere, the same text for the same report."""
    import jinja2
    from markupsafe import Markup

    from plansmith import plots

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plansmith", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=figure,
        percent=percent,
        floor_percent=floor_percent,
        fine_percent=fine_percent,
        data_uri=_data_uri,
    )
    manifest, budget = report.manifest, report.manifest.budget
    losses = {t.name: loss(t.fidelity, budget.metric) for t in manifest.trials if t.fidelity}
    word, reason = verdict(report)
    drawn = {
        "throughput": plots.throughput(manifest.trials),
        "fidelity": plots.fidelity(manifest.trials, losses, budget.max_drop),
        "percentiles": plots.percentiles(report.loads),
        "histograms": plots.histograms(report.loads),
    }
    return environment.get_template(f"{HTML_NAME}.j2").render(
        report=report,
        manifest=manifest,
        chosen=manifest.chosen,
        trials=sorted(manifest.trials, key=table_order),
        reference=next((t for t in manifest.trials if t.verdict == "reference"), None),
        metric=METRICS[budget.metric],
        headline=headline(report),
        verdict=word,
        reason=reason,
        plots={name: svg and Markup(svg) for name, svg in drawn.items()},
        not_measured=NOT_MEASURED,
    )


def _data_uri(image: NDArray[np.uint8] | bytes) -> str:
    if not isinstance(image, bytes):
        from PIL import Image

        picture = Image.fromarray(image)
        picture.thumbnail((IMAGE_PIXELS, IMAGE_PIXELS))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        image = buffer.getvalue()
    kind = next(kind for start, kind in MEDIA_TYPES.items() if image.startswith(start))
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """Both files in `folder`, made where missing; returns (report.html, report.json).

    Both are whole on the disk before either takes its name, so a reader never sees half a file and
    a failure keeps the previous ones. Raises PlansmithError where they cannot be written.
    """
    contents = {
        folder / HTML_NAME: render_html(report).encode(),
        folder / JSON_NAME: to_json(report),
    }
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            with temporary[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, whole in temporary.items():
            whole.replace(path)
    except OSError as error:
        raise PlansmithError(
            f"{folder}: the report cannot be written: {error.strerror}; make room there or allow"
            " writing, or name another folder"
        ) from error
    finally:
        _remove(tuple(temporary.values()))
    return folder / HTML_NAME, folder / JSON_NAME


def _remove(paths: tuple[Path, ...]) -> None:
    """What can be removed; a folder that refuses this refused the writing for the same reason."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue
