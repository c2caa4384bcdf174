"""The stages of a model that is served as it is: each fills a folder of the cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from plansmith import manifest
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.findings import ServedCheck
from plansmith.golden import file
from plansmith.integrity import pickles
from plansmith.integrity.signing import SIGNATURE_FILE
from plansmith.plain.job import PlainJob
from plansmith.plain.local_model import MODEL_FILES, LocalModel, open_runner
from plansmith.progress import Step
from plansmith.recipe.functions import call_function
from plansmith.recipe.plain_words import AsTrained, PythonModel
from plansmith.recipe.words import Input, Output, Source
from plansmith.repository import KEPT_CONFIGS
from plansmith.stages import products
from plansmith.stages.source import users_code

if TYPE_CHECKING:
    from plansmith_client import Model

PYTHON_FILE = "model.py"
# Where Python would keep what it compiled: Triton's stub runs isolated from the environment's
# settings, and code that no manifest knows must not get into a version. A file cannot be a folder.
NO_BYTECODE = "__pycache__"
# All answers, of which golden.file.FILE_NAME has those that go with the version.
ANSWERS_FILE = "answers.npz"
CHECK_FILE = "check.json"
# What publishing puts into a version's folder.
_TAKEN = (
    *(PYTHON_FILE, NO_BYTECODE, KEPT_CONFIGS),
    *(manifest.FILE_NAME, file.FILE_NAME, SIGNATURE_FILE),
)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What plansmith.export needs of a recipe."""

    source: Source
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    max_batch_size: int


def make_export(job: PlainJob, to: Path, step: Step) -> None:
    """The model as it was trained, as one ONNX graph that takes what callers send."""
    import onnx

    from plansmith.export import export

    recipe = job.recipe
    assert isinstance(recipe.model, AsTrained)
    step.update(0, 1, recipe.model.source.location)
    trained = Trained(
        source=recipe.model.source,
        inputs=recipe.inputs,
        outputs=recipe.outputs,
        max_batch_size=recipe.max_batch_size,
    )
    with users_code():
        onnx.save(export(trained, job.folder), to / products.ONNX_FILE)


def make_artifacts(backend: str, onnx_file: Path, to: Path) -> None:
    """What `backend` loads of the cleaned graph `onnx_file`, weights in FP32."""
    if backend == "openvino":
        from plansmith.targets import openvino

        openvino.compile_model(onnx_file, to)
    else:
        shutil.copyfile(onnx_file, to / MODEL_FILES[backend])


def make_files(job: PlainJob, to: Path) -> None:
    """model.py, and what the recipe's function says goes beside it."""
    model = job.recipe.model
    assert isinstance(model, PythonModel)
    shutil.copyfile(job.folder / model.location, to / PYTHON_FILE)
    (to / NO_BYTECODE).touch()
    if model.files is None:
        return
    with users_code():
        found: object = call_function(model.files, job.folder)
    place = f"{job.folder / 'recipe.toml'}: source.files: {model.files}"
    if not isinstance(found, dict):
        raise UnusableInput(
            f"{place} gives a {type(found).__name__}; expected {{name: path or bytes}}"
        )
    for name, content in cast("dict[Any, Any]", found).items():
        _write_file(name, content, job.folder, to, place)


def _write_file(name: object, content: object, folder: Path, to: Path, place: str) -> None:
    fits = isinstance(name, str) and Path(name).name == name and not name.startswith(".")
    if not fits or name in _TAKEN:
        raise UnusableInput(
            f"{place} has {name!r}; expected the name of a file in the version's folder, and none "
            f"of {', '.join(_TAKEN)}"
        )
    assert isinstance(name, str)
    if Path(name).suffix.lower() in pickles.NAMES:
        raise UnusableInput(f"{place} has {name!r}: to load a pickle runs the code in it; use JSON")
    if isinstance(content, bytes):
        (to / name).write_bytes(content)
    elif isinstance(content, Path) and (folder / content).is_file():
        shutil.copyfile(folder / content, to / name)
    else:
        what = f"{content}: no such file" if isinstance(content, Path) else type(content).__name__
        raise UnusableInput(f"{place}: {name!r} is {what}; expected a file's Path, or bytes")
    # As `verify` will, which must not refuse what a build has published.
    if (found := pickles.pickle_like(to / name)) is not None:
        raise UnusableInput(
            f"{place}: {name!r} {found}: to load a pickle runs the code in it; use another format"
        )


def make_golden(job: PlainJob, to: Path) -> None:
    """What the original library answers: all rows, those that a version keeps, and inputs alone."""
    from plansmith.data.samples import save_arrays
    from plansmith.plain.answers import read_answers, samples_of, small_enough

    golden = job.recipe.golden
    assert golden is not None
    with users_code():
        found: object = call_function(golden.samples, job.folder)
    answers = read_answers(found, job.recipe, str(job.folder / golden.samples))
    file.write(to / ANSWERS_FILE, answers)
    file.write(to / file.FILE_NAME, small_enough(answers))
    save_arrays(to / products.SAMPLES_FILE, samples_of(answers))


def make_check(job: PlainJob, artifacts: Path, golden: Path, to: Path, step: Step) -> None:
    """The artifacts in `artifacts` run in this process on all golden rows.

    Raises PlansmithError with the figures where an answer is further off than the recipe allows.
    """
    from plansmith.golden.check import check_model

    recipe = job.recipe
    assert isinstance(recipe.model, AsTrained)
    answers = file.read(golden / ANSWERS_FILE)
    try:
        model = LocalModel(runner=open_runner(recipe.model.backend, artifacts), recipe=recipe)
        # A model in this process answers as a served one: no more than that is asked of it.
        found = check_model(cast("Model", model), answers, step)
    except (PlansmithError, ModuleNotFoundError):
        raise
    except Exception as error:  # the runtimes' own have no common class
        told = " ".join(str(error).split())
        raise UnusableInput(
            f"{job.folder}: {recipe.model.backend} cannot run the model on the golden rows: {told}"
        ) from error
    if not found.passed:
        raise PlansmithError(
            f"{job.name}: as it was exported it does not answer as the original does: "
            f"{found.fault}; {told_of(found)}"
        )
    products.write_json(to / CHECK_FILE, found)


def told_of(check: ServedCheck) -> str:
    """The figures of a check, in words."""
    return (
        f"largest deviation {check.max_abs_deviation:.3g} on {check.count} golden rows, allowed "
        f"{check.tolerance:.3g}"
    )


def read_check(folder: Path) -> ServedCheck:
    """What `make_check` left in `folder`."""
    return msgspec.json.decode((folder / CHECK_FILE).read_bytes(), type=ServedCheck)


def artifacts_in(folder: Path | None) -> Mapping[str, Path]:
    """The files of a stage's folder, by name; none where there is no such stage."""
    return {} if folder is None else {path.name: path for path in sorted(folder.iterdir())}
