"""Models that compression breaks: the form that is broken is refused by name and with figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from plansmith.cache import Cache

RTX = "tensorrt-rtx"
FP16_MAX = 65504


@pytest.fixture(scope="module")
def overflowing(of_hard_models: Callable[[str], Any]) -> onnx.ModelProto:
    return of_hard_models("overflowing")


@pytest.fixture(scope="module")
def overflowed(
    overflowing: onnx.ModelProto,
    digits_folder: Callable[..., Path],
    account_of: Callable[..., Any],
    cache: Cache,
) -> Any:
    return account_of(digits_folder("overflowing", RTX, model=overflowing), RTX, cache)


@pytest.fixture(scope="module", params=[RTX, "cpu"])
def lopsided(
    request: pytest.FixtureRequest,
    of_hard_models: Callable[[str], Any],
    digits_folder: Callable[..., Path],
    account_of: Callable[..., Any],
    cache: Cache,
) -> Any:
    folder = digits_folder("lopsided", request.param, model=of_hard_models("lopsided"))
    return account_of(folder, request.param, cache)


@pytest.fixture(scope="module")
def vanished(
    of_hard_models: Callable[[str], Any],
    digits_folder: Callable[..., Path],
    account_of: Callable[..., Any],
    cache: Cache,
) -> Any:
    folder = digits_folder("vanishing", RTX, model=of_hard_models("vanishing"))
    return account_of(folder, RTX, cache)


@pytest.fixture(scope="module")
def pruned(digits_folder: Callable[..., Path], account_of: Callable[..., Any], cache: Cache) -> Any:
    folder = digits_folder(
        "pruning",
        RTX,
        model=None,
        max_drop=0.01,
        more_data='calibration = "calibration.npy"\ntraining = "source.py:training"',
        more="[prune]\nepochs = 1",
    )
    return account_of(folder, RTX, cache)


def largest(model: onnx.ModelProto, tensor: str, rows: np.ndarray) -> float:
    """The largest value that `rows` give `tensor`."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(onnx.ValueInfoProto(name=tensor))
    (found,) = onnxruntime.InferenceSession(opened.SerializeToString()).run([tensor], {"x": rows})
    return float(np.abs(found).max())


def test_fp16_is_refused_for_the_layers_that_overflow_worst_first(
    overflowed: Any, overflowing: onnx.ModelProto, of_hard_models: Callable[[str], Any]
) -> None:
    reached = largest(overflowing, "second.sum", of_hard_models("calibration"))
    assert reached > FP16_MAX
    form = overflowed.forms["fp16"]
    assert form.refused.startswith("overflows FP16, whose largest number is 65504, in second (")
    told = re.findall(r"(\S+) \(([\d.e+]+)\)", form.refused)
    # Each layer once, though its weights are beyond, too.
    assert [layer for layer, _ in told] == ["second", "second.relu"]
    assert float(told[0][1]) == pytest.approx(reached, rel=0.005)  # three digits are told
    assert "fp16" not in overflowed.trials


def test_only_the_layers_that_write_or_read_what_overflows_stay_in_fp32(overflowed: Any) -> None:
    form = overflowed.forms["fp16-mixed"]
    assert (form.kept_layers, form.kept_precision) == (("second", "second.relu", "third"), "fp32")
    assert form.refused == ""


def test_the_mixed_form_keeps_the_answers_and_may_be_chosen(overflowed: Any) -> None:
    trial = overflowed.trials["fp16-mixed"]
    assert trial.verdict in ("kept", "chosen")
    assert trial.fidelity.top1_agreement > 0.99


def test_int8_that_loses_the_answers_is_refused_with_figures(lopsided: Any) -> None:
    trials = [trial for trial in lopsided.trials.values() if trial.form == "int8"]
    assert trials
    for trial in trials:
        assert trial.verdict == "refused"
        assert trial.fidelity.top1_agreement < 0.9
        share = f"{1 - trial.fidelity.top1_agreement:.3%}"
        assert trial.reason.startswith(
            f"over the accuracy budget: top-1 answers that differ {share} on 700 samples"
        )


def test_the_search_keeps_the_layer_that_reads_the_lopsided_channels_and_no_other(
    lopsided: Any,
) -> None:
    plain, mixed = lopsided.forms["int8"], lopsided.forms["int8-mixed"]
    found = set(mixed.kept_layers) - set(plain.kept_layers)
    assert len(found) == 1
    assert found.pop().startswith("third")
    assert mixed.refused == ""


def test_int8_with_that_layer_kept_is_within_the_budget(lopsided: Any) -> None:
    trials = [trial for trial in lopsided.trials.values() if trial.form == "int8-mixed"]
    assert trials
    assert all(trial.fidelity.top1_agreement > 0.95 for trial in trials)
    assert not any("over the accuracy budget" in trial.reason for trial in trials)


def test_a_variant_that_answers_nan_is_refused_for_that(vanished: Any) -> None:
    trials = [trial for trial in vanished.trials.values() if trial.form == "int8"]
    assert trials
    for trial in trials:
        assert (trial.verdict, trial.fidelity) == ("refused", None)
        assert trial.reason == "the variant's answers hold NaN or infinity"


def test_nan_in_one_variant_spoils_no_other(vanished: Any) -> None:
    mixed = vanished.forms["int8-mixed"]
    found = set(mixed.kept_layers) - set(vanished.forms["int8"].kept_layers)
    assert any(name.startswith("third") for name in found)
    assert vanished.chosen.fidelity.top1_agreement > 0.95
    assert all("NaN" not in t.reason for t in vanished.trials.values() if t.form != "int8")


def test_a_network_that_does_not_recover_from_pruning_is_refused_with_its_attempts(
    pruned: Any,
) -> None:
    form = pruned.forms["pruned"]
    assert form.attempts
    assert all(one.loss > 0.005 and not one.kept_budget for one in form.attempts)
    mildest = min(form.attempts, key=lambda one: one.ratio)
    assert form.refused == (
        f"did not recover: with {mildest.ratio:.0%} of the channels removed it still lost "
        f"{mildest.loss:.2%} on the calibration samples; with its standard error that has to "
        "stay within 0.50%"
    )


def test_without_the_pruned_form_the_rest_is_published(pruned: Any) -> None:
    assert "pruned" not in {trial.form for trial in pruned.trials.values()}
    assert {"fp32", "fp16"} <= set(pruned.forms)
    assert pruned.chosen.fidelity.top1_agreement > 0.99
