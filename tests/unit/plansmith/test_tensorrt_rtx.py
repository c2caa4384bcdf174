"""Real engines of TensorRT-RTX, built ahead of time with no GPU, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.plan_file import read_header
from plansmith.engines.profiles import Profile, profile_for
from plansmith.errors import LacksSomething, PlansmithError, UnusableInput
from plansmith.gpu import describe_gpu
from plansmith.targets import tensorrt, tensorrt_rtx
from plansmith.targets.tensorrt_builder import is_installed
from plansmith.tensors import TensorSpec

pytestmark = pytest.mark.skipif(
    not is_installed(tensorrt_rtx.RTX), reason="needs pip install tensorrt-rtx-cu13"
)

INPUT = TensorSpec(name="x", dtype="float32", shape=(64, 16, 16))
PROFILE = profile_for([INPUT], 4, {})
TWO = BuildOptions(compute_capabilities=("8.6", "8.9"))
CHANNELS = 128
WEIGHTS = np.random.default_rng(0).normal(size=(2, CHANNELS, CHANNELS, 3, 3)) / 40


def convolutions(dtype: str) -> onnx.ModelProto:
    """x float32 [batch, 64, 16, 16] → y float32 [batch, 128, 16, 16]: two convolutions in `dtype`.

    "int8+fp16" has the weights as INT8 and the arithmetic between in FP16.
    """
    first, second = WEIGHTS[0, :, :64], WEIGHTS[1]
    real = TensorProto.FLOAT if dtype == "fp32" else TensorProto.FLOAT16
    array = np.float32 if dtype == "fp32" else np.float16
    nodes = [helper.make_node("Cast", ["x"], ["x0"], to=real)]
    constants = []
    for index, weights in enumerate((first, second)):
        name, source = f"w{index}", f"x{index}"
        if dtype == "int8+fp16":
            scale = np.float16(abs(weights).max() / 127)
            constants += [
                numpy_helper.from_array(np.round(weights / scale).astype(np.int8), f"q{index}"),
                numpy_helper.from_array(np.array(scale), f"ws{index}"),
                numpy_helper.from_array(np.array(0.05, np.float16), f"xs{index}"),
                numpy_helper.from_array(np.array(0, np.int8), f"z{index}"),
            ]
            scales = [f"xs{index}", f"z{index}"]
            nodes += [
                helper.make_node("QuantizeLinear", [source, *scales], [f"xq{index}"]),
                helper.make_node("DequantizeLinear", [f"xq{index}", *scales], [f"xd{index}"]),
                helper.make_node(
                    "DequantizeLinear", [f"q{index}", f"ws{index}", f"z{index}"], [name]
                ),
            ]
            source = f"xd{index}"
        else:
            constants.append(numpy_helper.from_array(weights.astype(array), name))
        nodes += [
            helper.make_node("Conv", [source, name], [f"c{index}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{index}"], [f"x{index + 1}"]),
        ]
    nodes.append(helper.make_node("Cast", ["x2"], ["y"], to=TensorProto.FLOAT))
    shape = ["batch", CHANNELS, 16, 16]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same network as fp32.onnx, fp16.onnx and int8+fp16.onnx."""
    folder = tmp_path_factory.mktemp("sources")
    for dtype in ("fp32", "fp16", "int8+fp16"):
        onnx.save(convolutions(dtype), folder / f"{dtype}.onnx")
    return folder


def build(
    source: Path, folder: Path, options: BuildOptions = TWO, profile: Profile = PROFILE
) -> tuple[EnginePassport, ...]:
    return tensorrt_rtx.build_engines(source, folder, profile, options, precision=source.stem)


@pytest.fixture(scope="module")
def built(
    sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[EnginePassport, ...]]:
    """Engines of the FP32 network for two compute capabilities in one folder."""
    folder = tmp_path_factory.mktemp("built")
    return folder, build(sources / "fp32.onnx", folder)


Built = tuple[Path, tuple[EnginePassport, ...]]


def test_one_version_has_an_engine_for_each_compute_capability(built: Built) -> None:
    folder, passports = built
    assert [passport.file for passport in passports] == [
        "model-rtx-cc86.plan",
        "model-rtx-cc89.plan",
    ]
    for passport, capability in zip(passports, ("8.6", "8.9"), strict=True):
        assert passport.compute_capabilities == (capability,)
        header = read_header(folder / passport.file, "tensorrt-rtx")
        assert header.compute_capabilities == (capability,), "as the file itself says"


def test_a_passport_says_what_is_known_and_nothing_else(built: Built, sources: Path) -> None:
    import tensorrt_rtx as library

    folder, (passport, _) = built
    plan = (folder / passport.file).read_bytes()
    assert (passport.sha256, passport.size_bytes) == (hashlib.sha256(plan).hexdigest(), len(plan))
    source = (sources / "fp32.onnx").read_bytes()
    assert passport.onnx_sha256 == hashlib.sha256(source).hexdigest()
    assert passport.library_version == library.__version__
    assert passport.options == replace(TWO, compute_capabilities=("8.6",))
    assert (passport.profile, passport.precision) == (PROFILE, "fp32")
    if describe_gpu() is None:
        assert (passport.gpu_name, passport.driver) == (None, None)
    assert passport.timing_cache_sha256 is None, "the library keeps no timing cache"


def test_the_same_graph_is_the_same_engine(built: Built, sources: Path, tmp_path: Path) -> None:
    again = build(sources / "fp32.onnx", tmp_path)
    assert [passport.sha256 for passport in again] == [passport.sha256 for passport in built[1]]


def test_int8_with_fp16_is_at_most_three_quarters_of_fp32(
    built: Built, sources: Path, tmp_path: Path
) -> None:
    (fp32, _) = built[1]
    one = BuildOptions(compute_capabilities=("8.6",))
    (int8,) = build(sources / "int8+fp16.onnx", tmp_path, one)
    assert int8.size_bytes <= 0.75 * fp32.size_bytes


def test_types_are_those_of_the_graph(sources: Path, tmp_path: Path) -> None:
    build(sources / "fp16.onnx", tmp_path, BuildOptions(compute_capabilities=("8.6",)))
    listed = (tmp_path / "model-rtx-cc86.layers.json").read_text()
    assert '"Half"' in listed, "FP16 comes from the graph: the builder has no switch for it"


def test_nothing_is_printed(
    sources: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build(sources / "fp32.onnx", tmp_path, BuildOptions(compute_capabilities=("8.6",)))
    assert capfd.readouterr() == ("", "")


def test_the_options_of_a_builder_reach_it(sources: Path, tmp_path: Path) -> None:
    options = BuildOptions(
        optimisation_level=0,
        workspace_bytes=2**28,
        sparse=True,
        compute_capabilities=("8.6",),
    )
    (passport,) = build(sources / "fp32.onnx", tmp_path, options)
    assert passport.options == options


def test_a_build_that_fails_is_told_in_the_librarys_words(tmp_path: Path) -> None:
    fixed = convolutions("fp32")
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(fixed, tmp_path / "fixed.onnx")
    with pytest.raises(
        PlansmithError, match=r"fixed\.onnx: TensorRT-RTX failed: .*profile"
    ) as error:
        build(tmp_path / "fixed.onnx", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version_compatible": True}, "no version-compatible engines"),
        ({"hardware_compatible": True}, "no hardware-compatible engines"),
        ({"compute_capabilities": ()}, "name each compute capability"),
        ({"compute_capabilities": ("8.6", "8.6")}, "once"),
        ({"compute_capabilities": ("9.9",)}, r"9\.9 is not one that TensorRT-RTX"),
    ],
)
def test_an_option_that_the_library_lacks_is_refused(
    sources: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(UnusableInput, match=says):
        build(sources / "fp32.onnx", tmp_path, replace(TWO, **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_graph_with_an_unknown_operator_is_refused_by_name(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Teleport", ["x"], ["y"], name="the_one", domain="com.example")],
        "bad",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64, 16, 16])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "bad.onnx")
    with pytest.raises(UnusableInput, match=r"the_one \(Teleport\)"):
        build(tmp_path / "bad.onnx", tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(UnusableInput, match="cannot take this graph"):
        build(tmp_path / "bad.onnx", tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="cannot be read"):
        build(tmp_path / "none.onnx", tmp_path)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (TensorSpec(name="image", dtype="float32", shape=(64, 16, 16)), "its inputs are x"),
        (TensorSpec(name="x", dtype="float32", shape=(64, 16)), "x has 4 dimensions"),
    ],
)
def test_a_profile_that_does_not_fit_the_graph_is_told(
    sources: Path, tmp_path: Path, spec: TensorSpec, says: str
) -> None:
    with pytest.raises(UnusableInput, match=says):
        build(sources / "fp32.onnx", tmp_path, profile=profile_for([spec], 4, {}))


def test_a_timing_cache_is_kept_for_graph_library_and_gpu(sources: Path, tmp_path: Path) -> None:
    # TensorRT-RTX takes a timing cache and does nothing with it: enough to walk the path here.
    library = replace(tensorrt_rtx.RTX, keeps_timing_cache=True)
    caches = tmp_path / "caches"
    options = BuildOptions(compute_capabilities=("8.6",))

    def run(name: str) -> EnginePassport:
        return tensorrt.build_engine(
            sources / f"{name}.onnx",
            tmp_path / "model.plan",
            PROFILE,
            options,
            library=library,
            precision=name,
            timing_cache=caches,
        )

    first, second = run("fp32"), run("fp32")
    assert first.timing_cache_sha256 == second.timing_cache_sha256 is not None
    assert len(list(caches.iterdir())) == 1
    run("fp16")
    assert len(list(caches.iterdir())) == 2


def test_the_library_tells_what_it_builds_for() -> None:
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(tensorrt_rtx.compute_capabilities())


def test_a_machine_with_the_library_can_build() -> None:
    tensorrt_rtx.require("digits")


def test_a_foreign_file_is_refused_before_a_gpu_is_asked_for(sources: Path) -> None:
    with pytest.raises(UnusableInput, match="ONNX"):
        tensorrt_rtx.open_engine(sources / "fp32.onnx", 1)


def test_an_engine_cannot_be_run_without_a_gpu(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LacksSomething, match="runs on an NVIDIA GPU"):
        tensorrt_rtx.open_engine(built[0] / "model-rtx-cc86.plan", 1)


@pytest.mark.skipif(describe_gpu() is None, reason="runs engines: needs an NVIDIA GPU")
def test_an_engine_answers_as_onnx_runtime_does(sources: Path, tmp_path: Path) -> None:
    from plansmith.targets import onnxruntime

    gpu = describe_gpu()
    assert gpu is not None
    options = BuildOptions(compute_capabilities=(gpu.compute_capability,))
    (passport,) = build(sources / "fp32.onnx", tmp_path, options)
    engine = tensorrt_rtx.open_engine(tmp_path / passport.file, 4)
    x = np.random.default_rng(1).normal(size=(7, *INPUT.shape)).astype(np.float32)
    got = engine.answer({"x": x})["y"]
    engine.close()
    want = onnxruntime.open_engine(sources / "fp32.onnx", 1).answer({"x": x})["y"]
    # TF32 keeps 10 bits of each factor: 1152 products of order 0.1 each.
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-1)
