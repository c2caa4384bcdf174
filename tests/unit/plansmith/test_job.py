"""A job: what a recipe names is found and digested, and what it says of it goes into the keys."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from plansmith import machine
from plansmith.errors import BadRecipe, UnusableInput
from plansmith.job import Job, prepare
from plansmith.measure import Plan
from plansmith.pipeline import stage_keys

PLAN = Plan(rounds=1, seconds=0.01)


def keys(job: Job) -> dict[str, str]:
    builds = {f"{name}: build": job.keys[name].build.key for name in job.targets}
    return {stage.stage: stage.key for stage in stage_keys(job)} | builds


def changed_by(folder: Path, old: str, new: str) -> set[str]:
    """The stages whose keys change when `old` becomes `new` in the recipe."""
    before = keys(prepare(folder, None, PLAN))
    edit(folder, old, new)
    after = keys(prepare(folder, None, PLAN))
    return {stage for stage in before if before[stage] != after[stage]}


def edit(folder: Path, old: str, new: str) -> None:
    recipe = folder / "recipe.toml"
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new))


CPU = {f"cpu: {stage}" for stage in ("quantize", "compile", "measure", "build")}
MEASURE = {"cpu: measure", "cpu: build"}
ALL = {"data", "export", "clean", "reference", *CPU}


def test_the_same_folder_has_the_same_keys(model_folder: Path) -> None:
    assert keys(prepare(model_folder, None, PLAN)) == keys(prepare(model_folder, "cpu", PLAN))


def test_a_comment_in_the_recipe_changes_nothing(model_folder: Path) -> None:
    assert changed_by(model_folder, "[budget]", "# a remark\n[budget]") == set()


def test_another_promise_only_publishes_anew(model_folder: Path) -> None:
    assert changed_by(model_folder, "p99_ms = 100", "p99_ms = 50") == {"cpu: build"}


def test_another_source_is_exported_anew_but_the_data_stays(model_folder: Path) -> None:
    (model_folder / "other.onnx").write_bytes((model_folder / "model.onnx").read_bytes())
    assert changed_by(model_folder, "model.onnx", "other.onnx") == ALL - {"data"}


@pytest.mark.parametrize(
    ("file", "stages"),
    [("model.onnx", ALL - {"data"}), ("evaluation.npz", {"data", "reference", *MEASURE})],
)
def test_a_changed_file_runs_the_stages_that_it_goes_into(
    model_folder: Path, file: str, stages: set[str]
) -> None:
    before = keys(prepare(model_folder, None, PLAN))
    with (model_folder / file).open("ab") as stream:
        stream.write(b"more")
    after = keys(prepare(model_folder, None, PLAN))
    assert {stage for stage in ALL if before[stage] != after[stage]} == stages


def test_changed_class_names_are_read_again_with_the_data(model_folder: Path) -> None:
    edit(model_folder, "[4]", '[4]\nlabels = "labels.txt"')
    (model_folder / "labels.txt").write_text("a\nb\nc\nd\n")
    before = keys(prepare(model_folder, None, PLAN))
    (model_folder / "labels.txt").write_text("a\nb\nc\ne\n")
    after = keys(prepare(model_folder, None, PLAN))
    # The labels of samples may be such names.
    changed = {stage for stage in ALL if before[stage] != after[stage]}
    assert changed == {"data", "reference", *MEASURE}


def test_another_plan_is_measured_anew(model_folder: Path) -> None:
    before = keys(prepare(model_folder, None, PLAN))
    after = keys(prepare(model_folder, None, Plan(rounds=2, seconds=0.01)))
    assert {stage for stage in ALL if before[stage] != after[stage]} == MEASURE


def test_every_file_of_a_folder_counts(model_folder: Path) -> None:
    photos = model_folder / "photos" / "cats"
    photos.mkdir(parents=True)
    edit(model_folder, '"evaluation.npz"', '"photos/"')
    (photos / "a.png").write_bytes(b"a")
    before = prepare(model_folder, None, PLAN)
    (photos / "b.png").write_bytes(b"b")
    after = prepare(model_folder, None, PLAN)
    assert "photos/cats/b.png" in [one.path for one in after.sources]
    assert keys(before)["data"] != keys(after)["data"]
    assert keys(before)["export"] == keys(after)["export"]


def test_a_function_counts_with_its_file_and_all_that_is_installed(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_folder / "source.py").write_text("def samples(): ...\n")
    edit(model_folder, '"evaluation.npz"', '"source.py:samples"')
    before = keys(prepare(model_folder, None, PLAN))
    (model_folder / "source.py").write_text("def samples(): ...  # changed\n")
    edited = keys(prepare(model_folder, None, PLAN))
    installed = machine.installed()
    monkeypatch.setattr(machine, "installed", lambda: installed | {"some-data": "2.0"})
    updated = keys(prepare(model_folder, None, PLAN))
    assert len({before["data"], edited["data"], updated["data"]}) == 3
    assert before["export"] == updated["export"], "comes from a file alone"


def test_one_target_is_built_but_all_have_keys(model_folder: Path) -> None:
    edit(
        model_folder,
        'order = ["cpu"]',
        'order = ["cpu", "tensorrt-rtx"]\ncompute_capabilities = ["8.6"]',
    )
    job = prepare(model_folder, "tensorrt-rtx", PLAN)
    assert job.targets == ("tensorrt-rtx",)
    assert set(job.keys) == {"cpu", "tensorrt-rtx"}
    assert prepare(model_folder, None, PLAN).targets == ("cpu", "tensorrt-rtx")


def test_the_sources_are_the_recipe_and_the_files_it_names(model_folder: Path) -> None:
    np.save(model_folder / "unrelated.npy", np.zeros(1))
    names = [source.path for source in prepare(model_folder, None, PLAN).sources]
    assert names == ["evaluation.npz", "model.onnx", "recipe.toml"]


def test_the_external_data_of_an_onnx_file_is_a_source(model_folder: Path) -> None:
    before = keys(prepare(model_folder, None, PLAN))
    (model_folder / "model.onnx.data").write_bytes(b"weights")
    job = prepare(model_folder, None, PLAN)
    assert "model.onnx.data" in [source.path for source in job.sources]
    assert keys(job)["export"] != before["export"]


def test_a_model_is_called_like_its_folder(model_folder: Path) -> None:
    assert prepare(model_folder, None, PLAN).name == "tiny"


def test_a_missing_recipe_is_named_with_the_models_there_are(model_folder: Path) -> None:
    with pytest.raises(UnusableInput, match=r"tinny/recipe\.toml: no such recipe; .*here: tiny$"):
        prepare(model_folder.with_name("tinny"), None, PLAN)


def test_a_missing_recipe_where_no_model_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no model has a recipe in"):
        prepare(tmp_path / "m", None, PLAN)


def test_a_recipe_that_is_no_text_is_named(model_folder: Path) -> None:
    (model_folder / "recipe.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UnusableInput, match=r"recipe\.toml: cannot be read"):
        prepare(model_folder, None, PLAN)


def test_a_bad_recipe_is_named_with_its_path_and_line(model_folder: Path) -> None:
    (model_folder / "recipe.toml").write_text("[source]\nonnx = 3\n")
    path = re.escape(str(model_folder / "recipe.toml"))
    with pytest.raises(BadRecipe, match=rf"{path}:2: source\.onnx: is 3"):
        prepare(model_folder, None, PLAN)


@pytest.mark.parametrize("file", ["model.onnx", "evaluation.npz"])
def test_a_missing_source_file_is_named_with_the_recipe(model_folder: Path, file: str) -> None:
    (model_folder / file).unlink()
    with pytest.raises(UnusableInput, match=rf"{file}: no such file; .*recipe\.toml names it"):
        prepare(model_folder, None, PLAN)


def test_an_unknown_target_is_refused_with_those_of_the_recipe(model_folder: Path) -> None:
    with pytest.raises(UnusableInput, match=r"targets\.order has no 'tpu'; it names cpu"):
        prepare(model_folder, "tpu", PLAN)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.txt", "a\nb\nc\n", r"logits\.labels: labels\.txt has 3 lines for 4 classes"),
        ("labels.txt", "caf\xe9\n", r"logits\.labels: labels\.txt cannot be read"),
        ("classes.txt", "a\nb\nc\nd\n", r"expected a file beside the recipe called labels\*\.txt"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    model_folder: Path, name: str, content: str, message: str
) -> None:
    recipe = model_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[4]", f'[4]\nlabels = "{name}"'))
    (model_folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(UnusableInput, match=message):
        prepare(model_folder, None, PLAN)


def test_a_dot_in_a_models_name_is_told_before_anything_is_made(model_folder: Path) -> None:
    dotted = model_folder.rename(model_folder.with_name("tiny.v2"))
    with pytest.raises(UnusableInput, match=r"tiny\.v2: the model's name has a dot"):
        prepare(dotted, None, PLAN)
