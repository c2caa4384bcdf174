"""One realistic report for the tests of the page and of its JSON, unit and browser alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from plansmith.compare import Fidelity, share_bound
from plansmith.findings import Prediction, Ranked, Report, ServedCheck
from plansmith.load_result import Arrivals, Failure, LatencyMs, LoadResult, Slo
from plansmith.manifest import FileDigest, Machine, Manifest, Trial
from plansmith.measure import LatencySummary, Throughput
from plansmith.recipe import Budget
from plansmith.tensors import TensorSpec

SAMPLES = 652
SLO_MS = 100.0

# Shaped like the runs in the design's measurements: name, runtime, precision, items/s, p50 in ms,
# answers that differ (None: has no fidelity), mean KL, largest deviation, verdict, reason.
TRIALS = (
    ("fp32-s1t2-b1", "OpenVINO", "fp32", 228.4, 4.31, 0, 3.1e-11, 2.2e-5, "kept", "slower"),
    ("fp32-s2t2-b1", "OpenVINO", "fp32", 251.0, 4.40, 0, 3.0e-11, 2.2e-5, "kept", "slower"),
    ("bf16-s1t2-b1", "OpenVINO", "bf16", 422.3, 2.30, 4, 8.9e-4, 0.231, "kept", "slower"),
    ("bf16-s2t2-b1", "OpenVINO", "bf16", 621.7, 2.41, 4, 8.9e-4, 0.231, "chosen", "fastest"),
    ("bf16-s2t2-dynamic", "OpenVINO", "bf16", 575.2, 2.52, 4, 8.9e-4, 0.229, "kept", "slower"),
    ("int8-s2t2-b1", "OpenVINO", "int8", 540.9, 2.71, 31, 2.4e-2, 1.873, "refused", "too far off"),
    ("onnxruntime", "ONNX Runtime", "fp32", 233.0, 4.29, None, 0, 0, "reference", "compared with"),
    ("torch-eager", "PyTorch eager", "fp32", 76.8, 13.0, None, 0, 0, "baseline", "for scale"),
)
REASONS = {
    "slower": "slower than bf16-s2t2-b1; top-1 answers that differ 0.613% on 652 samples, at most "
    "1.398% at 95 %, budget 1.500%",
    "fastest": "fastest: 2.67x onnxruntime; top-1 answers that differ 0.613% on 652 samples, at "
    "most 1.398% at 95 %, budget 1.500%",
    "too far off": "over the accuracy budget: top-1 answers that differ 4.755% on 652 samples, at "
    "most 6.386% at 95 %, budget 1.500%",
    "compared with": "the FP32 original, whose answers all others are compared with",
    "for scale": "the model as it was trained, timed for scale",
}
SIZES = {"fp32": 18_596_312, "bf16": 9_402_118, "int8": 5_011_004}


def _trial(
    name: str,
    runtime: str,
    precision: str,
    per_s: float,
    p50_ms: float,
    differ: int | None,
    mean_kl: float,
    deviation: float,
    verdict: str,
    reason: str,
) -> Trial:
    return Trial(
        name=name,
        runtime=runtime,
        precision=precision,
        batch_size=1,
        size_bytes=SIZES[precision],
        throughput=Throughput(
            rounds=5, median_per_s=per_s, low_per_s=per_s * 0.96, high_per_s=per_s * 1.02
        ),
        latency=LatencySummary(
            count=400,
            mean_ms=p50_ms * 1.05,
            p50_ms=p50_ms,
            p95_ms=p50_ms * 1.2,
            p99_ms=p50_ms * 1.7,
            max_ms=p50_ms * 3,
        ),
        fidelity=None
        if differ is None
        else Fidelity(
            count=SAMPLES,
            top1_agreement=1 - differ / SAMPLES,
            top1_agreement_low=1 - share_bound(differ, SAMPLES),
            expected_top1_drop=differ * 1.2e-5,
            expected_top1_drop_high=differ * 2.3e-5,
            mean_kl=mean_kl,
            max_abs_deviation=deviation,
        ),
        verdict=verdict,
        reason=REASONS[reason],
    )


def _manifest() -> Manifest:
    return Manifest(
        schema=1,
        model="efficientnet_lite0",
        version=3,
        target="cpu",
        created_utc="2026-11-24T09:12:44Z",
        build_key="74" * 32,
        machine=Machine(
            cpu="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            cores=2,
            memory_bytes=8_331_259_904,
            system="Debian GNU/Linux 12 (bookworm), Linux 6.1.0",
            features=("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"),
        ),
        tools={"plansmith": "0.1.0", "openvino": "2026.4.0", "onnx": "1.19.1", "torch": "2.13.0"},
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(224, 224, 3)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=(1000,)),),
        sources=(
            FileDigest(path="recipe.toml", sha256="1f" * 32, size_bytes=744),
            FileDigest(path="source.py", sha256="a7" * 32, size_bytes=2310),
        ),
        artifacts=(
            FileDigest(path="model.xml", sha256="c0" * 32, size_bytes=311_204),
            FileDigest(path="model.bin", sha256="5e" * 32, size_bytes=9_090_914),
        ),
        evaluation_count=SAMPLES,
        evaluation_sha256="9d" * 32,
        budget=Budget(metric="top1_agreement", max_drop=0.015),
        p99_ms=SLO_MS,
        trials=tuple(_trial(*row) for row in TRIALS),
    )


def _load(arrivals: Arrivals, median_ms: float, spread: float, failed: int) -> LoadResult:
    """5000 requests whose latencies are log-normal; percentiles are NumPy's."""
    draws = np.random.default_rng(len(arrivals.kind)).lognormal(np.log(median_ms), spread, 5000)
    latencies_us = np.round(draws * 1000).astype(int)
    p50, p90, p95, p99, p999 = np.quantile(latencies_us / 1000, [0.5, 0.9, 0.95, 0.99, 0.999])
    errors = (Failure(kind="DeadlineExceeded", count=failed, example="no answer in 1 s"),)
    return LoadResult(
        schema=1,
        model="efficientnet_lite0",
        url="localhost:8001",
        arrivals=arrivals,
        batch_size=1,
        warmup_s=2.0,
        duration_s=10.02,
        sent=5000 + failed,
        succeeded=5000,
        failed=failed,
        errors=errors if failed else (),
        throughput_per_s=arrivals.rate_per_s or 499.0,
        latency_ms=LatencyMs(
            mean=float(latencies_us.mean() / 1000),
            p50=float(p50),
            p90=float(p90),
            p95=float(p95),
            p99=float(p99),
            p999=float(p999),
            max=float(latencies_us.max() / 1000),
        ),
        p99_interval_ms=(float(p99) * 0.96, float(p99) * 1.06),
        histogram_us=tuple(sorted(Counter(latencies_us.tolist()).items())),
        slo=Slo(p99_ms=SLO_MS),
        verdict="pass",
        reason=f"p99 is {p99 * 0.96:.1f} to {p99 * 1.06:.1f} ms (95 %), within {SLO_MS:g} ms",
    )


def _prediction(title: str, labels: tuple[str, ...], reference: tuple[int, str]) -> Prediction:
    """The picture is a gradient: what it shows does not matter, that it is shown does."""
    across, down = np.meshgrid(np.linspace(0, 255, 320), np.linspace(0, 255, 240))
    image = np.stack([across, down, np.full_like(across, 90 + 20 * len(title))], axis=-1)
    shares = (0.62, 0.21, 0.09, 0.04, 0.0004)
    return Prediction(
        title=title,
        caption="scikit-image, resized to 224 x 224.",
        image=image.astype(np.uint8),
        served=tuple(
            Ranked(index=281 + place, label=label, probability=share)
            for place, (label, share) in enumerate(zip(labels, shares, strict=True))
        ),
        reference_index=reference[0],
        reference_label=reference[1],
    )


CATS = ("tabby, tabby cat", "tiger cat", "Egyptian cat", "lynx, catamount", "doormat, welcome mat")
CUPS = ("espresso", "cup", "coffee mug", "eggnog", "consomme")
ROCKETS = ("missile", "projectile, missile", "space shuttle", "obelisk", "lighthouse, beacon light")


@pytest.fixture(scope="session")
def sample_report() -> Report:
    """efficientnet_lite0 version 3, served and loaded, with nothing left unmeasured."""
    return Report(
        manifest=_manifest(),
        loads=(
            _load(Arrivals(kind="closed", concurrency=16, rate_per_s=None), 31.0, 0.17, failed=0),
            _load(Arrivals(kind="open", concurrency=None, rate_per_s=200.0), 7.5, 0.5, failed=1),
        ),
        predictions=(
            _prediction("chelsea", CATS, (281, "tabby, tabby cat")),
            _prediction("coffee", CUPS, (281, "espresso")),
            _prediction("rocket", ROCKETS, (282, "projectile, missile")),
        ),
        served_check=ServedCheck(
            count=300,
            batch_sizes=(1, 4, 8),
            max_abs_deviation=0.0021,
            tolerance=0.05,
            passed=True,
            top1_agreement=298 / 300,
        ),
        created_utc="2026-11-24 09:41 UTC",
        server="Triton 2.51.0, embedded (development)",
    )
