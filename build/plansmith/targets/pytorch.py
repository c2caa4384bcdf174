"""PyTorch eager in FP32: the baseline of people who serve the module they trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.measure import Feed, in_batches
from plansmith.recipe import Input, Recipe

if TYPE_CHECKING:
    import torch

NAME = "pytorch-eager-fp32"


def open_engine(module: torch.nn.Module, recipe: Recipe, batch_size: int) -> PyTorchEngine:
    """`module` behind the recipe's pre-processing, which is done in PyTorch too."""
    return PyTorchEngine(module, recipe, batch_size)


class PyTorchEngine:
    """A module in eager mode: see plansmith.measure.Engine."""

    def __init__(self, module: torch.nn.Module, recipe: Recipe, batch_size: int) -> None:
        self.batch_size = batch_size
        self._module = module.eval()
        self._recipe = recipe

    def single(self, feed: Feed) -> object:
        return self._run(feed)

    def start(self, feed: Feed) -> None:
        self._run(feed)

    def finish(self) -> None:
        """Nothing is ever pending: `start` blocks, PyTorch uses all cores for one batch."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return in_batches(feed, self.batch_size, self._run)

    def _run(self, feed: Feed) -> dict[str, NDArray[Any]]:
        import torch

        with torch.inference_mode():
            tensors = [_prepared(tensor, feed[tensor.spec.name]) for tensor in self._recipe.inputs]
            answer: Any = self._module(*tensors)
        parts = cast("Sequence[Any]", answer if isinstance(answer, tuple | list) else (answer,))
        names = [output.spec.name for output in self._recipe.outputs]
        return {name: np.asarray(part) for name, part in zip(names, parts, strict=True)}


def _prepared(tensor: Input, array: NDArray[Any]) -> torch.Tensor:
    import torch

    value = torch.from_numpy(array)
    steps = tensor.preprocess
    if steps is None:
        return value
    value = (value.float() - torch.tensor(steps.mean)) * torch.tensor(steps.scale)
    return value.permute(0, 3, 1, 2) if steps.layout == "NCHW" else value
