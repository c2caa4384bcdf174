"""A trained model run in this process as a server would: rows, batches, sequences with states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.recipe.plain_words import PlainRecipe
from plansmith.recipe.serving_words import SequenceBatching
from plansmith.tensors import TensorSpec

if TYPE_CHECKING:
    from plansmith_client import SequenceStep

Feed = Mapping[str, NDArray[Any]]
Runner = Callable[[Feed], dict[str, NDArray[Any]]]
# As each backend's C++ version calls it by default.
MODEL_FILES = {"openvino": "model.xml", "onnxruntime": "model.onnx"}
# What a server puts into a control input of numbers or truths for "no" and "yes".
_NO, _YES = 0, 1


@dataclass(frozen=True, kw_only=True)
class LocalMetadata:
    """As much of a client's ModelMetadata as golden answers are checked by."""

    max_batch_size: int
    decoupled: bool = False


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """As much of a client's Model: `metadata` and `infer`.

    States of a sequence start as zeros, and are fed to the next step of the same id.
    """

    runner: Runner
    recipe: PlainRecipe
    _states: dict[int | str, dict[str, NDArray[Any]]] = field(
        default_factory=dict[int | str, dict[str, NDArray[Any]]]
    )

    def metadata(self) -> LocalMetadata:
        return LocalMetadata(max_batch_size=self.recipe.max_batch_size)

    def infer(
        self,
        inputs: Feed,
        outputs: Sequence[str] | None = None,
        *,
        sequence: SequenceStep | None = None,
    ) -> dict[str, NDArray[Any]]:
        """The outputs by name; `inputs` as a server takes them, with the batch axis in front."""
        kept = self.recipe.sequence
        if kept is None or sequence is None:
            return self._answer(self.runner(inputs), outputs)
        before = self._states.pop(sequence.id, {})
        states = _zeros(kept) if sequence.start else before
        answer = self.runner({**inputs, **states, **self._controls(kept, sequence)})
        if not sequence.end:
            self._states[sequence.id] = {one.input: answer[one.output] for one in kept.states}
        return self._answer(answer, outputs)

    def _answer(
        self, answer: dict[str, NDArray[Any]], outputs: Sequence[str] | None
    ) -> dict[str, NDArray[Any]]:
        names = outputs or [spec.name for spec in self.recipe.offered_outputs]
        return {name: answer[name] for name in names}

    def _controls(self, kept: SequenceBatching, step: SequenceStep) -> dict[str, NDArray[Any]]:
        flags = {"start": step.start, "end": step.end, "ready": True}
        found: dict[str, NDArray[Any]] = {}
        for control in kept.controls:
            value = step.id
            if control.kind in flags:
                value = _YES if flags[control.kind] else _NO
            dtype = object if control.dtype == "bytes" else control.dtype
            found[control.input] = np.full((1, 1), value, dtype)
        return found


def _zeros(kept: SequenceBatching) -> dict[str, NDArray[Any]]:
    return {one.input: _zero(one.spec) for one in kept.states}


def _zero(spec: TensorSpec) -> NDArray[Any]:
    return np.zeros((1, *spec.shape), spec.dtype)


def open_runner(backend: str, folder: Path) -> Runner:
    """What runs the artifact in `folder` in FP32, as `backend` will.

    Whatever the library raises where it cannot open or run it is its own.
    """
    path = folder / MODEL_FILES[backend]
    return _open_onnxruntime(path) if backend == "onnxruntime" else _open_openvino(path)


def _open_onnxruntime(path: Path) -> Runner:
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

    options = cast("Any", onnxruntime.SessionOptions())
    options.log_severity_level = 3  # its warnings are of constants that it did not fold
    providers = ["CPUExecutionProvider"]
    session: Any = onnxruntime.InferenceSession(path, options, providers=providers)
    names: list[str] = [output.name for output in session.get_outputs()]

    def run(feed: Feed) -> dict[str, NDArray[Any]]:
        answers = session.run(None, {name: _as_text(array) for name, array in feed.items()})
        return {name: _as_bytes(array) for name, array in zip(names, answers, strict=True)}

    return run


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    """ONNX Runtime takes and gives texts as str."""
    return _each(array, bytes.decode) if array.dtype.hasobject else array


def _as_bytes(array: NDArray[Any]) -> NDArray[Any]:
    return _each(array, str.encode) if array.dtype.hasobject else array


def _each(array: NDArray[Any], change: Callable[[Any], object]) -> NDArray[Any]:
    changed = np.empty(array.shape, object)
    for place, item in np.ndenumerate(array):
        changed[place] = change(item)
    return changed


def _open_openvino(path: Path) -> Runner:
    from plansmith.openvino_runtime import load_openvino

    openvino = load_openvino()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    names = [port.any_name for port in compiled.outputs]

    def run(feed: Feed) -> dict[str, NDArray[Any]]:
        results = compiled(dict(feed))
        # Copies: the request's buffers are used again for the next run.
        return {name: results[place].copy() for place, name in enumerate(names)}

    return run
