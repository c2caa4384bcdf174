"""Implicit state of sequences: what a model gives out at one request and is given at the next.

Triton's core hands the state's input to a Python model with every request, but always as it is at
the start: nothing in the Python backend can give it the new one (seen on Triton 2.51). So the
state is kept here. A sequence stays with one instance, which is one process, so that is enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith_backend.batches import Arrays, blank
from plansmith_backend.config import DTYPES, StateConfig, TensorConfig

# A number that is not 0, or a text that is not empty.
SequenceId = int | str
# The server counts a sequence's idle time from the arrival of its last request, this module from
# its last run. A request may have waited: what the server takes for alive must still be here.
GRACE_S = 10.0


class StateLost(Exception):
    """A request goes on with a sequence whose state is not here any more."""


@dataclass(kw_only=True)
class _Kept:
    arrays: Arrays
    used_s: float


class SequenceStates:
    """The states of the sequences of one instance.

    `max_idle_s`: a sequence that is not run for longer than that, and a grace, is forgotten.
    """

    def __init__(
        self,
        states: Sequence[StateConfig],
        *,
        is_batched: bool,
        max_idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._states = tuple(states)
        self._is_batched = is_batched
        self._limit_s = max_idle_s + max(max_idle_s, GRACE_S)
        self._clock = clock
        # In the order of their last use.
        self._kept: dict[SequenceId, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def enter(self, sequence: SequenceId | None, *, starts: bool, given: Arrays) -> Arrays:
        """The states that a request of `sequence` is to be run with, by the inputs' names.

        `given`: what Triton brought under these names: the configuration's initial state. A
        request of no sequence (a warm-up) starts anew and leaves nothing.
        Raises StateLost where the sequence is unknown and this is not its start.
        """
        self._forget_idle()
        if sequence is None:
            return self._initial(given, everything=True)
        if starts:
            # Stored at once: if this request fails the sequence goes on from here all the same.
            kept = _Kept(arrays=_copied(self._initial(given)), used_s=0.0)
        else:
            kept = self._kept.pop(sequence, None)
            if kept is None:
                raise StateLost(
                    f"the state of sequence {sequence} is gone; begin the sequence again"
                )
        kept.used_s = self._clock()
        self._kept.pop(sequence, None)
        self._kept[sequence] = kept
        return kept.arrays

    def keep(self, sequence: SequenceId | None, outputs: Arrays) -> None:
        """Takes the new states out of a run's `outputs`; copies, as those are shared."""
        if sequence is not None:
            self._kept[sequence].arrays = {
                state.input.name: outputs[state.output.name].copy() for state in self._states
            }

    def leave(self, sequence: SequenceId | None) -> None:
        """Forgets a sequence that has ended."""
        if sequence is not None:
            self._kept.pop(sequence, None)

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._limit_s
        for sequence, kept in list(self._kept.items()):
            if kept.used_s >= oldest:
                break
            del self._kept[sequence]

    def _initial(self, given: Arrays, *, everything: bool = False) -> Arrays:
        found: Arrays = {}
        for state in self._states:
            name = state.input.name
            # Without an initial state in the configuration Triton brings memory as it found it.
            known = name in given and (state.has_initial or everything)
            found[name] = given[name] if known else zeros(state.input, self._is_batched)
        return found


def zeros(tensor: TensorConfig, is_batched: bool) -> NDArray[Any]:
    """One item of `tensor`: zeros or empty texts; a free axis is 1 long, as Triton has it."""
    shape = [1] * is_batched + [max(size, 1) for size in tensor.dims]
    return blank(shape, np.dtype(DTYPES[tensor.datatype]))


def _copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}
