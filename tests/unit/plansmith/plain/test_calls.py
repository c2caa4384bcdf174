"""Models that call models: all there, all fit, each built after what it calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.build_order import build_in_order, jobs_for
from plansmith.errors import BadRecipe, PlansmithError, UnusableInput
from plansmith.job import AnyJob, prepare, read_recipe
from plansmith.measure import Plan
from plansmith.pipeline import Built
from plansmith.plain.calls import all_called, with_called
from plansmith.recipe import Input, Output, PlainRecipe, PythonModel
from plansmith.tensors import TensorSpec

Edit = Callable[[str, str, str], None]


def told_of(repository: Path, model: str = "both") -> list[str]:
    with pytest.raises(BadRecipe) as caught:
        prepare(repository / model, None, Plan())
    path = repository / model / "recipe.toml"
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_an_ensemble_that_fits_its_steps_is_prepared(repository: Path) -> None:
    assert prepare(repository / "both", None, Plan()).name == "both"


def test_a_step_model_that_is_not_there_is_named_on_its_line(
    repository: Path, edit_recipe: Edit
) -> None:
    edit_recipe("both", 'model = "text"', 'model = "texts"')
    (told,) = told_of(repository)
    assert told.startswith(f"5: step.1.model: there is no model 'texts' in {repository}")
    assert '(nearest: "text")' in told


def test_a_called_model_that_is_not_there_is_named_on_its_line(
    repository: Path, edit_recipe: Edit
) -> None:
    edit_recipe("text", 'files = "source.py:files"', 'calls = ["gone"]')
    (told,) = told_of(repository, "text")
    assert told.startswith("3: source.calls: there is no model 'gone'")


def test_a_model_without_a_recipe_has_only_to_be_there(repository: Path) -> None:
    shutil.rmtree(repository / "text")
    (repository / "text" / "1").mkdir(parents=True)
    assert prepare(repository / "both", None, Plan()).name == "both"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '{ text = "text" }',
            '{ words = "text" }',
            "6: step.1.inputs.words: text has no such tensor; its inputs are text",
        ),
        ('{ text = "text" }', '{ words = "text" }', "6: step.1.inputs: leaves out what text needs"),
        (
            '{ x = "middle" }\n\n',
            '{ z = "middle" }\n\n',
            "7: step.1.outputs.z: text has no such tensor; its outputs are x",
        ),
        (
            '[output.y]\ndtype = "float32"',
            '[output.y]\ndtype = "float16"',
            "12: step.2.outputs.y: is float32 [-1, -1], but 'y' is float16 [-1, -1] to the en",
        ),
        (
            '"bytes"\nshape = [1]',
            '"bytes"\nshape = [2]',
            "6: step.1.inputs.text: is bytes [-1, 1], but 'text' is bytes [-1, 2] to the ensemble",
        ),
        ("= 4", "= 5", "10: step.2.model: double takes at most 4 at once, the ensemble 5"),
        ("= 4", "= 0", "6: step.1.inputs.text: is bytes [-1, 1], but 'text' is bytes [1]"),
    ],
)
def test_steps_that_do_not_fit_are_told_by_line(
    old: str, new: str, told: str, repository: Path, edit_recipe: Edit
) -> None:
    edit_recipe("both", old, new)
    found = told_of(repository)
    assert any(one.startswith(told) for one in found), found


def test_tensors_between_steps_have_to_fit_each_other(repository: Path, edit_recipe: Edit) -> None:
    edit_recipe("text", 'dtype = "float32"', 'dtype = "int64"')
    (told,) = told_of(repository)
    assert told.startswith(
        "11: step.2.inputs.x: is float32 [-1, -1], but 'middle' is int64 [-1, -1] to text"
    )


def test_what_is_called_is_built_first_and_once(repository: Path) -> None:
    ordered = with_called([repository / "both", repository / "text"], read_recipe)
    assert [folder.name for folder in ordered] == ["text", "double", "both"]
    assert all_called(repository / "both", read_recipe) == ("text", "double")


def test_models_that_call_each_other_are_refused_with_the_loop(
    repository: Path, edit_recipe: Edit
) -> None:
    edit_recipe("text", 'files = "source.py:files"', 'calls = ["both"]')
    with pytest.raises(UnusableInput) as caught:
        with_called([repository / "both"], read_recipe)
    path = repository / "both" / "recipe.toml"
    message = f"{path}:5: models call each other in a loop: both → text → both"
    assert str(caught.value) == message


def recipe_calling(names: tuple[str, ...]) -> PlainRecipe:
    spec = TensorSpec(name="x", dtype="float32", shape=(1,))
    return PlainRecipe(
        model=PythonModel(location="model.py", calls=names),
        inputs=(Input(spec=spec, preprocess=None),),
        outputs=(Output(spec=spec, labels=None),),
        p99_ms=1,
        max_batch_size=1,
    )


@given(
    calls=st.lists(st.sets(st.integers(0, 9), max_size=4), min_size=10, max_size=10),
    wanted=st.lists(st.integers(0, 9), min_size=1, max_size=5),
)
def test_whoever_calls_whom_the_called_come_first(
    calls: list[set[int]], wanted: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = _ten_models(tmp_path_factory)
    # Only those with smaller numbers: no loop.
    called = {
        n: tuple(f"m{other}" for other in others if other < n) for n, others in enumerate(calls)
    }
    ordered = with_called(
        [root / f"m{n}" for n in wanted], lambda path: recipe_calling(called[int(path.name[1:])])
    )
    names = [path.name for path in ordered]
    assert len(set(names)) == len(names)
    assert {f"m{n}" for n in wanted} <= set(names)
    for place, name in enumerate(names):
        assert set(called[int(name[1:])]) <= set(names[:place])


def _ten_models(factory: pytest.TempPathFactory) -> Path:
    root = factory.getbasetemp() / "ten"
    for number in range(10):
        (root / f"m{number}").mkdir(parents=True, exist_ok=True)
        (root / f"m{number}" / "recipe.toml").touch()
    return root


def test_what_calls_a_model_that_failed_is_not_tried(repository: Path) -> None:
    tried: list[str] = []

    def build_one(job: AnyJob) -> Built:
        tried.append(job.name)
        failures = {"cpu": PlansmithError("no")} if job.name == "double" else {}
        return Built(model=job.name, manifest=None, targets=(), failures=failures)

    jobs = jobs_for([repository / "both", repository / "counter"], None, Plan(), named=True)
    results = build_in_order(jobs, build_one)
    assert tried == ["text", "double", "counter"]
    failure = results[2].failures["cpu"]
    assert str(failure) == "not built: it calls double, which could not be built"


def test_models_that_nobody_named_are_passed_over_where_they_are_not_for_the_target(
    repository: Path, model_folder: Path, two_targets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert model_folder == two_targets
    folders = sorted(path.parent for path in repository.glob("*/recipe.toml"))
    assert [folder.name for folder in folders] == ["both", "counter", "double", "text", "tiny"]
    jobs = jobs_for(folders, "tensorrt-rtx", Plan(), named=False)
    assert [job.name for job in jobs] == ["tiny"]
    assert "counter: passed over: not for tensorrt-rtx" in capsys.readouterr().err


def test_a_named_model_that_is_not_for_the_target_is_refused(repository: Path) -> None:
    with pytest.raises(UnusableInput, match="has no 'tensorrt-rtx'"):
        jobs_for([repository / "counter"], "tensorrt-rtx", Plan(), named=True)
