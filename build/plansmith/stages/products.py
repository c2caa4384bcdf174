"""What stages leave in the cache, by file name, and what they hand on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from plansmith.data.identity import DataIdentity
from plansmith.engines.passport import EnginePassport
from plansmith.forms import Form
from plansmith.manifest import Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from plansmith.data.samples import Samples

ONNX_FILE = "model.onnx"
SAMPLES_FILE = "samples.npz"
COLUMNS_FILE = "columns.npz"
PICTURES_FILE = "pictures.npz"
IDENTITY_FILE = "identity.json"
REFERENCE_FILE = "reference.npy"
FORMS_FILE = "forms.json"
# Of the budget: what a search may use up on its own samples, so that others keep the whole budget.
TUNING_SHARE = 0.5
PASSPORTS_FILE = "passports.json"
TRIALS_FILE = "trials.json"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What variants are compared on.

    `labels` int64 `[N]` and `slices` str `[N]` are None where the recipe names none. `file` holds
    the samples as `.npz`, one array for each input.
    """

    file: Path
    samples: Samples
    labels: NDArray[np.int64] | None
    slices: NDArray[np.str_] | None
    identity: DataIdentity


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Evaluation data and pictures, and the FP32 original's answers: float32 `[N, classes]`.

    `onnx_file` is the exported model, as it was trained. `pictures` are uint8
    `[height, width, 3]` by name, `picture_answers` are in their order.
    """

    onnx_file: Path
    evaluation: Evaluation
    answers: NDArray[np.float32]
    pictures: dict[str, NDArray[np.uint8]]
    picture_answers: NDArray[np.float32]

    @property
    def samples(self) -> Samples:
        return self.evaluation.samples


@dataclass(frozen=True, kw_only=True)
class MadeForm:
    """A form and its graph: `file` is relative to the stage's folder, None for a refused form."""

    form: Form
    file: str | None


@dataclass(frozen=True, kw_only=True)
class CompiledForm:
    """A form's artifacts, in the folder of its name; `size_bytes` is what the server loads."""

    form: Form
    size_bytes: int
    passports: tuple[EnginePassport, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the measure stage leaves: trials not judged yet, and the versions they ran on."""

    tools: dict[str, str]
    trials: tuple[Trial, ...]


def write_json(file: Path, value: object) -> None:
    """`value`, of frozen dataclasses, as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))


def read_forms(folder: Path) -> tuple[MadeForm, ...]:
    """What a stage that makes forms left in `folder`."""
    return msgspec.json.decode((folder / FORMS_FILE).read_bytes(), type=tuple[MadeForm, ...])


def read_compiled(folder: Path) -> tuple[CompiledForm, ...]:
    """What the compile stage left in `folder`."""
    return msgspec.json.decode(
        (folder / PASSPORTS_FILE).read_bytes(), type=tuple[CompiledForm, ...]
    )


def read_columns(folder: Path) -> dict[str, NDArray[Any]]:
    """What a data stage left in `folder` besides the inputs: labels, slices."""
    import numpy as np

    with np.load(folder / COLUMNS_FILE, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def read_identity(folder: Path) -> DataIdentity:
    """What the data stage found out about the samples in `folder`."""
    return msgspec.json.decode((folder / IDENTITY_FILE).read_bytes(), type=DataIdentity)
