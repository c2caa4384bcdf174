"""The headline and the verdict: a pass is only what was measured and kept."""

from __future__ import annotations

from dataclasses import replace

from plansmith.findings import Report, headline, verdict
from report_pages import with_chosen, without_labels


def test_the_headline_has_the_chosen_one_its_ratios_and_the_agreement(
    sample_report: Report,
) -> None:
    # 621.7 / 233.0, 621.7 / 76.8, and 641 of 652 right where FP32 had 643: 3 lost, 1 gained.
    # Tango's score for a drop of 1.05 points is 1.645: see test_statistics.
    assert headline(sample_report).replace("\u00a0", " ") == (
        "efficientnet_lite0 v3 on cpu: bf16-s2t2-b1, 2.7\u00d7 FP32 ONNX Runtime, "
        "8.1\u00d7 FP32 PyTorch eager; top-1 accuracy 98.3 % on 652 samples, FP32's 98.6 %, "
        "drop at most 1.05 points at 95 % confidence"
    )


def test_without_labels_the_headline_has_the_agreement(sample_report: Report) -> None:
    # 648 of 652. At a share of differing answers of 1.4 % four or fewer of 652 have a chance of
    # 5 %: sum(comb(652, k) * p**k * (1 - p)**(652 - k)).
    assert (
        headline(without_labels(sample_report))
        .replace("\u00a0", " ")
        .endswith("; top-1 agreement 99.4 % on 652 samples (\u2265 98.6 % at 95 % confidence)")
    )


def test_everything_kept_is_a_pass(sample_report: Report) -> None:
    assert verdict(sample_report) == (
        "pass",
        "The accuracy budget is kept. Served answers match FP32's within tolerance on 300 samples. "
        "2 of 2 load runs keep the SLO. 4 of 5 models of the repository gave golden answers.",
    )


def test_what_was_not_checked_is_unclear_and_no_pass(sample_report: Report) -> None:
    assert verdict(replace(sample_report, served_check=None))[0] == "unclear"
    assert verdict(replace(sample_report, loads=()))[0] == "unclear"
    assert verdict(with_chosen(sample_report, fidelity=None))[0] == "unclear"
    assert verdict(replace(sample_report, models=()))[0] == "unclear"


def test_one_failed_run_fails_the_whole(sample_report: Report) -> None:
    failed = replace(sample_report.loads[1], verdict="fail")
    assert verdict(replace(sample_report, loads=(sample_report.loads[0], failed)))[0] == "fail"


def test_one_model_of_the_repository_that_fails_fails_the_whole(sample_report: Report) -> None:
    failed = replace(sample_report.models[2], failed=True, note="row 1: off by 2\nand more")
    found = verdict(replace(sample_report, models=(*sample_report.models[:2], failed)))
    assert found[0] == "fail"
    assert (
        "Not as they are to be in the repository: sentence_embedding (row 1: off by 2)." in found[1]
    )
