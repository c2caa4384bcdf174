"""Everything measured about one version → report.html, one self-contained page, and report.json.

Rendering is pure; `write` alone touches files. matplotlib and jinja2 are imported where a page is
drawn and nowhere else.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plansmith.errors import PlansmithError
from plansmith.figures import NOT_MEASURED, figure, fine_percent, floor_percent, percent
from plansmith.findings import MEDIA_TYPES, Report, headline, loss, table_order, verdict

SCHEMA = 1
HTML_NAME = "report.html"
JSON_NAME = "report.json"

# Wide enough for a card on a dense screen; a page of six photos then stays under 300 kB.
IMAGE_PIXELS = 480
METRICS = {
    "top1_agreement": "top-1 answers that differ from FP32's",
    "expected_top1": "expected drop of top-1 accuracy",
}


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
