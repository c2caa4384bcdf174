"""From what the recipe names: data, the exported and cleaned model, and what FP32 answers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from plansmith.errors import PlansmithError, UnusableInput
from plansmith.forms import Form
from plansmith.job import Job
from plansmith.progress import Step
from plansmith.stages import products
from plansmith.stages.products import Evaluation, Golden, MadeForm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from plansmith.data.samples import Samples


@contextmanager
def users_code() -> Generator[None, None, None]:
    """What a recipe's functions print, or warn of, goes to stderr: stdout is for results."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        # The tracing exporter warns of constants it does not fold; the clean-up folds them.
        warnings.filterwarnings("ignore", message="Constant folding", category=UserWarning)
        # It is deprecated in favour of one that names tensors by itself and wants onnxscript.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def make_data(job: Job, to: Path) -> None:
    """Evaluation samples with their labels and slices, and the pictures."""
    from plansmith.data import identity, samples

    with users_code():
        found = samples.load_evaluation(job.recipe, job.folder)
        pictures = samples.load_pictures(job.recipe, job.folder)
    arrays = {"labels": found.labels, "slices": found.slices}
    samples.save_arrays(to / products.SAMPLES_FILE, found.samples.arrays)
    samples.save_arrays(
        to / products.COLUMNS_FILE,
        {name: array for name, array in arrays.items() if array is not None},
    )
    samples.save_arrays(to / products.PICTURES_FILE, pictures)
    classes = _class_count(job)
    described = identity.describe(found.samples, found.labels, classes, found.skipped)
    products.write_json(to / products.IDENTITY_FILE, described)


def _class_count(job: Job) -> int | None:
    """Of the first output, None where its last dimension is free."""
    size = job.recipe.outputs[0].spec.shape[-1]
    return None if size == -1 else size


def read_evaluation(folder: Path) -> Evaluation:
    """What `make_data` left in `folder`."""
    from plansmith.data.samples import load_samples

    columns = products.read_columns(folder)
    return Evaluation(
        file=folder / products.SAMPLES_FILE,
        samples=load_samples(folder / products.SAMPLES_FILE),
        labels=columns.get("labels"),
        slices=columns.get("slices"),
        identity=products.read_identity(folder),
    )


def read_pictures(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The recipe's pictures by name, as `make_data` left them in `folder`."""
    import numpy as np

    with np.load(folder / products.PICTURES_FILE, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def make_calibration(job: Job, evaluation: Samples, to: Path) -> None:
    """The samples that value ranges are taken from, once they are found fit for that."""
    from plansmith.data import identity, samples

    with users_code():
        found = samples.load_calibration(job.recipe, job.folder)
    assert found is not None, "a stage only where the recipe names calibration data"
    identity.refuse_unusable_calibration(found.samples, evaluation)
    identity.refuse_overlap(evaluation, found.samples)
    samples.save_arrays(to / products.SAMPLES_FILE, found.samples.arrays)
    columns = {} if found.labels is None else {"labels": found.labels}
    samples.save_arrays(to / products.COLUMNS_FILE, columns)
    classes = _class_count(job)
    described = identity.describe(found.samples, found.labels, classes, found.skipped)
    products.write_json(to / products.IDENTITY_FILE, described)


def make_export(job: Job, to: Path, step: Step) -> None:
    """The model as it was trained, as one ONNX graph that takes what callers send."""
    import onnx

    from plansmith.export import export

    step.update(0, 1, job.recipe.source.location)
    with users_code():
        onnx.save(export(job.recipe, job.folder), to / products.ONNX_FILE)


def make_clean(onnx_file: Path, to: Path) -> None:
    """The form "fp32": the trained model without what it does not need."""
    import onnx

    from plansmith.compress.clean import clean

    cleaned = clean(onnx.load(onnx_file))
    onnx.save(cleaned.model, to / products.ONNX_FILE)
    before, after = cleaned.before, cleaned.after
    form = Form(
        name="fp32",
        precision="fp32",
        parent=None,
        tool="clean-up",
        macs=after.macs,
        parameters=after.parameters,
        notes=(
            f"clean-up: {before.nodes} nodes became {after.nodes}, "
            f"{before.size_bytes / 1e6:.1f} MB became {after.size_bytes / 1e6:.1f} MB",
        ),
    )
    made = MadeForm(form=form, file=products.ONNX_FILE)
    products.write_json(to / products.FORMS_FILE, (made,))


def make_reference(
    job: Job,
    onnx_file: Path,
    evaluation: Evaluation,
    pictures: dict[str, NDArray[np.uint8]],
    to: Path,
) -> None:
    """One array: the answers to all samples, then to all pictures.

    Raises UnusableInput where ONNX Runtime does not open the model or fails to answer.
    """
    import numpy as np

    from plansmith.targets import onnxruntime
    from plansmith.trials import answers_of

    feeds = [evaluation.samples.arrays]
    if pictures:
        feeds.append({job.recipe.inputs[0].spec.name: np.stack(list(pictures.values()))})
    try:
        engine = onnxruntime.open_engine(onnx_file, 1, timed=False)
        answers = [answers_of(engine, feed, job.recipe) for feed in feeds]
    except (PlansmithError, ModuleNotFoundError):
        raise
    except Exception as error:  # ONNX Runtime's own have no common class
        place = job.recipe.source.location
        raise UnusableInput(f"{place}: ONNX Runtime cannot run it: {error}") from error
    np.save(to / products.REFERENCE_FILE, np.concatenate(answers))


def read_golden(
    onnx_file: Path,
    evaluation: Evaluation,
    pictures: dict[str, NDArray[np.uint8]],
    folder: Path,
) -> Golden:
    """What `make_reference` left in `folder`, with what it was made from."""
    import numpy as np

    answers = np.load(folder / products.REFERENCE_FILE, allow_pickle=False)
    count = evaluation.samples.count
    return Golden(
        onnx_file=onnx_file,
        evaluation=evaluation,
        answers=answers[:count],
        pictures=pictures,
        picture_answers=answers[count:],
    )
