"""The page is one file: it runs nothing, refers to nothing outside, and text stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from plansmith.findings import Prediction, Report
from plansmith.report import render_html
from plansmith.showcase.calls import Showcase
from report_pages import Page, with_chosen

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


def test_a_changed_figure_changes_the_page(lean: Report) -> None:
    slower = replace(lean.build.chosen.throughput, median_per_s=612.3)
    assert "612" in Page(render_html(with_chosen(lean, throughput=slower))).text


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
    read = sample_report.showcase.page
    assert read is not None
    hostile_page = replace(read, lines=(replace(read.lines[0], text=HOSTILE),))
    hostile = with_chosen(sample_report, name=HOSTILE, runtime=HOSTILE, reason=HOSTILE)
    hostile = replace(
        hostile,
        server=HOSTILE,
        predictions=(replace(shown, title=HOSTILE, caption=HOSTILE, served=(rank,)),),
        models=(replace(sample_report.models[0], model=HOSTILE, note=HOSTILE),),
        showcase=Showcase(page=hostile_page),
        loads=(replace(sample_report.loads[0], url=HOSTILE, model=HOSTILE, reason=HOSTILE),),
    )
    page = Page(render_html(hostile))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 11


def test_dollars_in_a_name_are_no_formula(lean: Report) -> None:
    assert "a$_{b$" in render_html(with_chosen(lean, name="a$_{b$"))


@pytest.mark.parametrize(
    "image", [b"GIF89a", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_only_pictures_a_page_can_show_are_accepted(
    sample_report: Report, image: bytes | np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"chelsea: .*(PNG nor JPEG|expected uint8)"):
        replace(sample_report.predictions[0], image=image)


def test_a_png_is_embedded_as_it_is(lean: Report) -> None:
    png = b"\x89PNG\r\n\x1a\n of no matter"
    shown: Prediction = replace(lean.predictions[0], image=png)
    html = render_html(replace(lean, predictions=(shown,)))
    assert "data:image/png;base64,iVBORw0KGgogb2Ygbm8gbWF0dGVy" in html
