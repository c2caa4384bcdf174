"""Trials of the sample report: what was measured of efficientnet_lite0, and what came of it."""

from __future__ import annotations

from plansmith.compare import Fidelity, Labelled, SliceDrop
from plansmith.manifest import Trial
from plansmith.measure import LatencySummary, Throughput
from plansmith.statistics import paired_drop_bound, share_bound

SAMPLES = 652
# Samples that the FP32 original gets right.
RIGHT = 643

# Shaped like the runs in the design's measurements: name, form, precision, items/s and p50 in ms
# (None: not timed), answers (lost, gained, differing) or None for no fidelity, mean KL, largest
# deviation, verdict, reason.
CPU_TRIALS = (
    ("fp32-s1t2-b1", "fp32", "fp32", 228.4, 4.31, (0, 0, 0), 3.1e-11, 2.2e-5, "kept", "slower"),
    ("fp32-s2t2-b1", "fp32", "fp32", 251.0, 4.40, (0, 0, 0), 3.0e-11, 2.2e-5, "kept", "slower"),
    ("bf16-s1t2-b1", "fp32", "bf16", 422.3, 2.30, (3, 1, 4), 8.9e-4, 0.231, "kept", "slower"),
    ("bf16-s2t2-b1", "fp32", "bf16", 621.7, 2.41, (3, 1, 4), 8.9e-4, 0.231, "chosen", "fastest"),
    ("bf16-s2t2-dynamic", "fp32", "bf16", 575.2, 2.52, (3, 1, 4), 8.9e-4, 0.229, "kept", "slower"),
    ("pruned-s2t2-b1", "pruned", "fp32", 340.6, 3.4, (5, 2, 9), 6.1e-3, 0.914, "kept", "slower"),
    ("int8-s2t2-b1", "int8", "int8", 540.9, 2.71, (24, 3, 31), 2.4e-2, 1.873, "refused", "too far"),
    (
        "pruned-int8-s2t2-b1",
        *("pruned-int8", "int8", 611.3, 2.44, (27, 2, 36), 3.1e-2, 2.207, "refused", "too far"),
    ),
    ("onnxruntime", "fp32", "fp32", 233.0, 4.29, None, 0, 0, "reference", "compared with"),
    ("torch-eager", "fp32", "fp32", 76.8, 13.0, None, 0, 0, "baseline", "for scale"),
)
RTX_TRIALS = (
    ("fp32-b8", "fp32", "fp32", None, None, (0, 0, 0), 4.0e-11, 3.1e-5, "kept", "larger"),
    ("fp16-b8", "fp16", "fp16", None, None, (1, 0, 1), 2.7e-6, 0.012, "chosen", "smallest"),
    ("onnxruntime", "fp32", "fp32", 233.0, 4.29, None, 0, 0, "reference", "compared with"),
)
RUNTIMES = {"onnxruntime": "ONNX Runtime", "torch-eager": "PyTorch eager"}
REASONS = {
    "slower": "slower than bf16-s2t2-b1; top-1 drop 0.307% on 652 samples, at most 1.049% at 95 %, "
    "budget 1.500%",
    "fastest": "fastest: 2.67x onnxruntime; top-1 drop 0.307% on 652 samples, at most 1.049% at "
    "95 %, budget 1.500%",
    "too far": "over the accuracy budget: top-1 drop 3.221% on 652 samples, budget 1.500%",
    "smallest": "SPEED NOT MEASURED, accepted by the recipe: smallest of the faithful",
    "larger": "larger than fp16-b8; speed was not measured here",
    "compared with": "the FP32 original, whose answers all others are compared with",
    "for scale": "the model as it was trained, timed for scale",
}
SIZES = {
    "fp32": 18_596_312,
    "fp16": 9_377_120,
    "int8": 5_011_004,
    "pruned": 13_120_448,
    "pruned-int8": 3_604_112,
}


def _fidelity(differ: tuple[int, int, int], mean_kl: float, deviation: float) -> Fidelity:
    lost, gained, differing = differ
    return Fidelity(
        count=SAMPLES,
        top1_agreement=1 - differing / SAMPLES,
        top1_agreement_low=1 - share_bound(differing, SAMPLES),
        expected_top1_drop=differing * 1.2e-5,
        expected_top1_drop_high=0.0046 + differing * 1.1e-5,
        mean_kl=mean_kl,
        mean_kl_high=mean_kl * 1.3,
        max_abs_deviation=deviation,
        labelled=Labelled(
            accuracy=(RIGHT - lost + gained) / SAMPLES,
            original_accuracy=RIGHT / SAMPLES,
            drop=(lost - gained) / SAMPLES,
            drop_high=paired_drop_bound(lost, gained, SAMPLES),
            lost=lost,
            gained=gained,
            worst_class=285,
            worst_class_drop=lost / 32,
            worst_class_count=32,
        ),
        worst_slice=SliceDrop(name="dark", count=80, drop=lost / 80),
    )


def trial_of(
    name: str,
    form: str,
    precision: str,
    per_s: float | None,
    p50_ms: float | None,
    differ: tuple[int, int, int] | None,
    mean_kl: float,
    deviation: float,
    verdict: str,
    reason: str,
    runtime: str,
) -> Trial:
    """The trial of a row of CPU_TRIALS or RTX_TRIALS on that runtime."""
    share = 0.5 if precision == "bf16" else 1
    return Trial(
        name=name,
        form=form,
        runtime=RUNTIMES.get(name, runtime),
        precision=precision,
        batch_size=8 if name.endswith("b8") else 1,
        size_bytes=round(SIZES[form] * share),
        throughput=per_s
        and Throughput(
            rates_per_s=tuple(per_s * at for at in (0.98, 1.0, 1.02, 0.96, 1.01)),
            median_per_s=per_s,
            low_per_s=per_s * 0.96,
            high_per_s=per_s * 1.02,
        ),
        latency=p50_ms
        and LatencySummary(
            count=400,
            mean_ms=p50_ms * 1.05,
            p50_ms=p50_ms,
            p95_ms=p50_ms * 1.2,
            p99_ms=p50_ms * 1.7,
            max_ms=p50_ms * 3,
            round_p50_ms=(p50_ms,) * 5,
        ),
        fidelity=differ and _fidelity(differ, mean_kl, deviation),
        verdict=verdict,
        reason=REASONS[reason],
        peak_memory_bytes=per_s and SIZES[form] * 9,
    )
