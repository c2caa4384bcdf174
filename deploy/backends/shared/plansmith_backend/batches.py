"""Requests side by side: the rows of all of them in one inference, and each one's rows back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tensors by name.
Arrays = dict[str, NDArray[Any]]
# One inference: inputs by name, and the batch size that the engine is fixed to (None: any), give
# the outputs by name.
Infer = Callable[[Arrays, int | None], Arrays]

# Of an instance's process: what it writes to its standard error stands in the server's log.
_LOG = logging.getLogger(__name__)


class Runner:
    """Runs requests on one engine.

    `sizes`: descending batch sizes that the engine is fixed to; none means that it takes any.
    `pads`: what is left over after the smallest of them is filled up; otherwise that is an error.
    `reuses_buffers`: an inference writes over the outputs of the one before.
    """

    def __init__(
        self,
        infer: Infer,
        sizes: Sequence[int] = (),
        *,
        pads: bool = False,
        reuses_buffers: bool = False,
    ) -> None:
        self._infer = infer
        self._sizes = tuple(sizes)
        self._pads = pads
        self._staging: dict[tuple[str, int], NDArray[Any]] = {}
        self._logged: set[tuple[str, type[Exception]]] = set()
        self.reuses_buffers = reuses_buffers

    def run_whole(self, feed: Arrays) -> Arrays:
        """Outputs by name for one request as it is, whatever its shape."""
        return self._infer(feed, None)

    def run_rows(self, feeds: Sequence[Arrays], rows: Sequence[int]) -> Arrays:
        """Outputs by name, the rows of all `feeds` one after the other.

        The feeds have the same names, and the same shapes but for the first axis, `rows` long.
        Raises ValueError where the batch does not fit the engine or an output is no batch.
        """
        total = sum(rows)
        if total == 0:
            return self._run_none(feeds[0])
        pieces = list(cut(total, self._sizes)) if self._sizes else [(0, total)]
        if pieces and pieces[-1][1] == total and len(pieces) == 1:
            return self._run_piece(feeds, rows, 0, total, total)
        if not pieces or pieces[-1][1] < total:
            pieces.append(self._left_over(pieces[-1][1] if pieces else 0, total))
        answers: Arrays = {}
        for start, stop in pieces:
            size = max(stop - start, self._sizes[-1])
            # An engine's output buffer is used again by the next piece: copy out of it.
            for name, array in self._run_piece(feeds, rows, start, stop, size).items():
                if name not in answers:
                    answers[name] = np.empty((total, *array.shape[1:]), array.dtype)
                answers[name][start:stop] = array[: stop - start]
        return answers

    def _left_over(self, start: int, total: int) -> tuple[int, int]:
        if not self._pads:
            raise ValueError(
                f"a batch of {total}: the model runs {self._sizes[-1]} at a time; "
                "ENABLE_BATCH_PADDING: YES would fill it up"
            )
        return start, total

    def _run_none(self, feed: Arrays) -> Arrays:
        """No rows, of the shapes and types that a row would have had."""
        size = self._sizes[-1] if self._sizes else 1
        row = {name: blank((size, *array.shape[1:]), array.dtype) for name, array in feed.items()}
        answers = self._infer(row, size if self._sizes else None)
        return {name: array[:0] for name, array in answers.items()}

    def _run_piece(
        self, feeds: Sequence[Arrays], rows: Sequence[int], start: int, stop: int, size: int
    ) -> Arrays:
        arrays: Arrays = {}
        for name in feeds[0]:
            parts = list(overlapping([feed[name] for feed in feeds], rows, start, stop))
            if size > stop - start:
                parts.append(np.repeat(parts[-1][-1:], size - (stop - start), axis=0))
            arrays[name] = parts[0] if len(parts) == 1 else self._gather(name, parts, size)
        answers = self._infer(arrays, size if self._sizes else None)
        for name, array in answers.items():
            # OpenVINO's CPU plugin lets a Reshape that does not divide return no rows at all.
            if array.shape[:1] != (size,):
                raise ValueError(f"output {name} is {list(array.shape)} for a batch of {size}")
        return answers

    def log_once(self, what: str, error: Exception) -> None:
        """Logs the first error of its class, with where it was raised: more would fill the log."""
        kind = what, type(error)
        if kind not in self._logged:
            self._logged.add(kind)
            _LOG.warning("%s; its like is not told again", what, exc_info=error)

    def _gather(self, name: str, parts: Sequence[NDArray[Any]], size: int) -> NDArray[Any]:
        """`parts` copied one after the other into a buffer that is kept for the next batch."""
        shape = (size, *parts[0].shape[1:])
        buffer = self._staging.get((name, size))
        if buffer is None or buffer.shape != shape:
            buffer = self._staging[name, size] = np.empty(shape, parts[0].dtype)
        return np.concatenate(parts, out=buffer)


def answer_each(
    feeds: Sequence[Arrays], runner: Runner, *, is_batched: bool
) -> list[Arrays | Exception]:
    """For each request its outputs, or why there are none, in order.

    Requests of the same shapes are one inference. Where that fails each of them is run alone, so
    that only the one at fault gets the error.
    """
    if not feeds:
        return []
    if len(feeds) == 1:
        # Triton takes the arrays before the engine runs again: no need to copy them.
        return [_alone(feeds[0], runner, is_batched, copies=False)]
    if not is_batched:
        return [_alone(feed, runner, is_batched, copies=True) for feed in feeds]
    groups = group_by_shape(feeds)
    answers: list[Arrays | Exception] = [{} for _ in feeds]
    for members in groups:
        found = _together([feeds[one] for one in members], runner, copies=len(groups) > 1)
        for one, answer in zip(members, found, strict=True):
            answers[one] = answer
    return answers


def group_by_shape(feeds: Sequence[Arrays]) -> list[list[int]]:
    """The places of those feeds that can be one batch: the same names, and shapes but for rows."""
    first = feeds[0]
    if all(_is_alike(first, feed) for feed in feeds[1:]):
        return [list(range(len(feeds)))]
    groups: dict[frozenset[tuple[str, tuple[int, ...]]], list[int]] = {}
    for place, feed in enumerate(feeds):
        shapes = frozenset((name, array.shape[1:]) for name, array in feed.items())
        groups.setdefault(shapes, []).append(place)
    return list(groups.values())


def _is_alike(one: Arrays, other: Arrays) -> bool:
    if len(one) != len(other):
        return False
    for name, array in one.items():
        # Not all(): requests are compared so often that its generator would show.
        if name not in other or array.shape[1:] != other[name].shape[1:]:
            return False
    return True


def _together(feeds: Sequence[Arrays], runner: Runner, copies: bool) -> list[Arrays | Exception]:
    if len(feeds) == 1:
        return [_alone(feeds[0], runner, is_batched=True, copies=copies)]
    try:
        rows = [_rows(feed) for feed in feeds]
        answers = _kept(runner.run_rows(feeds, rows), runner, copies)
    except Exception as error:  # whatever an engine raises
        # One of them cannot be run: only that one may get the error.
        each = [_alone(feed, runner, is_batched=True, copies=True) for feed in feeds]
        if not any(isinstance(answer, Exception) for answer in each):
            runner.log_once("requests that run one by one do not run as a batch", error)
        return each
    found: list[Arrays | Exception] = []
    start = 0
    for count in rows:
        stop = start + count
        found.append({name: array[start:stop] for name, array in answers.items()})
        start = stop
    return found


def _alone(feed: Arrays, runner: Runner, is_batched: bool, copies: bool) -> Arrays | Exception:
    """`copies`: another inference follows, which may use the engine's buffers again."""
    try:
        answers = runner.run_rows([feed], [_rows(feed)]) if is_batched else runner.run_whole(feed)
        return _kept(answers, runner, copies)
    except Exception as error:  # whatever an engine raises: the server must go on
        if _is_unexpected(error):
            runner.log_once("a request failed in a way that no request should", error)
        return error


def told(error: Exception) -> str:
    """What the caller is told of `error`: its text, behind its class where that alone says it."""
    return f"{type(error).__name__}: {error}" if _is_unexpected(error) else str(error)


def _is_unexpected(error: Exception) -> bool:
    """Whether neither we nor an engine raises it on purpose: KeyError, TypeError and the like."""
    return type(error).__module__ == "builtins" and not isinstance(error, ValueError | RuntimeError)


def _kept(answers: Arrays, runner: Runner, copies: bool) -> Arrays:
    if copies and runner.reuses_buffers:
        return {name: array.copy() for name, array in answers.items()}
    return answers


def _rows(feed: Arrays) -> int:
    return len(next(iter(feed.values())))


def blank(shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros, or empty texts."""
    return np.full(shape, b"" if dtype.hasobject else 0, dtype)


def cut(total: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces of the descending `sizes`, largest first, of `total` rows.

    What is smaller than the smallest size is left over.
    """
    start = 0
    for size in sizes:
        while total - start >= size:
            yield start, start + size
            start += size


def overlapping(
    arrays: Sequence[NDArray[Any]], rows: Sequence[int], start: int, stop: int
) -> Iterator[NDArray[Any]]:
    """Views of those rows of `arrays`, taken one after the other, that lie in start..stop."""
    offset = 0
    for array, count in zip(arrays, rows, strict=True):
        low, high = max(start - offset, 0), min(stop - offset, count)
        if low < high:
            yield array[low:high]
        offset += count
