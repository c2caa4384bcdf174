"""Everything measured about one version → report.html, one self-contained page, and report.json.

Rendering is pure; `write` alone touches files. matplotlib and jinja2 are imported where a page is
drawn and nowhere else.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from plansmith import figures
from plansmith.errors import PlansmithError
from plansmith.findings import (
    MEDIA_TYPES,
    Report,
    headline,
    kind,
    loss,
    relative_macs,
    table_order,
    verdict,
)
from plansmith.forms import Form
from plansmith.manifest import Machine, Manifest, TargetBuild, Trial
from plansmith.recipe import Budget
from plansmith.showcase.figures import cosine, figures_of, heat

SCHEMA = 2
HTML_NAME = "report.html"
JSON_NAME = "report.json"

# Wide enough for a card on a dense screen; a page of six photos then stays under 300 kB.
IMAGE_PIXELS = 480
METRICS = {
    "top1": "drop of top-1 accuracy",
    "top1_agreement": "top-1 answers that differ from FP32's",
    "expected_top1": "expected drop of top-1 accuracy",
}


@dataclass(frozen=True, kw_only=True)
class Variants:
    """One target's section: `trials` in the table's order, and the forms that have none.

    `macs` are by form, as a share of the trained model's, where they differ from it. `bars` show
    what is named `shown` of `drawn` trials, `scatter` sets it against what was lost; both are SVG,
    None without data.
    """

    build: TargetBuild
    trials: tuple[Trial, ...]
    refused: tuple[Form, ...]
    macs: dict[str, float]
    shown: str
    bars: str | None
    scatter: str | None
    drawn: int

    @property
    def reference(self) -> Trial | None:
        return next((one for one in self.trials if one.verdict == "reference"), None)

    @property
    def original_accuracy(self) -> float | None:
        """That of FP32 on the labelled samples, None without labels."""
        labelled = (one.fidelity.labelled for one in self.trials if one.fidelity)
        return next((one.original_accuracy for one in labelled if one), None)


def variants(manifest: Manifest, build: TargetBuild, number: int) -> Variants:
    """The section of `build`; `number` is no other section's."""
    from markupsafe import Markup

    from plansmith import plots

    budget = _budget(manifest)
    metric, measure = budget.metric, plots.measure_for(build.trials)
    losses = {one.name: found for one in build.trials if (found := loss(one.fidelity, metric))}
    kinds = {one.name: kind(one, build.form(one.form)) for one in build.trials}
    bars = plots.bars(build.trials, measure, f"bars-{number}")
    scatter = plots.fidelity(
        build.trials, losses, kinds, budget.max_drop, measure, f"fidelity-{number}"
    )
    macs = {one.name: relative_macs(one, build.forms) for one in build.forms}
    return Variants(
        build=build,
        trials=tuple(sorted(build.trials, key=table_order)),
        refused=tuple(form for form in build.forms if form.refused),
        macs={name: share for name, share in macs.items() if share is not None and share != 1},
        shown=measure.title,
        bars=bars and Markup(bars),
        scatter=scatter and Markup(scatter),
        drawn=len(plots.shown_bars(build.trials, measure)),
    )


def forms_by_target(builds: Sequence[TargetBuild]) -> dict[Form, list[str]]:
    """Every form of the version with the targets that have it, in the order they were made."""
    found: dict[Form, list[str]] = {}
    for build in builds:
        for form in build.forms:
            found.setdefault(form, []).append(build.target)
    return found


def machines_by_target(builds: Sequence[TargetBuild]) -> dict[Machine, list[str]]:
    """Every machine that a target was built on, with those targets."""
    found: dict[Machine, list[str]] = {}
    for build in builds:
        found.setdefault(build.machine, []).append(build.target)
    return found


def to_json(report: Report) -> bytes:
    """report.json: every figure of the page and its raw data, the pictures left out."""
    word, reason = verdict(report)
    table = {
        "schema": SCHEMA,
        "created_utc": report.created_utc,
        "target": report.target,
        "server": report.server,
        "headline": headline(report),
        "verdict": word,
        "reason": reason,
        "manifest": report.manifest,
        "served_check": report.served_check,
        "models": report.models,
        "showcase": figures_of(report.showcase),
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


def _budget(manifest: Manifest) -> Budget:
    assert manifest.budget is not None, "a report is of a model whose variants were compared"
    return manifest.budget


def render_html(report: Report) -> str:
    """The whole page: no script, no request to anywhere, the same text for the same report."""
    from markupsafe import Markup

    from plansmith import load_plots
    from plansmith.showcase import drawings

    manifest = report.manifest
    builds = sorted(manifest.builds, key=lambda build: build.target != report.target)
    word, reason = verdict(report)
    drawn = {
        "percentiles": load_plots.percentiles(report.loads),
        "histograms": load_plots.histograms(report.loads),
        "speech": drawings.speech(report.showcase.speech),
        "page": drawings.page(report.showcase.page),
    }
    return (
        _environment()
        .get_template(f"{HTML_NAME}.j2")
        .render(
            report=report,
            manifest=manifest,
            builds=builds,
            chosen=report.build.chosen,
            sections=[variants(manifest, build, n) for n, build in enumerate(builds)],
            forms=forms_by_target(builds),
            machines=machines_by_target(builds),
            metric=METRICS[_budget(manifest).metric],
            headline=headline(report),
            verdict=word,
            reason=reason,
            plots={name: svg and Markup(svg) for name, svg in drawn.items()},
        )
    )


@cache
def _environment() -> Any:
    import jinja2

    environment: Any = jinja2.Environment(
        loader=jinja2.PackageLoader("plansmith", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["not_measured"] = figures.NOT_MEASURED
    environment.filters.update(
        figure=figures.figure,
        percent=figures.percent,
        floor_percent=figures.floor_percent,
        fine_percent=figures.fine_percent,
        points=figures.points,
        magnitude=figures.magnitude,
        megabytes=figures.megabytes,
        heat=heat,
        cosine=cosine,
        data_uri=_data_uri,
    )
    return environment


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
