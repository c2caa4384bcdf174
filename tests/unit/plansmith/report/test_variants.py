"""The page on the variants: their figures, verdicts and reasons, and what was not measured."""

from __future__ import annotations

import re
from dataclasses import replace

from plansmith import recipe
from plansmith.findings import Report, headline
from plansmith.report import METRICS, render_html
from report_pages import Page, drawings, with_build, with_chosen, without_labels


def test_a_speed_that_was_not_measured_gives_no_ratio(lean: Report) -> None:
    untimed = with_chosen(lean, throughput=None, latency=None)
    assert "bf16-s2t2-b1, speed not measured; top-1" in headline(untimed)
    assert "Throughput, in-process not measured" in Page(render_html(untimed)).text


def test_the_chosen_variants_row_has_its_figures(page: Page) -> None:
    row = (
        "bf16-s2t2-b1 OpenVINO, bf16, batch 1 9.30 peak 167 622 597 to 634 2.41 p99 4.10 98.3 % "
        "drop at most 1.05 points 99.4 % at least 98.6 % 0.00089 at most 0.0012 0.23 chosen "
        "fastest: 2.67x onnxruntime"
    )
    assert row in page.text


def test_every_variant_is_shown_with_its_verdict_and_reason(
    page: Page, sample_report: Report
) -> None:
    for build in sample_report.manifest.builds:
        for trial in build.trials:
            assert f"{trial.name} {trial.runtime}" in page.text
            assert trial.reason in page.text


def test_a_form_that_was_not_made_is_shown_with_its_reason(page: Page) -> None:
    reason = "the budget was not reached with 12 of 52 layers in FP32"
    assert "int8-mixed nncf 3.4.0, int8 this form was not made, so it has no variants" in page.text
    assert page.text.count(reason) == 2, "beside the variants and among the forms"


def test_the_target_that_was_served_comes_first(page: Page) -> None:
    assert page.text.index("Variants on cpu") < page.text.index("Variants on tensorrt-rtx")


def test_what_has_no_speed_is_called_so_and_drawn_by_size(sample_report: Report) -> None:
    html = render_html(sample_report)
    assert ("fp16-b8 TensorRT-RTX, fp16, batch 8 9.38 not measured not measured 98.5 %") in Page(
        html
    ).text
    sizes = "Size, best first: fp16-b8 9.38 MB, fp32-b8 18.6 MB, onnxruntime 18.6 MB"
    assert sizes in drawings(html)
    assert "size, MB (speed: not measured)" in html


def test_the_first_tiles_have_the_accuracy_and_the_worst_groups(page: Page) -> None:
    text = page.text.replace("\u00a0", " ")
    assert (
        "Top-1 accuracy 98.3 % FP32 98.6 %, drop at most 1.05 points at 95 %, on 652 samples"
    ) in text
    # 3 lost of 32 samples of a class, and of 80 of a slice.
    assert (
        "Largest drop of a class 9.38 points class 285, 32 samples; "
        "slice dark: 3.75 points, 80 samples"
    ) in text


def test_without_labels_the_worst_slice_is_one_of_differing_answers(lean: Report) -> None:
    text = Page(render_html(without_labels(lean))).text.replace("\u00a0", " ")
    assert "Top-1 agreement 99.4 % at least 98.6 % at 95 %, on 652 samples" in text
    assert "Answers that differ in the worst slice 3.75 % slice dark, 80 samples" in text


def test_a_class_too_small_to_judge_is_not_measured(lean: Report) -> None:
    fidelity = lean.build.chosen.fidelity
    assert fidelity is not None
    assert fidelity.labelled is not None
    nothing = {"worst_class": None, "worst_class_drop": None, "worst_class_count": None}
    few = replace(fidelity, labelled=replace(fidelity.labelled, **nothing), worst_slice=None)
    text = Page(render_html(with_chosen(lean, fidelity=few))).text
    assert "Largest drop of a class not measured" in text


def test_of_many_variants_the_plot_has_the_best_and_the_table_all(lean: Report) -> None:
    pattern = next(t for t in lean.build.trials if t.name == "fp32-s1t2-b1")
    assert pattern.throughput is not None
    more = tuple(
        replace(
            pattern,
            name=f"more-{n}",
            throughput=replace(pattern.throughput, median_per_s=300.0 + n),
        )
        for n in range(25)
    )
    html = render_html(with_build(lean, trials=(*lean.build.trials, *more)))
    (bars,) = (said for said in drawings(html) if said.startswith("Throughput"))
    # The ten fastest: five at the old speeds above 400 or so, pruned at 341, then 324 to 321.
    assert [name for name in re.findall(r"[a-z0-9-]+(?= [\d.]+ per second)", bars)] == [
        *("bf16-s2t2-b1", "pruned-int8-s2t2-b1", "bf16-s2t2-dynamic", "int8-s2t2-b1"),
        *("bf16-s1t2-b1", "pruned-s2t2-b1", "more-24", "more-23", "more-22", "more-21"),
        *("onnxruntime", "torch-eager"),
    ]
    text = Page(html).text
    assert "The best 12 of 35; the table has all." in text
    assert all(f"more-{n} OpenVINO" in text for n in range(25))


def test_the_chosen_one_has_a_bar_however_slow(lean: Report) -> None:
    slow = next(t for t in lean.build.trials if t.verdict == "chosen")
    assert slow.throughput is not None
    slow = replace(slow, name="slow", throughput=replace(slow.throughput, median_per_s=1.0))
    others = tuple(
        replace(t, name=f"{t.name}-{n}", verdict="kept" if t.verdict == "chosen" else t.verdict)
        for t in lean.build.trials
        for n in range(3)
    )
    html = render_html(with_build(lean, trials=(slow, *others)))
    assert ", slow 1.00 per second" in next(d for d in drawings(html) if d.startswith("Through"))


def test_every_metric_of_a_budget_has_its_words() -> None:
    assert set(METRICS) == set(recipe.METRICS)
