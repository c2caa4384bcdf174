"""One realistic report for the tests of the page and of its JSON, unit and browser alike."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from plansmith.compare import Fidelity, Labelled, SliceDrop
from plansmith.data.identity import DataIdentity
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import InputShapes, Profile
from plansmith.findings import (
    ModelKind,
    Prediction,
    Ranked,
    Report,
    ServedCheck,
    ServedModel,
)
from plansmith.forms import Form, PruneAttempt
from plansmith.load_result import Arrivals, Failure, LatencyMs, LoadResult, Slo
from plansmith.manifest import FileDigest, Machine, Manifest, TargetBuild, Trial
from plansmith.measure import LatencySummary, Throughput
from plansmith.recipe import Budget
from plansmith.showcase.calls import Showcase
from plansmith.showcase.page import Line, Page
from plansmith.showcase.sentences import Likeness
from plansmith.showcase.speech import Hearing, Segment
from plansmith.statistics import paired_drop_bound, share_bound
from plansmith.tensors import TensorSpec

SAMPLES = 652
# Samples that the FP32 original gets right.
RIGHT = 643
SLO_MS = 100.0

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
FORMS = (
    Form(
        name="fp32",
        precision="fp32",
        parent=None,
        tool="onnxslim 0.1.60",
        macs=385_921_632,
        parameters=4_652_008,
        notes=("31 of 204 nodes were folded away; answers differ by 3.1e-06 at most.",),
    ),
    Form(
        name="pruned",
        precision="fp32",
        parent="fp32",
        tool="torch-pruning 1.6.1",
        macs=262_104_816,
        parameters=3_280_112,
        attempts=(
            PruneAttempt(
                ratio=0.1, macs=315_221_040, parameters=3_904_520, loss=0.0015, kept_budget=True
            ),
            PruneAttempt(
                ratio=0.2, macs=262_104_816, parameters=3_280_112, loss=0.0046, kept_budget=True
            ),
            PruneAttempt(
                ratio=0.3, macs=214_500_960, parameters=2_690_332, loss=0.0231, kept_budget=False
            ),
        ),
        notes=("Recovered on 4,000 samples for 3 epochs after each step.",),
    ),
    Form(
        name="int8",
        precision="int8",
        parent="fp32",
        tool="nncf 3.4.0",
        macs=385_921_632,
        parameters=4_652_008,
    ),
    Form(
        name="pruned-int8",
        precision="int8",
        parent="pruned",
        tool="nncf 3.4.0",
        macs=262_104_816,
        parameters=3_280_112,
        kept_layers=("/features/conv_stem/Conv", "/classifier/Gemm"),
        notes=("Two layers are kept: they alone cost a third of the deviation.",),
    ),
    Form(
        name="int8-mixed",
        precision="int8",
        parent="int8",
        tool="nncf 3.4.0",
        macs=None,
        parameters=4_652_008,
        refused="the budget was not reached with 12 of 52 layers in FP32: drop 1.840% at best",
    ),
)
FP16 = Form(
    name="fp16",
    precision="fp16",
    parent="fp32",
    tool="modelopt 0.47.0 AutoCast",
    macs=385_921_632,
    parameters=4_652_008,
)


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


def _trial(
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


def _engine(capability: str) -> EnginePassport:
    return EnginePassport(
        file=f"model_{capability.replace('.', '')}.plan",
        sha256="b3" * 32,
        size_bytes=9_377_120,
        library="tensorrt-rtx",
        library_version="1.7.1",
        compute_capabilities=(capability,),
        gpu_name=None,
        driver=None,
        cuda="13.0",
        container=None,
        system="Debian GNU/Linux 12 (bookworm)",
        machine="x86_64",
        precision="fp16",
        onnx_sha256="4c" * 32,
        calibration_sha256=None,
        timing_cache_sha256=None,
        profile=Profile(
            inputs=(
                InputShapes(
                    name="image", min=(1, 224, 224, 3), opt=(8, 224, 224, 3), max=(8, 224, 224, 3)
                ),
            )
        ),
        options=BuildOptions(compute_capabilities=(capability,)),
    )


def _build(target: str) -> TargetBuild:
    cpu = target == "cpu"
    rows, runtime = (CPU_TRIALS, "OpenVINO") if cpu else (RTX_TRIALS, "TensorRT-RTX")
    return TargetBuild(
        target=target,
        build_key=("74" if cpu else "75") * 32,
        created_utc="2026-11-24T09:12:44Z",
        machine=Machine(
            cpu="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            cores=2,
            memory_bytes=8_331_259_904,
            system="Debian GNU/Linux 12 (bookworm), Linux 6.1.0",
            features=("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"),
        ),
        tools={"plansmith": "0.1.0", "onnx": "1.19.1", "torch": "2.13.0"}
        | ({"openvino": "2026.4.0"} if cpu else {"tensorrt-rtx": "1.7.1"}),
        artifacts=(
            FileDigest(path="model.xml", sha256="c0" * 32, size_bytes=311_204),
            FileDigest(path="model.bin", sha256="5e" * 32, size_bytes=9_090_914),
        )
        if cpu
        else (FileDigest(path="model_86.plan", sha256="b3" * 32, size_bytes=9_377_120),),
        passports=() if cpu else (_engine("8.6"), _engine("8.9")),
        forms=FORMS if cpu else (FORMS[0], FP16),
        trials=tuple(_trial(*row, runtime) for row in rows),
    )


def _manifest() -> Manifest:
    return Manifest(
        schema=2,
        model="efficientnet_lite0",
        version=3,
        created_utc="2026-11-24T09:14:02Z",
        inputs=(TensorSpec(name="image", dtype="uint8", shape=(224, 224, 3)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=(1000,)),),
        sources=(
            FileDigest(path="recipe.toml", sha256="1f" * 32, size_bytes=744),
            FileDigest(path="source.py", sha256="a7" * 32, size_bytes=2310),
        ),
        evaluation=DataIdentity(
            sha256="9d" * 32,
            count=SAMPLES,
            classes=41,
            class_count=1000,
            ranges={"image": (0.0, 255.0)},
            skipped=("photos/broken-01.jpg", "photos/README.txt"),
        ),
        calibration=DataIdentity(
            sha256="8c" * 32,
            count=160,
            classes=None,
            class_count=None,
            ranges={"image": (0.0, 253.0)},
            skipped=(),
        ),
        budget=Budget(metric="top1", max_drop=0.015),
        p99_ms=SLO_MS,
        builds=(_build("tensorrt-rtx"), _build("cpu")),
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


def _models() -> tuple[ServedModel, ...]:
    """One of each kind: an ensemble, one that keeps state, one that streams, one not checked."""

    def model(name: str, kind: ModelKind, rows: int, deviation: float, limit: float) -> ServedModel:
        check = ServedCheck(
            count=rows,
            batch_sizes=(1,),
            max_abs_deviation=deviation,
            tolerance=limit,
            passed=True,
            top1_agreement=62 / 64 if name == "efficientnet_lite0" else None,
        )
        return ServedModel(model=name, version=3, kind=kind, check=check, note="", failed=False)

    steps = ("sentence_tokenizer", "sentence_encoder")
    return (
        model("efficientnet_lite0", ModelKind(backend="openvino"), 64, 0.0021, 0.05),
        ServedModel(
            model="older",
            version=1,
            kind=ModelKind(backend="onnxruntime"),
            check=None,
            note="not checked: no golden answers",
            failed=False,
        ),
        model("sentence_embedding", ModelKind(backend="ensemble", calls=steps), 8, 3.1e-7, 1e-3),
        model("speech_activity", ModelKind(backend="onnxruntime", keeps_state=True), 240, 0, 1e-4),
        model(
            "speech_segments",
            ModelKind(backend="python", streams=True, calls=("speech_activity",)),
            *(2, 0.0, 0.033),
        ),
    )


def _showcase() -> Showcase:
    """Three sentences, three seconds of sound with two segments, a page of two lines."""
    seconds = np.arange(94) * 0.032
    speaks = ((seconds > 0.5) & (seconds < 1.2)) | ((seconds > 1.9) & (seconds < 2.5))
    blank = Image.new("RGB", (320, 120), (250, 248, 240))
    png = io.BytesIO()
    blank.save(png, "PNG")
    return Showcase(
        sentences=Likeness(
            texts=("It is late.", "The hour is late.", "Cats sleep."),
            paraphrases=((0, 1),),
            cosines=((1.0, 0.8123, -0.0312), (0.8123, 1.0, 0.4), (-0.0312, 0.4, 1.0)),
        ),
        speech=Hearing(
            frame_s=0.032,
            peaks=tuple((0.02 + 0.4 * speaks).tolist()),
            probabilities=tuple((0.01 + 0.97 * speaks).tolist()),
            segments=(
                Segment(start_s=0.5, end_s=1.2, after_ms=81.2),
                Segment(start_s=1.9, end_s=2.5, after_ms=143.9),
            ),
            took_ms=171.5,
        ),
        page=Page(
            picture=png.getvalue(),
            width=320,
            height=120,
            written=("Total due", "12.50 EUR"),
            lines=(
                Line(
                    text="Total due", score=0.991, corners=((9, 20), (120, 18), (120, 40), (9, 42))
                ),
                Line(text="12.50EUR", score=0.95, corners=((9, 70), (130, 68), (130, 90), (9, 92))),
            ),
        ),
    )


@pytest.fixture(scope="session")
def sample_report() -> Report:
    """efficientnet_lite0 version 3, served and loaded on the CPU, with nothing left unmeasured.

    It was built for TensorRT-RTX too, on a machine without a GPU: there nothing was timed.
    """
    return Report(
        manifest=_manifest(),
        target="cpu",
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
        models=_models(),
        showcase=_showcase(),
        created_utc="2026-11-24 09:41 UTC",
        server="Triton 2.51.0, embedded (development)",
    )
