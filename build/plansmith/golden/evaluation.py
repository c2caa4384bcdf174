"""Golden answers of a model that was optimised: evaluation samples and the FP32 original's."""

from __future__ import annotations

from collections.abc import Iterable

from plansmith.compare import Fidelity
from plansmith.golden.file import GoldenAnswers, column, rows_that_fit
from plansmith.manifest import TargetBuild
from plansmith.measure import spread_out
from plansmith.stages.products import Golden

# FP32 sums of another order, as engines of another batch size add them up, in logits: a hundred
# times what EfficientNet-Lite0's FP32 variants were seen to differ by (1e-5).
LEAST_TOLERANCE = 1e-3
# Another batch size rounds other values than the ones that were compared in the build.
TOLERANCE_FACTOR = 2.0


def tolerance(fidelity: Fidelity | None) -> float:
    """How far a served answer may be from FP32's, in logits.

    Twice as far as the same variant was in-process, on the same samples, when it was chosen.
    """
    seen = fidelity.max_abs_deviation if fidelity else 0.0
    return max(LEAST_TOLERANCE, TOLERANCE_FACTOR * seen)


def allowed(answers: GoldenAnswers, build: TargetBuild) -> float:
    """How far served answers of `build` may be from `answers`.

    A version has one set of golden answers for all its targets, and what is allowed in it is what
    the coarsest of them needs: each is held to its own fidelity instead.
    """
    fidelity = build.chosen.fidelity
    return answers.max_deviation if fidelity is None else tolerance(fidelity)


def small_enough(golden: Golden) -> int:
    """How many of the samples a version keeps."""
    row_bytes = sum(array[:1].nbytes for array in golden.samples.arrays.values())
    return rows_that_fit(golden.samples.count, row_bytes + golden.answers[:1].nbytes)


def golden_answers(
    golden: Golden, output: str, fidelities: Iterable[Fidelity | None], count: int | None = None
) -> GoldenAnswers:
    """`count` of the samples, evenly spread, and FP32's class scores as the output `output`.

    `fidelities` are those of the variants that the answers are to be held against; a `count` of
    None is as many as a version keeps.
    """
    picked = spread_out(golden.samples.count, count or small_enough(golden))
    return GoldenAnswers(
        inputs={name: column(array[picked]) for name, array in golden.samples.arrays.items()},
        outputs={output: column(golden.answers[picked])},
        max_deviation=max(map(tolerance, fidelities)),
        scores=output,
    )
