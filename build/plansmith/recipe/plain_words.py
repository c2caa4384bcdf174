"""The recipe's words of a model that is served as it is: there are no variants to choose from.

Pure. It is as it was trained, a person's Python, or an ensemble of other models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plansmith.recipe.serving_words import Ensemble, SequenceBatching, Serving
from plansmith.recipe.words import Input, Output, Recipe, Source
from plansmith.tensors import TensorSpec

# What a model in FP32 runs on; each is what its artifacts are made for.
TRAINED_BACKENDS = ("openvino", "onnxruntime")
# Triton's name for the platform of an ensemble, and for what runs model.py.
ENSEMBLE, PYTHON = "ensemble", "python"
# The one target of such models.
PLAIN_TARGET = "cpu"


@dataclass(frozen=True, kw_only=True)
class AsTrained:
    """A trained model in FP32; `backend` is one of TRAINED_BACKENDS."""

    source: Source
    backend: str = TRAINED_BACKENDS[0]


@dataclass(frozen=True, kw_only=True)
class PythonModel:
    """A person's TritonPythonModel: `location` is the file beside the recipe that has it.

    `files` is a file.py:function that gives what else it reads from its version's folder, by name.
    `decoupled`: it answers a request with any number of responses. `calls` are the models that it
    sends requests to.
    """

    location: str
    files: str | None = None
    decoupled: bool = False
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GoldenSource:
    """`samples` is a file.py:function that gives what the original library answers.

    `max_deviation` is how far any value of a served answer may be from it.
    """

    samples: str
    max_deviation: float


@dataclass(frozen=True, kw_only=True)
class PlainRecipe:
    """One such model's recipe; cannot exist with a problem that `parse_recipe` knows of.

    `inputs` and `outputs` are all of its tensors, those that the server keeps to itself too: states
    of a sequence and controls. `max_batch_size` 0: shapes are whole, no batch axis in front.
    `golden` is None only where a Python model or an ensemble has none.
    """

    model: AsTrained | PythonModel | Ensemble
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    p99_ms: float
    max_batch_size: int
    golden: GoldenSource | None = None
    sequence: SequenceBatching | None = None
    targets: tuple[str, ...] = (PLAIN_TARGET,)
    serving: Serving = field(default_factory=Serving)

    @property
    def backend(self) -> str:
        """As Triton calls it; "ensemble" is a platform there."""
        if isinstance(self.model, AsTrained):
            return self.model.backend
        return PYTHON if isinstance(self.model, PythonModel) else ENSEMBLE

    @property
    def calls(self) -> tuple[str, ...]:
        """The models that have to be there for this one to answer, in the recipe's order."""
        if isinstance(self.model, Ensemble):
            return tuple(dict.fromkeys(step.model for step in self.model.steps))
        return self.model.calls if isinstance(self.model, PythonModel) else ()

    @property
    def decoupled(self) -> bool:
        return isinstance(self.model, PythonModel) and self.model.decoupled

    @property
    def offered_inputs(self) -> tuple[TensorSpec, ...]:
        """What callers send: without states and controls."""
        own = set[str]()
        if self.sequence is not None:
            own |= {state.input for state in self.sequence.states}
            own |= {control.input for control in self.sequence.controls}
        return tuple(one.spec for one in self.inputs if one.spec.name not in own)

    @property
    def offered_outputs(self) -> tuple[TensorSpec, ...]:
        """What callers get: without states."""
        states = self.sequence.states if self.sequence is not None else ()
        own = {state.output for state in states}
        return tuple(one.spec for one in self.outputs if one.spec.name not in own)


def offered(recipe: Recipe | PlainRecipe) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What callers send and what they get; shapes leave out the batch axis."""
    if isinstance(recipe, PlainRecipe):
        return recipe.offered_inputs, recipe.offered_outputs
    inputs, outputs = recipe.inputs, recipe.outputs
    return tuple(one.spec for one in inputs), tuple(one.spec for one in outputs)
