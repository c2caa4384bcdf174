"""What a configuration is made from: one model, its tensors, instances, warm-up and scheduling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from plansmith.recipe.serving_words import Ensemble, SequenceBatching, Serving
from plansmith.tensors import TensorSpec

# Triton's name for a model that only connects others; a platform there, no backend.
ENSEMBLE = "ensemble"
WARM_UP_FOLDER = "warmup"


@dataclass(frozen=True, kw_only=True)
class Instances:
    """`count` instances, on each GPU for KIND_GPU; `priority` 2 gets half the turns of 1.

    The server honours priorities only when started with --rate-limit=execution_count.
    """

    count: int = 1
    priority: int = 1
    kind: Literal["KIND_CPU", "KIND_GPU"] = "KIND_CPU"


@dataclass(frozen=True, kw_only=True)
class WarmUpTensor:
    """One input of a warm-up row: `shape` has no free dimension and no batch axis.

    `content` are the values as they go over the wire, None for zeros.
    """

    spec: TensorSpec
    shape: tuple[int, ...]
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class WarmUpRow:
    """One item for every input; the server repeats it to fill a batch."""

    tensors: tuple[WarmUpTensor, ...]


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model on one target. `inputs` and `outputs` are what callers see, without the batch axis.

    States and controls of a `sequence` are not among them. `versions` are those to serve, none for
    the latest. `labels` are (output, file in the model's folder). `parameters` are the backend's
    own. `cc_model_filenames` are (compute capability, file in the version's folder); on another GPU
    `default_model_filename` is loaded, None for the backend's own default. Every one of
    `warm_up_rows` is sent in batches of every one of `warm_up_batch_sizes`. CUDA graphs are made
    for `graph_batch_sizes`, where the recipe asks for them. `decoupled`: any number of answers to a
    request.
    """

    name: str
    backend: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    versions: tuple[int, ...] = ()
    serving: Serving = field(default_factory=Serving)
    instances: tuple[Instances, ...] = (Instances(),)
    labels: tuple[tuple[str, str], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    default_model_filename: str | None = None
    cc_model_filenames: tuple[tuple[str, str], ...] = ()
    preferred_batch_sizes: tuple[int, ...] = ()
    warm_up_rows: tuple[WarmUpRow, ...] = ()
    warm_up_batch_sizes: tuple[int, ...] = (1,)
    graph_batch_sizes: tuple[int, ...] = ()
    sequence: SequenceBatching | None = None
    ensemble: Ensemble | None = None
    decoupled: bool = False
