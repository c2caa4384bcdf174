"""TensorRT's target without TensorRT: what is lacking is told, GPUs described, configs written."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

import recipes
from plansmith import warm_up
from plansmith.config.message import ModelConfig, ServingConfig
from plansmith.config.rendering import render_config
from plansmith.engines.passport import BuildOptions, EnginePassport
from plansmith.engines.profiles import InputShapes, Profile
from plansmith.errors import LacksSomething, UnusableInput
from plansmith.gpu import Gpu, describe_gpu, parse_gpu
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe
from plansmith.targets import tensorrt

PROFILE = Profile(inputs=(InputShapes(name="x", min=(1, 8), opt=(2, 8), max=(2, 8)),))
RECIPE = recipes.TINY.replace('["cpu"]', '["tensorrt"]').replace(
    "shape = [4]", 'shape = [4]\nlabels = "labels.txt"'
)


def recipe(**changes: str) -> Recipe:
    text = RECIPE
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_recipe(text)


def passport(capability: str, file: str = "") -> EnginePassport:
    return EnginePassport(
        file=file or tensorrt.plan_name(capability),
        sha256="ab" * 32,
        size_bytes=10,
        library="tensorrt",
        library_version="11.1.0.106",
        compute_capabilities=(capability,),
        gpu_name=None,
        driver=None,
        cuda="13",
        container=None,
        system="Linux",
        machine="x86_64",
        precision="fp32",
        onnx_sha256="cd" * 32,
        calibration_sha256=None,
        timing_cache_sha256=None,
        profile=PROFILE,
        options=BuildOptions(),
    )


@pytest.mark.parametrize(
    ("text", "gpu"),
    [
        (
            "NVIDIA A10, 8.6, 580.95.05\nNVIDIA A10, 8.6, 580.95.05\n",
            Gpu(name="NVIDIA A10", compute_capability="8.6", driver="580.95.05"),
        ),
        ("", None),
        ("No devices were found\n", None),
    ],
)
def test_nvidia_smi_tells_the_first_gpu(text: str, gpu: Gpu | None) -> None:
    assert parse_gpu(text) == gpu


def stand_in_smi(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "name"),
    [("echo 'NVIDIA L4, 8.9, 610.43.02'", "NVIDIA L4"), ("echo 'driver fails'; exit 9", None)],
)
def test_a_gpu_is_there_where_nvidia_smi_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str | None
) -> None:
    stand_in_smi(tmp_path, script)  # the GPU's stand-in: nothing else is replaced
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpu = describe_gpu()
    assert (gpu.name if gpu else None) == name


def test_without_nvidia_smi_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_gpu() is None


def test_the_command_builds_in_the_image_that_fits_the_server() -> None:
    words = shlex.split(tensorrt.docker_command("digits", "26.06"))
    assert words[:2] == ["docker", "run"]
    assert "nvcr.io/nvidia/tensorrt:26.06-py3" in words
    assert f"{tensorrt.CONTAINER_VARIABLE}=26.06" in words
    assert words[-1].endswith("plansmith build digits --target tensorrt")


def test_no_model_name_gets_out_of_the_command() -> None:
    words = shlex.split(tensorrt.docker_command("a; rm -rf b", "26.06"))
    assert shlex.split(words[-1])[-3:] == ["a; rm -rf b", "--target", "tensorrt"]


def test_a_machine_without_a_gpu_is_told_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LacksSomething, match=r"docker run [^\n]*tensorrt:26\.06-py3") as caught:
        tensorrt.require("digits", container="26.06")
    assert caught.value.exit_code == 3


def test_building_without_a_gpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LacksSomething, match="builds on a GPU"):
        tensorrt.build_engine(
            tmp_path / "model.onnx",
            tmp_path / "model.plan",
            PROFILE,
            BuildOptions(),
            precision="fp32",
        )


def read_back(config: ServingConfig) -> ModelConfig:
    """Through the text and Triton's own protobuf message, so that a misspelt field cannot pass."""
    return text_format.Parse(render_config(config), ModelConfig())


def test_each_gpu_is_served_the_engine_that_was_built_for_it() -> None:
    passports = [passport("8.6"), passport("12.0")]
    read = read_back(tensorrt.serving_config(passports, "digits", recipe(), (3,)))
    assert dict(read.cc_model_filenames) == {"8.6": "model-cc86.plan", "12.0": "model-cc120.plan"}
    assert read.default_model_filename == "model-cc86.plan"
    assert (read.backend, read.max_batch_size) == ("tensorrt", 2)
    assert [group.kind for group in read.instance_group] == [
        model_config_pb2.ModelInstanceGroup.KIND_GPU
    ]
    assert read.HasField("dynamic_batching")
    assert list(read.version_policy.specific.versions) == [3]
    assert read.output[0].label_filename == "labels.txt"


def test_a_plan_of_the_usual_name_needs_no_default() -> None:
    config = tensorrt.serving_config([passport("8.6", "model.plan")], "digits", recipe(), (1,))
    assert read_back(config).default_model_filename == ""


def test_no_batch_is_served_that_an_engine_does_not_take() -> None:
    larger = recipe(**{"max_batch_size = 2": "max_batch_size = 64"})
    assert (
        tensorrt.serving_config([passport("8.6")], "digits", larger, (1,)).message.max_batch_size
        == 2
    )


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))]
)
def test_cuda_graphs_and_warm_up_are_of_the_same_sizes(limit: int, sizes: tuple[int, ...]) -> None:
    assert tensorrt.batch_sizes(limit) == sizes
    asked = recipe(**{"max_batch_size = 2": "max_batch_size = 2\n\n[serving]\ncuda_graphs = true"})
    rows = warm_up.zeros([tensor.spec for tensor in asked.inputs])
    built = [passport("8.6")]
    config = tensorrt.serving_config(built, "digits", asked, (1,), warm_up_rows=rows).message
    graphs = [one.batch_size for one in config.optimization.cuda.graph_spec]
    assert graphs == [one.batch_size for one in config.model_warmup] == [1, 2]


def test_instances_on_each_gpu_are_the_recipes() -> None:
    asked = recipe(**{"max_batch_size = 2": "max_batch_size = 2\n\n[serving]\ngpu_instances = 3"})
    config = tensorrt.serving_config([passport("8.6")], "digits", asked, (1,)).message
    assert [(one.count, one.kind) for one in config.instance_group] == [
        (3, config.instance_group[0].KIND_GPU)
    ]


@pytest.mark.parametrize("dtype", ["uint16", "float64"])
def test_a_type_that_tensorrt_lacks_is_told(dtype: str) -> None:
    changed = recipe(**{'dtype = "float32"\nshape = [8]': f'dtype = "{dtype}"\nshape = [8]'})
    with pytest.raises(UnusableInput, match=f"x: TensorRT has no {dtype}"):
        tensorrt.serving_config([passport("8.6")], "digits", changed, (1,))


def test_nothing_to_serve_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no engine"):
        tensorrt.serving_config([], "digits", recipe(), (1,))


def test_two_engines_for_one_gpu_cannot_be_served() -> None:
    both = [passport("8.6"), replace(passport("8.6"), file="model.plan")]
    with pytest.raises(ValueError, match="one compute capability"):
        tensorrt.serving_config(both, "digits", recipe(), (1,))
