"""What a report's values come to: what was lost, and what forms are called and cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plansmith.compare import Fidelity
from plansmith.findings import Report, kind, loss, relative_macs, verdict
from plansmith.manifest import Trial


@pytest.fixture(scope="module")
def chosen(sample_report: Report) -> Trial:
    """bf16-s2t2-b1: of 652 answers 4 differ, 3 were lost and 1 gained."""
    return sample_report.build.chosen


@pytest.fixture(scope="module")
def fidelity(chosen: Trial) -> Fidelity:
    assert chosen.fidelity is not None
    return chosen.fidelity


@pytest.mark.parametrize(("metric", "lost"), [("top1", 2 / 652), ("top1_agreement", 4 / 652)])
def test_a_loss_is_that_of_the_budgets_metric(metric: str, lost: float, fidelity: Fidelity) -> None:
    found = loss(fidelity, metric)
    assert found is not None
    assert found[0] == pytest.approx(lost)
    assert found[1] > found[0]


def test_a_loss_of_accuracy_is_not_known_without_labels(fidelity: Fidelity) -> None:
    assert loss(replace(fidelity, labelled=None), "top1") is None
    assert loss(None, "top1_agreement") is None


def test_a_budget_of_accuracy_without_labels_is_unclear_and_no_pass(
    sample_report: Report, fidelity: Fidelity
) -> None:
    bare = replace(fidelity, labelled=None)
    builds = tuple(
        replace(build, trials=tuple(replace(trial, fidelity=bare) for trial in build.trials))
        for build in sample_report.manifest.builds
    )
    report = replace(sample_report, manifest=replace(sample_report.manifest, builds=builds))
    assert verdict(report)[0] == "unclear"


@pytest.mark.parametrize(
    ("form", "precision", "called"),
    [
        ("fp32", "fp32", "fp32"),
        ("fp32", "bf16", "bf16"),
        ("pruned", "fp32", "pruned"),
        ("pruned", "bf16", "pruned in bf16"),
        ("pruned-int8", "int8", "pruned-int8"),
    ],
)
def test_a_plot_calls_trials_by_form_and_by_what_they_run_in(
    form: str, precision: str, called: str, sample_report: Report, chosen: Trial
) -> None:
    made = sample_report.build.form(form)
    assert kind(replace(chosen, form=form, precision=precision), made) == called


def test_macs_are_told_relative_to_the_trained_models(sample_report: Report) -> None:
    forms = sample_report.build.forms
    shares = {form.name: relative_macs(form, forms) for form in forms}
    assert shares["fp32"] == shares["int8"] == 1
    assert shares["pruned"] == pytest.approx(262_104_816 / 385_921_632)
    assert shares["int8-mixed"] is None, "where they are not known"


def test_macs_have_no_share_where_the_trained_models_are_not_known(sample_report: Report) -> None:
    forms = sample_report.build.forms
    unknown = (replace(forms[0], macs=None), *forms[1:])
    assert [relative_macs(form, unknown) for form in unknown] == [None] * len(forms)
