"""The smallest network that still answers like the original: pruned, recovered, judged, again."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.compress.channels import layer_widths, without_channels
from plansmith.compress.recover import Training, answers, imitate
from plansmith.errors import UnusableInput
from plansmith.forms import PruneAttempt

if TYPE_CHECKING:
    import torch
    from torch import nn

# Each attempt aims at half the MACs of the last: they go with the channels on both sides of a
# layer, so at the square root of it in channels.
HALVING = math.sqrt(0.5)
# The search ends where the largest network that failed has this share of the MACs of the smallest
# that recovered: closer is not worth a training. Halves, as rounding leaves them, are not close.
CLOSE = 0.55

Tick = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The smallest network that recovered, in eval mode, and all that were tried, in order.

    `milder` is the next larger one that recovered, None where there is none: what to fall back on
    where other samples than the tuning's say that the smallest lost too much.
    """

    module: nn.Module
    milder: nn.Module | None
    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    ratio: float
    attempts: tuple[PruneAttempt, ...]


@dataclass(frozen=True, kw_only=True)
class NotRecovered:
    """Not even the mildest pruning recovered; what was tried, in order."""

    attempts: tuple[PruneAttempt, ...]


def prune(
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    training: Training,
    tuning: Training,
    *,
    goal: float,
    epochs: int,
    seed: int = 0,
    max_attempts: int = 6,
    tick: Tick,
) -> Pruned | NotRecovered:
    """A smaller copy of `module` that loses at most `goal` on `tuning`; `module` stays as it is.

    Each attempt prunes the last network that recovered further, and lets it learn `epochs` over
    `training` from the original's answers. The loss is the accuracy lost against the original
    where `tuning` has labels (below zero: won), else the share of rows whose top-1 answer is not
    the original's; it has to keep below `goal` by its standard error.
    `example_inputs`: what the network takes, [rows, ...].
    Deterministic on a CPU for one `seed` and one number of threads. `tick` gets the steps done,
    their total and what is being tried. Raises UnusableInput where the network cannot be traced
    or has nothing to prune, LacksSomething where torch-pruning is not installed.
    """
    original = _trainable_copy(module)
    wanted = answers(original, training)
    expected = answers(original, tuning).numpy(force=True)
    widths = layer_widths(original)
    macs_before = count_macs(original, example_inputs)

    best, best_ratio, best_macs = original, 0.0, macs_before
    milder: nn.Module | None = None
    failed: PruneAttempt | None = None
    attempts: list[PruneAttempt] = []
    while len(attempts) < max_attempts and (failed is None or failed.macs < CLOSE * best_macs):
        ratio = _next_ratio(best_ratio, None if failed is None else failed.ratio)
        student = without_channels(best, example_inputs, widths, ratio)
        macs = count_macs(student, example_inputs)
        if macs == best_macs or (failed is not None and macs <= failed.macs):
            break  # The widths are rounded: there is nothing between.
        tell = _telling(tick, len(attempts), max_attempts, f"{macs / macs_before:.0%} of the MACs")
        imitate(student, wanted, training, epochs=epochs, seed=seed, tick=tell)
        loss = _judge(expected, answers(student, tuning).numpy(force=True), tuning.labels)
        attempt = PruneAttempt(
            ratio=ratio,
            macs=macs,
            parameters=count_parameters(student),
            loss=loss.mean,
            kept_budget=loss.keeps(goal),
        )
        attempts.append(attempt)
        if attempt.kept_budget:
            milder = None if best is original else best
            best, best_ratio, best_macs = student, ratio, macs
        else:
            failed = attempt

    if not attempts:
        raise UnusableInput(
            "the network has no layer that pruning could make narrower: "
            "leave [prune] out of the recipe"
        )
    if best is original:
        return NotRecovered(attempts=tuple(attempts))
    return Pruned(
        module=best,
        milder=milder,
        macs_before=macs_before,
        macs_after=best_macs,
        parameters_before=count_parameters(module),
        parameters_after=count_parameters(best),
        ratio=best_ratio,
        attempts=tuple(attempts),
    )


def count_macs(module: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions and matrix products for one row, the first."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*(tensor[:1] for tensor in example_inputs))
    return counter.get_total_flops() // 2


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _trainable_copy(module: nn.Module) -> nn.Module:
    duplicate = copy.deepcopy(module).eval()
    for parameter in duplicate.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return duplicate


def _next_ratio(recovered: float, failed: float | None) -> float:
    """Half the MACs, until one fails; then half way, by the factor, between the nearest two."""
    if failed is None:
        return 1 - (1 - recovered) * HALVING
    return 1 - math.sqrt((1 - recovered) * (1 - failed))


def _telling(tick: Tick, earlier: int, attempts: int, detail: str) -> Callable[[int, int], None]:
    """The steps of one attempt as steps of the whole search."""
    return lambda done, total: tick(earlier * total + done, attempts * total, detail)


@dataclass(frozen=True, kw_only=True)
class _Loss:
    """Of rows, each -1 (won), 0 or 1 (lost): the mean, and how far chance may have moved it.

    A network is the smallest of several that passed, hence likely one that was lucky: it has to
    pass by the standard error of a mean of so many signs.
    """

    mean: float
    error: float

    def keeps(self, goal: float) -> bool:
        return self.mean + self.error <= goal


def _judge(expected: NDArray[Any], found: NDArray[Any], labels: NDArray[np.int64] | None) -> _Loss:
    if not np.isfinite(found).all():
        return _Loss(mean=1.0, error=0.0)
    theirs, ours = expected.argmax(axis=1), found.argmax(axis=1)
    if labels is None:
        signs = (theirs != ours).astype(np.int64)
    else:
        signs = (theirs == labels).astype(np.int64) - (ours == labels)
    error = math.sqrt(int(np.abs(signs).sum())) / len(signs)
    return _Loss(mean=float(signs.mean()), error=error)
