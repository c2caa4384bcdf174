"""The page on how it was made: forms, data, engines."""

from __future__ import annotations

from dataclasses import replace

from plansmith.findings import Report
from plansmith.report import render_html
from report_pages import Page


def test_forms_say_how_they_were_made(page: Page) -> None:
    text = page.text.replace("\u00a0", " ")
    assert (
        "pruned fp32, from fp32 torch-pruning 1.6.1 cpu 262 M 3.28 M none Recovered on 4,000"
    ) in text
    assert "20.0 % 262 M 3.28 M 0.46 points kept 30.0 % 215 M 2.69 M 2.31 points exceeded" in text
    assert "2 layers kept in fp32 /features/conv_stem/Conv /classifier/Gemm" in text


def test_a_form_of_several_targets_is_told_once(page: Page) -> None:
    assert "fp32, as it was trained onnxslim 0.1.60 cpu, tensorrt-rtx" in page.text


def test_macs_stand_beside_a_variant_only_where_they_are_not_the_trained_models(
    page: Page,
) -> None:
    # 262,104,816 of 385,921,632.
    assert "pruned-int8-s2t2-b1 OpenVINO, int8, batch 1, 0.68\u00d7 MACs" in page.text
    assert page.text.count("\u00d7 MACs") == 2


def test_data_are_told_with_what_they_cover(page: Page, sample_report: Report) -> None:
    text, evaluation = page.text, sample_report.manifest.evaluation
    assert (
        "Evaluation Samples 652 Classes 41 of 1000 have a sample Values of image 0 to 255 "
        f"Skipped 2 files that could not be read SHA-256 {evaluation.sha256}"
    ) in text
    assert "Calibration Samples 160 Classes without labels Values of image 0 to 253" in text
    assert all(name in text for name in evaluation.skipped)


def test_a_version_without_calibration_says_so(lean: Report) -> None:
    bare = replace(lean, manifest=replace(lean.manifest, calibration=None))
    assert "Calibration none: nothing was calibrated" in Page(render_html(bare)).text


def test_every_engine_is_told_with_where_it_loads(page: Page) -> None:
    for capability in ("8.6", "8.9"):
        assert (
            f"model_{capability.replace('.', '')}.plan for tensorrt-rtx tensorrt-rtx 1.7.1 "
            f"CUDA 13.0 {capability} fp16 9.38 a machine without a GPU image: 1 \u00d7 224 "
        ) in page.text
