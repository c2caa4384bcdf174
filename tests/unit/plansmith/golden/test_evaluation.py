"""What an optimised version keeps of its evaluation data, and how far answers may be off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from plansmith.compare import Fidelity
from plansmith.golden.evaluation import allowed, golden_answers, tolerance
from plansmith.golden.file import MAX_ROWS, GoldenAnswers
from plansmith.manifest import FileDigest, Manifest
from plansmith.stages.products import Golden

ANSWERS = np.arange(400, dtype=np.float32).reshape(100, 4)


def kept(
    golden_of: Callable[..., Golden], *fidelities: Fidelity | None, count: int | None = None
) -> GoldenAnswers:
    golden = golden_of({"x": np.arange(100)[:, None]}, ANSWERS)
    return golden_answers(golden, "logits", fidelities, count)


def test_rows_are_picked_evenly_with_the_originals_answers(
    golden_of: Callable[..., Golden],
) -> None:
    found = kept(golden_of, None)
    assert found.count == MAX_ROWS
    rows = [int(row.item()) for row in found.inputs["x"]]
    assert (rows[0], rows[-1]) == (0, 99)
    assert {after - before for before, after in pairwise(rows)} == {1, 2}
    np.testing.assert_array_equal(np.stack(found.outputs["logits"]), ANSWERS[rows])
    assert found.scores == "logits"
    assert kept(golden_of, None, count=7).count == 7


def test_answers_may_be_as_far_off_as_the_chosen_variants_were(
    fidelity_of: Callable[..., Fidelity], golden_of: Callable[..., Golden]
) -> None:
    near, far = fidelity_of(max_abs_deviation=1e-6), fidelity_of(max_abs_deviation=0.25)
    assert tolerance(far) == 0.5
    # FP32, and a variant that was not compared: only the order of sums may differ.
    assert tolerance(near) == tolerance(None) == 1e-3
    assert kept(golden_of, near, far).max_deviation == 0.5


def test_each_target_is_held_to_its_own_fidelity(
    fidelity_of: Callable[..., Fidelity],
    golden_of: Callable[..., Golden],
    manifest_of: Callable[[int, tuple[FileDigest, ...]], Manifest],
) -> None:
    answers = kept(golden_of, fidelity_of(max_abs_deviation=0.25))
    build = manifest_of(1, ()).on("cpu")
    assert allowed(answers, build) == 1e-3
    # A model that is served as it is was compared with nothing.
    asis = replace(build, trials=(replace(build.chosen, fidelity=None),))
    assert allowed(answers, asis) == 0.5
