"""The target cpu: the variants that suit a machine, and what they are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from plansmith.forms import Form
from plansmith.job import prepare
from plansmith.manifest import Machine, Manifest
from plansmith.measure import Plan
from plansmith.recipe import Recipe
from plansmith.recipe.parser import parse_recipe
from plansmith.stages import cpu
from plansmith.stages.products import CompiledForm, MadeForm

MACHINE = Machine(cpu="a CPU", cores=2, memory_bytes=1, system="Linux", features=())
FP32 = Form(name="fp32", precision="fp32", parent=None, tool="-", macs=32, parameters=32)


@pytest.fixture
def recipe(tiny_recipe: str) -> Recipe:
    return parse_recipe(tiny_recipe.replace("max_batch_size = 2", "max_batch_size = 8"))


@pytest.fixture
def file(tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Path:
    onnx.save(tiny_onnx, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def compiled(file: Path, tmp_path: Path) -> tuple[CompiledForm, Path]:
    (tmp_path / "fp32").mkdir()
    made = MadeForm(form=FP32, file=file.name)
    return cpu.compile_form(made, file, tmp_path / "fp32"), tmp_path / "fp32"


def test_bf16_is_tried_where_the_machine_has_a_unit_for_it(recipe: Recipe) -> None:
    plain = cpu.variants_for(recipe, MACHINE, (FP32,))
    assert {variant.precision for variant in plain} == {"fp32"}
    able = cpu.variants_for(recipe, replace(MACHINE, features=("avx2", "amx_bf16")), (FP32,))
    assert {variant.precision for variant in able} == {"fp32", "bf16"}


def test_variants_keep_to_the_machine_and_the_recipe(recipe: Recipe) -> None:
    variants = cpu.variants_for(recipe, MACHINE, (FP32,))
    assert {variant.threads for variant in variants} == {MACHINE.cores}
    assert max(variant.batch_size for variant in variants) == recipe.max_batch_size


def test_an_input_with_a_free_dimension_gets_no_fixed_shapes(tiny_recipe: str) -> None:
    free = parse_recipe(tiny_recipe.replace("shape = [8]", "shape = [-1]"))
    assert not any(variant.static for variant in cpu.variants_for(free, MACHINE, (FP32,)))


def test_the_references_are_onnx_runtime_at_both_ends(file: Path, recipe: Recipe) -> None:
    found = cpu.open_references(file, recipe, "1.2")
    assert [(one.runtime, one.batch_size, one.verdict) for one in found] == [
        ("ONNX Runtime 1.2", 1, "reference"),
        ("ONNX Runtime 1.2", 8, "reference"),
    ]
    assert {one.size_bytes for one in found} == {file.stat().st_size}


def test_a_baseline_is_as_large_as_its_weights(recipe: Recipe) -> None:
    found = cpu.open_baselines(torch.nn.Linear(8, 4), recipe, "2.3")
    assert [(one.runtime, one.batch_size, one.verdict) for one in found] == [
        ("PyTorch 2.3", 1, "baseline"),
        ("PyTorch 2.3", 8, "baseline"),
    ]
    assert {one.size_bytes for one in found} == {4 * (8 * 4 + 4)}


def test_a_compiled_form_is_as_large_as_its_files(compiled: tuple[CompiledForm, Path]) -> None:
    form, folder = compiled
    files = list(folder.iterdir())
    assert {path.name for path in files} == {"model.bin", "model.xml"}
    assert form.size_bytes == sum(path.stat().st_size for path in files)


def test_the_config_is_that_of_the_machine_that_measured(
    model_folder: Path, manifest_of: Callable[..., Manifest]
) -> None:
    build = manifest_of(1, ()).on("cpu")
    # A variant that only a machine of so many cores has.
    chosen = replace(build.chosen, name="fp32-s99t99-b1")
    build = replace(build, machine=replace(build.machine, cores=99), trials=(chosen,))
    config = cpu.serving_config(prepare(model_folder, None, Plan()), build, (3,), ())
    assert sum(group.count for group in config.message.instance_group) == 99
    assert list(config.message.version_policy.specific.versions) == [3]
