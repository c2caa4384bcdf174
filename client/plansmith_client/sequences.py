"""One step of a sequence: the requests whose state the server keeps from one to the next."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, SupportsIndex, TypeVar

from plansmith_client.errors import InvalidInput, PlansmithClientError

InputsT = TypeVar("InputsT")

# The wire's parameter is a signed 64-bit integer.
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceStep:
    """Which sequence a request belongs to, and whether it is its first or its last.

    `id`: 1 to 2**63 - 1, or a text if the model takes such ids; callers that share a server must
    not share ids. All steps of a sequence have to reach the same server, one after another: the
    next is sent when the last is answered. Raises InvalidInput for an id that cannot be.
    `Model.sequence` keeps all this in mind.
    """

    id: int | str
    start: bool = False
    end: bool = False

    def __post_init__(self) -> None:
        if type(self.id) is not str and type(self.id) is not int:
            # Such as NumPy's integers, which JSON does not have.
            object.__setattr__(self, "id", _plain(self.id))
        if isinstance(self.id, str):
            if not self.id:
                raise InvalidInput("a sequence's id is an empty text, which stands for no sequence")
        elif not 1 <= self.id <= _LARGEST_ID:
            raise InvalidInput(f"a sequence's id is {self.id}; it is 1 to {_LARGEST_ID}")


def _plain(id_: object) -> int | str:
    if isinstance(id_, str):
        return id_
    if not isinstance(id_, SupportsIndex):
        raise InvalidInput(f"a sequence's id is {id_!r}, no whole number and no text")
    return id_.__index__()


def fresh_ids() -> Iterator[int]:
    """Ids of one client: no two alike, and unlike those of other clients of the server.

    They count up from a random 62-bit number, so that they stay below 2**63; `next` is atomic.
    """
    return itertools.count(int.from_bytes(os.urandom(8), "little") // 4 + 1)


class SequenceState(Generic[InputsT]):
    """Where a sequence is: which step is next, and whether the server's state is still known.

    `InputsT`: what a step was called with, kept for `last`. `model`, `version`: for its errors.
    """

    def __init__(
        self, id_: int | str, model: str | None = None, version: int | None = None
    ) -> None:
        # Checked here, where the caller gives it.
        self.id: int | str = SequenceStep(id=id_).id
        self._model = model
        self._version = version
        self.last: InputsT | None = None
        self.last_streamed: bool = False
        self._ended = False
        self._lost: str | None = None
        self._streams = False

    @property
    def is_open(self) -> bool:
        """Whether the server holds it: begun, neither ended nor lost."""
        return self.last is not None and not self._ended and self._lost is None

    @contextmanager
    def taking(
        self, inputs: InputsT, *, end: bool, streamed: bool = False
    ) -> Generator[SequenceStep]:
        """The block makes the next step and has its whole answer when it ends, or fails.

        Raises PlansmithClientError if there can be no step.
        """
        step = self.step(end=end)
        self._streams = streamed
        try:
            yield step
        except PlansmithClientError as error:
            self.failed(step, error)
            error.retriable = False
            raise
        except BaseException as error:
            # An interrupt, a cancelled task or a stream that was left, which close a generator.
            self.failed(step, error)
            raise
        else:
            self.answered(step, inputs)
            self.last_streamed = streamed
        finally:
            self._streams = False

    def step(self, *, end: bool) -> SequenceStep:
        """The next one. Raises PlansmithClientError if there can be none."""
        if self._streams:
            # Waiting for it would be for ever where the same thread has still to read it.
            raise self._error(
                ": a step's answers are still streamed: take them to their end first, or close the "
                "stream and begin another sequence"
            )
        if self._ended:
            raise self._error(" has ended: begin another")
        if self._lost is not None:
            raise self._error(
                f" is lost, for one of its steps failed ({self._lost}) and the server may have "
                "taken it or not: begin another"
            )
        return SequenceStep(id=self.id, start=self.last is None, end=end)

    def _error(self, fact: str) -> PlansmithClientError:
        said = f"sequence {self.id}{fact}"
        return PlansmithClientError(said, model=self._model, version=self._version)

    def answered(self, step: SequenceStep, inputs: InputsT) -> None:
        self.last, self._ended = inputs, step.end

    def failed(self, step: SequenceStep, error: BaseException) -> None:
        """A step did not answer: it changed nothing, or the sequence is lost."""
        unsent = isinstance(error, InvalidInput) and error.status is None
        # The first can be sent again: the server forgets what an id had before.
        if not unsent and not step.start:
            self._lost = type(error).__name__
