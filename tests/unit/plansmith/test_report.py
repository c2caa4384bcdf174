"""report.html and report.json say what was measured, no more, and are never left half written."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plansmith import recipe
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.findings import Prediction, Report, headline, verdict
from plansmith.load_result import LoadResult, read
from plansmith.manifest import Manifest
from plansmith.report import METRICS, render_html, to_json, write

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


class Page(HTMLParser):
    """What a reader sees of a page, and what a browser would be asked to do by it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self._hidden = False
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in ("style", "script", "title")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
                self.references.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("style", "script", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


@pytest.fixture(scope="module")
def page(sample_report: Report) -> Page:
    return Page(render_html(sample_report))


def with_chosen(report: Report, **changes: object) -> Report:
    """`report` whose chosen trial is changed."""
    trials = tuple(
        replace(trial, **changes) if trial.verdict == "chosen" else trial
        for trial in report.manifest.trials
    )
    return replace(report, manifest=replace(report.manifest, trials=trials))


def test_the_headline_has_the_chosen_one_its_ratios_and_the_agreement(
    sample_report: Report,
) -> None:
    # 621.7 / 233.0, 621.7 / 76.8 and 648 of 652. At a share of differing answers of 1.4 % four or
    # fewer of 652 have a chance of 5 %: sum(comb(652, k) * p**k * (1 - p)**(652 - k)).
    assert headline(sample_report).replace("\u00a0", " ") == (
        "efficientnet_lite0 v3 on cpu: bf16-s2t2-b1, 2.7\u00d7 FP32 ONNX Runtime, "
        "8.1\u00d7 FP32 PyTorch eager; top-1 agreement 99.4 % on 652 samples "
        "(\u2265 98.6 % at 95 % confidence)"
    )


def test_the_chosen_variants_row_has_its_figures(page: Page) -> None:
    row = (
        "bf16-s2t2-b1 OpenVINO, bf16, batch 1 9.40 622 597 to 634 2.41 p99 4.10 99.4 % "
        "at least 98.6 % 0.005 % at most 0.01 % 0.00089 0.23 chosen fastest: 2.67x onnxruntime"
    )
    assert row in page.text


def test_every_variant_is_shown_with_its_verdict_and_reason(
    page: Page, sample_report: Report
) -> None:
    for trial in sample_report.manifest.trials:
        assert f"{trial.name} {trial.runtime}" in page.text
        assert trial.reason in page.text


def test_a_changed_figure_changes_the_page(sample_report: Report) -> None:
    slower = replace(sample_report.manifest.chosen.throughput, median_per_s=612.3)
    assert "612" in Page(render_html(with_chosen(sample_report, throughput=slower))).text


def test_the_page_is_the_same_twice(sample_report: Report) -> None:
    assert render_html(sample_report) == render_html(sample_report)


def test_the_page_has_no_script_and_refers_only_to_itself(page: Page) -> None:
    assert "script" not in page.tags
    assert [to for to in page.references if not to.startswith(("#", "data:"))] == []


def test_ids_in_the_page_are_unique_and_every_reference_has_its_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids)) > 0
    assert {to[1:] for to in page.references if to.startswith("#")} <= set(page.ids)


def test_plots_take_every_colour_and_font_from_the_page(sample_report: Report) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", render_html(sample_report), flags=re.DOTALL))
    assert "var(--accent)" in drawn
    assert re.findall(r"#[0-9a-f]{6}\b(?![\w-])", re.sub(r'"#[^"]*"', "", drawn)) == []
    assert "DejaVu" not in drawn


def test_text_from_outside_stays_text(sample_report: Report) -> None:
    shown = sample_report.predictions[0]
    rank = replace(shown.served[0], label=HOSTILE)
    hostile = with_chosen(sample_report, name=HOSTILE, runtime=HOSTILE, reason=HOSTILE)
    hostile = replace(
        hostile,
        server=HOSTILE,
        predictions=(replace(shown, title=HOSTILE, caption=HOSTILE, served=(rank,)),),
        loads=(replace(sample_report.loads[0], url=HOSTILE, model=HOSTILE, reason=HOSTILE),),
    )
    page = Page(render_html(hostile))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 8


def test_dollars_in_a_name_are_no_formula(sample_report: Report) -> None:
    assert "a$_{b$" in render_html(with_chosen(sample_report, name="a$_{b$"))


def test_what_was_not_measured_is_called_so(sample_report: Report) -> None:
    bare = with_chosen(sample_report, fidelity=None)
    bare = replace(bare, loads=(), predictions=(), served_check=None)
    text = Page(render_html(bare)).text
    assert "top-1 agreement not measured" in text
    assert "Served p99 not measured" in text
    assert "Load: not measured" in text
    assert "Predictions: not measured" in text


def test_a_run_without_a_success_has_no_latency(sample_report: Report) -> None:
    nothing = replace(
        sample_report.loads[0],
        succeeded=0,
        failed=5000,
        latency_ms=None,
        p99_interval_ms=None,
        histogram_us=(),
        verdict="fail",
    )
    text = Page(render_html(replace(sample_report, loads=(nothing,)))).text
    assert "Served p99, 16 in flight not measured" in text
    assert "0.00 ms" not in text


def test_a_single_slow_request_can_be_drawn(sample_report: Report) -> None:
    one = replace(sample_report.loads[0], sent=1, succeeded=1, histogram_us=((0, 1),))
    late = replace(one, histogram_us=((90_000_000, 1),))
    assert render_html(replace(sample_report, loads=(one, late))).count("<svg") == 4


def test_a_run_without_an_slo_is_drawn_without_its_line(sample_report: Report) -> None:
    free = replace(sample_report.loads[0], slo=None)
    text = Page(render_html(replace(sample_report, loads=(free,)))).text
    assert "SLO not given" in text
    assert "SLO: p99" not in text


def test_a_disagreement_with_the_reference_is_shown(page: Page) -> None:
    assert page.text.count("agrees with FP32") == 2
    assert page.text.count("FP32 says: projectile, missile") == 1


def test_every_metric_of_a_budget_has_its_words() -> None:
    assert set(METRICS) == set(recipe.METRICS)


def test_everything_kept_is_a_pass(sample_report: Report) -> None:
    assert verdict(sample_report) == (
        "pass",
        "The accuracy budget is kept. Served answers match FP32's within tolerance on 300 samples. "
        "2 of 2 load runs keep the SLO.",
    )


def test_what_was_not_checked_is_unclear_and_no_pass(sample_report: Report) -> None:
    assert verdict(replace(sample_report, served_check=None))[0] == "unclear"
    assert verdict(replace(sample_report, loads=()))[0] == "unclear"
    assert verdict(with_chosen(sample_report, fidelity=None))[0] == "unclear"


def test_one_failed_run_fails_the_whole(sample_report: Report) -> None:
    failed = replace(sample_report.loads[1], verdict="fail")
    assert verdict(replace(sample_report, loads=(sample_report.loads[0], failed)))[0] == "fail"


def test_json_gives_back_every_figure(sample_report: Report) -> None:
    table = json.loads(to_json(sample_report))
    assert msgspec.convert(table["manifest"], Manifest) == sample_report.manifest
    assert msgspec.convert(table["loads"], tuple[LoadResult, ...]) == sample_report.loads
    assert msgspec.json.encode(sample_report.served_check) == msgspec.json.encode(
        table["served_check"]
    )
    assert table["headline"] == headline(sample_report)


def test_json_leaves_the_pictures_out(sample_report: Report) -> None:
    shown = json.loads(to_json(sample_report))["predictions"]
    assert [entry["agrees"] for entry in shown] == [True, True, False]
    assert all("image" not in entry for entry in shown)


@pytest.mark.parametrize(
    "image", [b"GIF89a", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_only_pictures_a_page_can_show_are_accepted(
    sample_report: Report, image: bytes | np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"chelsea: .*(PNG nor JPEG|expected uint8)"):
        replace(sample_report.predictions[0], image=image)


def test_a_png_is_embedded_as_it_is(sample_report: Report) -> None:
    png = b"\x89PNG\r\n\x1a\n of no matter"
    shown: Prediction = replace(sample_report.predictions[0], image=png)
    html = render_html(replace(sample_report, predictions=(shown,)))
    assert "data:image/png;base64,iVBORw0KGgogb2Ygbm8gbWF0dGVy" in html


def test_write_makes_the_folder_and_leaves_only_two_files(
    sample_report: Report, tmp_path: Path
) -> None:
    paths = write(sample_report, tmp_path / "a" / "out")
    assert sorted(paths) == sorted((tmp_path / "a" / "out").iterdir())
    assert [path.name for path in paths] == ["report.html", "report.json"]


def test_a_folder_that_cannot_be_written_is_one_plain_error(
    sample_report: Report, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(PlansmithError, match=r"file.*cannot be written.*name another folder"):
        write(sample_report, blocked)
    assert blocked.read_text() == "not a folder"


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond `size_bytes`: the kernel's own refusal, as of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_report_that_fails_halfway_keeps_the_previous_one(
    sample_report: Report, tmp_path: Path
) -> None:
    html, table = write(sample_report, tmp_path)
    before = html.read_bytes(), table.read_bytes()
    # The page fits and the JSON, written after it, does not.
    assert len(before[0]) < len(before[1])
    later = replace(sample_report, created_utc="2027-01-01 00:00 UTC")
    with room_for(len(before[0]) + 1000), pytest.raises(PlansmithError, match="cannot be written"):
        write(later, tmp_path)
    assert (html.read_bytes(), table.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_a_load_result_is_read_as_the_load_tester_writes_it(
    sample_report: Report, tmp_path: Path
) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(asdict(sample_report.loads[1])))
    assert read(file) == sample_report.loads[1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sent": "many"}, r"\$\.sent"),
        ({"verdict": "maybe"}, r"\$\.verdict"),
        ({"schema": 2}, r"\$\.schema"),
        ({"arrivals": {"kind": "open", "concurrency": 4, "rate_per_s": None}}, "rate_per_s"),
        ({"histogram_us": [[1000, 3]]}, "histogram_us counts 3 requests, succeeded 5000"),
        ({"latency_ms": None}, "latency_ms"),
    ],
)
def test_a_bad_load_result_is_refused_by_file_and_field(
    sample_report: Report, tmp_path: Path, change: dict[str, object], field: str
) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(asdict(sample_report.loads[1]) | change))
    with pytest.raises(UnusableInput, match=rf"load\.json: not a load result: .*{field}"):
        read(file)


def test_a_missing_load_result_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"none\.json: cannot be read: .*run the load test"):
        read(tmp_path / "none.json")


def test_importing_the_report_imports_nothing_that_draws() -> None:
    code = "import plansmith.report, sys; print({'matplotlib', 'jinja2', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
