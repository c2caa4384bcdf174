"""The recipe's words: what a person may say of a model and how it is to be built. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from plansmith.engines.passport import BuildOptions
from plansmith.recipe.serving_words import Serving
from plansmith.tensors import TensorSpec

SOURCE_KINDS = ("torch", "onnx", "safetensors")
LAYOUTS = ("NCHW", "NHWC")
# What an output's rows are: scores before softmax, or after it.
OUTPUT_KINDS = ("logits", "probabilities")
METRICS = ("top1", "top1_agreement", "expected_top1")
# In the order of design.md; each has its module in plansmith.targets.
TARGETS = ("cpu", "tensorrt", "tensorrt-rtx")
CALIBRATION_METHODS = ("entropy", "max")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the trained model is.

    `location` is a file:function that gives the module for kind "torch", a file or a file:function
    that gives the path of one for "onnx". For "safetensors" it is the file of weights, and
    `architecture`, a file:function, gives the module that they go into.
    """

    kind: str
    location: str
    architecture: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Folded into the graph: x → (x - mean) * scale per channel, then moved to `layout`.

    `mean` and `scale` have one number for each channel.
    """

    layout: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Input:
    """What callers send, and what the graph does to it first.

    `range` are the smallest and the largest value that the data may hold, or None.
    """

    spec: TensorSpec
    preprocess: Preprocess | None
    range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """What callers get; `labels` names a file beside the recipe with one class name a line."""

    spec: TensorSpec
    labels: str | None
    kind: str = "logits"


@dataclass(frozen=True, kw_only=True)
class Data:
    """Each a place: an .npy or .npz file or a folder beside the recipe, or file:function.

    `evaluation` are the samples that variants are compared on. `labels` are their classes and
    `slices` the names of the groups that they belong to, one for each sample. `calibration` are the
    samples that value ranges are taken from and that searches look at, and `training` those that a
    pruned network recovers on; all may give "labels" beside the inputs. `pictures` (of a model
    whose one input is a picture) are shown in the report with the answers: one for each name.
    `max_undecodable` is the share (0..1) of a folder's files that may be no pictures.
    """

    evaluation: str
    labels: str | None = None
    slices: str | None = None
    calibration: str | None = None
    training: str | None = None
    pictures: str | None = None
    max_undecodable: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Channels are removed in steps, each recovered for `epochs`, while the budget is kept."""

    epochs: int


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """`method` finds the range of activations for explicit Q/DQ; one of CALIBRATION_METHODS."""

    method: str = "entropy"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much of `metric` (0..1) a variant may lose against FP32.

    `max_kl` (nats, mean over samples) and `max_deviation` (of any one output value) are further
    limits, or None. `accept_not_proven` lets a variant pass whose samples are too few to tell.
    """

    metric: str
    max_drop: float
    max_kl: float | None = None
    max_deviation: float | None = None
    accept_not_proven: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model's recipe; cannot exist with a problem `parse_recipe` knows of.

    `compute_capabilities` ("8.6") are the GPUs that are built for ahead of time, `engine` is what
    TensorRT's builder is told.
    `accept_not_measured` lets a target be published whose speed could not be measured here.
    """

    source: Source
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    data: Data
    prune: Prune | None
    quantize: Quantize
    budget: Budget
    p99_ms: float
    targets: tuple[str, ...]
    max_batch_size: int
    compute_capabilities: tuple[str, ...] = ()
    accept_not_measured: bool = False
    engine: BuildOptions = field(default_factory=BuildOptions)
    serving: Serving = field(default_factory=Serving)
