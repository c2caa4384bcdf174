"""A damaged network learns again to answer like the original: knowledge distillation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    import torch
    from torch import nn

# G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network" (2015): softened
# answers tell of the teacher's small probabilities too; section 2 has the factor T squared. With
# labels none is softened, or that factor drowns them: of a net for MNIST pruned to a sixth, 4 made
# 13 of 2,400 digits wrong and 2 right, 1 made 8 wrong and 11 right (means of two seeds).
TEMPERATURE, TEMPERATURE_WITH_LABELS = 4.0, 1.0
LEARNING_RATE = 2e-3
BATCH_SIZE = 32
# Of rows that are only answered: larger batches gain nothing on a CPU and cost memory.
ANSWER_BATCH_SIZE = 128

Tick = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the network itself takes, row by row, and its classes where they are known.

    `inputs`: one array [N, ...] for each of the network's inputs, in their order, pre-processed.
    `labels`: int64 [N], 0..classes-1, or None. Raises UnusableInput where the rows do not match.
    """

    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.int64] | None

    def __post_init__(self) -> None:
        counts = {len(array) for array in self.inputs}
        if self.labels is not None:
            counts.add(len(self.labels))
        if len(counts) != 1 or 0 in counts:
            found = ", ".join(str(len(array)) for array in self.inputs)
            labels = "no labels" if self.labels is None else f"{len(self.labels)} labels"
            raise UnusableInput(f"inputs of {found} rows with {labels}: give as many of each")

    @property
    def count(self) -> int:
        return len(self.inputs[0])


def answers(module: nn.Module, training: Training) -> torch.Tensor:
    """Logits float32 [N, classes] of `module`, left in eval mode: its first output.

    Raises UnusableInput where that output is not one row of numbers for each row of inputs.
    """
    import torch

    module.eval()
    with torch.no_grad(), _few_threads():
        rows = np.arange(training.count)
        parts = [
            _forward(module, training, rows[start : start + ANSWER_BATCH_SIZE])
            for start in range(0, training.count, ANSWER_BATCH_SIZE)
        ]
    return torch.cat(parts)


def distil(
    student: nn.Module,
    teacher: nn.Module,
    training: Training,
    *,
    epochs: int,
    seed: int,
    tick: Tick,
) -> None:
    """Trains `student` in place to answer `training` as `teacher` does; both end in eval mode.

    Deterministic on a CPU for one `seed` and one number of threads; torch's own random state is
    left as it was. `tick` gets the steps done and their total. Raises UnusableInput as `answers`.
    """
    imitate(student, answers(teacher, training), training, epochs=epochs, seed=seed, tick=tick)


def imitate(
    student: nn.Module,
    wanted: torch.Tensor,
    training: Training,
    *,
    epochs: int,
    seed: int,
    tick: Tick,
) -> None:
    """`distil` with the teacher's answers at hand: logits [N, classes] of the same rows."""
    import torch

    size = min(BATCH_SIZE, training.count)
    steps = epochs * (training.count // size)
    parameters = [one for one in student.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01)
    # A short rise spares what the student still knows, the long fall lets it settle.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=max(steps, 1), pct_start=0.2
    )
    with torch.enable_grad(), _own_chance(seed), _few_threads():
        student.train()
        for done, rows in enumerate(_batches(training.count, size, epochs, seed), start=1):
            optimizer.zero_grad()
            found = _forward(student, training, rows)
            _loss(found, wanted[torch.from_numpy(rows)], training.labels, rows).backward()
            optimizer.step()
            schedule.step()
            tick(done, steps)
    student.eval()


def _loss(
    found: torch.Tensor, wanted: torch.Tensor, labels: NDArray[np.int64] | None, rows: NDArray[Any]
) -> torch.Tensor:
    import torch
    from torch.nn import functional

    temperature = TEMPERATURE if labels is None else TEMPERATURE_WITH_LABELS
    soft = temperature**2 * functional.kl_div(
        functional.log_softmax(found / temperature, dim=1),
        functional.log_softmax(wanted / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    if labels is None:
        return soft
    return soft + functional.cross_entropy(found, torch.from_numpy(labels[rows]).to(found.device))


def _batches(count: int, size: int, epochs: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers, mixed anew each epoch; the rows that fill no batch are left out that time."""
    chance = np.random.default_rng(seed)
    for _ in range(epochs):
        order = chance.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


@contextmanager
def _own_chance(seed: int) -> Generator[None, None, None]:
    """Dropout and the like draw from `seed`; the caller's random state comes back afterwards."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def _few_threads() -> Generator[None, None, None]:
    """One thread instead of two; more stay.

    OpenMP's threads wait for each other at every layer, busily. Where anything else runs on two
    cores, a search over a small convolutional net took 256 s with both and 97 s with one.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads == 2 else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _forward(module: nn.Module, training: Training, rows: NDArray[np.int64]) -> torch.Tensor:
    import torch

    place = next((one.device for one in module.parameters()), torch.device("cpu"))
    # Indexing copies, so that torch gets memory it may write to.
    answer: Any = module(*(torch.from_numpy(array[rows]).to(place) for array in training.inputs))
    first = cast("torch.Tensor", answer[0] if isinstance(answer, tuple | list) else answer)
    if first.ndim != 2 or len(first) != len(rows):
        raise UnusableInput(
            f"the network answers {len(rows)} rows with {list(first.shape)}: to recover from "
            "pruning its first output has to be logits [rows, classes]"
        )
    return first
