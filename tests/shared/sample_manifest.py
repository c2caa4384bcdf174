"""The manifest of the sample report: efficientnet_lite0 version 3, built for two targets."""

from __future__ import annotations

from plansmith.data.identity import DataIdentity
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import InputShapes, Profile
from plansmith.forms import Form, PruneAttempt
from plansmith.manifest import FileDigest, Machine, Manifest, TargetBuild
from plansmith.recipe import Budget
from plansmith.tensors import TensorSpec
from sample_trials import CPU_TRIALS, RTX_TRIALS, SAMPLES, trial_of

SLO_MS = 100.0

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
        trials=tuple(trial_of(*row, runtime) for row in rows),
    )


def efficientnet() -> Manifest:
    """Built for the CPU, and for TensorRT-RTX on a machine without a GPU."""
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
