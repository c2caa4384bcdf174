"""The page on what was served: load, predictions, models of the repository, real calls."""

from __future__ import annotations

from dataclasses import replace

from plansmith.findings import Report, ServedModel
from plansmith.report import render_html
from plansmith.showcase.calls import Showcase
from report_pages import Page, with_chosen


def test_what_was_not_measured_is_called_so(lean: Report) -> None:
    bare = with_chosen(lean, fidelity=None)
    bare = replace(bare, predictions=(), served_check=None)
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
    found = render_html(replace(sample_report, loads=(one, late), showcase=Showcase()))
    assert found.count("<svg") == 6


def test_a_run_without_an_slo_is_drawn_without_its_line(sample_report: Report) -> None:
    free = replace(sample_report.loads[0], slo=None)
    text = Page(render_html(replace(sample_report, loads=(free,)))).text
    assert "SLO not given" in text
    assert "SLO: p99" not in text


def test_a_disagreement_with_the_reference_is_shown(page: Page) -> None:
    assert page.text.count("agrees with FP32") == 2
    assert page.text.count("FP32 says: projectile, missile") == 1


def test_every_model_of_the_repository_has_a_row_with_its_kind_and_figures(page: Page) -> None:
    text = page.text.replace("\u00a0", " ")
    assert (
        "efficientnet_lite0 openvino 3 64 0.0021 top-1 agreement 96.9 % 0.05 pass "
        "older onnxruntime 1 not measured not checked not checked: no golden answers "
        "sentence_embedding ensemble: sentence_tokenizer \u2192 sentence_encoder 3 8 3.1e-07 0.001 "
        "pass speech_activity onnxruntime, keeps state 3 240 none 0.0001 pass "
        "speech_segments python, streams its answers; calls speech_activity 3 2 none 0.033 pass"
    ) in text


def test_a_model_that_could_not_be_built_has_a_row_with_the_reason(lean: Report) -> None:
    missing = ServedModel(
        model="lost", version=None, kind=None, check=None, note="no module lost", failed=True
    )
    text = Page(render_html(replace(lean, models=(missing,)))).text
    assert "lost none not measured fail no module lost" in text


def test_sentences_are_a_matrix_of_cosines(page: Page) -> None:
    assert "have 0.81 or more, all others at most 0.40." in page.text
    assert "2. The hour is late. 0.81 1.00 0.40 3. Cats sleep. \u22120.03 0.40 1.00" in page.text


def test_segments_of_speech_are_told_with_when_they_were_answered(page: Page) -> None:
    assert "1 0.50 1.20 81.2 2 1.90 2.50 144" in page.text
    assert "whole clip of 3.0 s; an answer for each segment, 172 ms for all of it." in page.text


def test_a_clip_without_speech_says_so(lean: Report, sample_report: Report) -> None:
    heard = sample_report.showcase.speech
    assert heard is not None
    silent = Showcase(speech=replace(heard, segments=()))
    assert "no speech was found" in Page(render_html(replace(lean, showcase=silent))).text


def test_what_was_read_is_told_line_by_line_and_whether_it_is_right(
    page: Page, lean: Report, sample_report: Report
) -> None:
    text = page.text.replace("\u00a0", " ")
    assert "1. Total due 99.1 % 2. 12.50EUR 95.0 %" in text
    assert "What was read as it was written" in text
    read = sample_report.showcase.page
    assert read is not None
    short = Showcase(page=replace(read, lines=read.lines[:1]))
    text = Page(render_html(replace(lean, showcase=short))).text
    assert "What was read differs from what was written" in text
    assert "Written: Total due / 12.50 EUR" in text


def test_what_the_repository_has_no_models_for_is_left_out(lean: Report) -> None:
    text = Page(render_html(lean)).text
    assert "Real calls" not in text
    assert "Sentences by meaning" not in text
