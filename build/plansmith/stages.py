"""What each stage makes from what: the edges that heavy packages are imported behind."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plansmith import machine as machines
from plansmith.job import TOOLS, Job
from plansmith.manifest import Trial
from plansmith.measure import Plan
from plansmith.progress import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from plansmith.datasets import Samples

ONNX_FILE = "model.onnx"
SAMPLES_FILE = "samples.npz"
PICTURES_FILE = "pictures.npz"
REFERENCE_FILE = "reference.npy"
TRIALS_FILE = "trials.json"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Evaluation samples and pictures, and the FP32 reference's answers: float32 `[N, classes]`.

    `onnx_file` is the exported model. `file` holds the samples as `.npz`, one array for each input.
    `pictures` are uint8 `[height, width, 3]` by name, `picture_answers` are in their order.
    """

    onnx_file: Path
    file: Path
    samples: Samples
    answers: NDArray[np.float32]
    pictures: dict[str, NDArray[np.uint8]]
    picture_answers: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the measure stage leaves in the cache: trials not judged yet."""

    tools: dict[str, str]
    evaluation_count: int
    evaluation_sha256: str
    trials: tuple[Trial, ...]


@contextmanager
def _users_code() -> Generator[None, None, None]:
    """What a recipe's functions print, or warn of, goes to stderr: stdout is for results."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        # The tracing exporter warns of constants it does not fold; OpenVINO folds them.
        warnings.filterwarnings("ignore", message="Constant folding", category=UserWarning)
        # It is deprecated in favour of one that names tensors by itself and wants onnxscript.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def make_data(job: Job, to: Path) -> None:
    from plansmith.datasets import load_evaluation, load_pictures, save_arrays

    with _users_code():
        samples = load_evaluation(job.recipe, job.folder)
        pictures = load_pictures(job.recipe, job.folder)
    save_arrays(to / SAMPLES_FILE, samples.arrays)
    save_arrays(to / PICTURES_FILE, pictures)


def make_export(job: Job, to: Path, step: Step) -> None:
    import onnx

    from plansmith.export import export

    step.update(0, 1, job.recipe.source.location)
    with _users_code():
        onnx.save(export(job.recipe, job.folder), to / ONNX_FILE)


def make_reference(
    job: Job,
    onnx_file: Path,
    samples: Samples,
    pictures: dict[str, NDArray[np.uint8]],
    to: Path,
) -> None:
    """One array: the answers to all samples, then to all pictures."""
    import numpy as np

    from plansmith.targets import onnxruntime
    from plansmith.trials import answers_of

    engine = onnxruntime.open_engine(onnx_file, 1)
    answers = [answers_of(engine, samples.arrays, job.recipe)]
    if pictures:
        shown = {job.recipe.inputs[0].spec.name: np.stack(list(pictures.values()))}
        answers.append(answers_of(engine, shown, job.recipe))
    np.save(to / REFERENCE_FILE, np.concatenate(answers))


def make_compiled(onnx_file: Path, to: Path) -> None:
    from plansmith.targets import openvino

    openvino.compile_model(onnx_file, to)


def make_trials(
    job: Job,
    compiled: Path,
    golden: Golden,
    to: Path,
    plan: Plan,
    step: Step,
) -> None:
    from plansmith import trials
    from plansmith.recipe_functions import call_function

    tools = machines.tool_versions(TOOLS)
    variants = trials.variants_for(job.recipe, job.machine)
    candidates = trials.open_references(golden.onnx_file, job.recipe, tools.get("onnxruntime", ""))
    if job.recipe.source.kind == "torch":
        with _users_code():
            module = call_function(job.recipe.source.location, job.folder)
        candidates += trials.open_baselines(module, job.recipe, tools.get("torch", ""))
    candidates += trials.open_variants(compiled, variants, tools.get("openvino", ""), step)
    measured = Measured(
        tools=tools,
        evaluation_count=golden.samples.count,
        evaluation_sha256=golden.samples.sha256,
        trials=trials.run_trials(
            candidates, golden.samples, golden.answers, job.recipe, plan, step
        ),
    )
    (to / TRIALS_FILE).write_bytes(msgspec.json.encode(measured))
