"""What a recipe's golden function gives → golden answers, or why they are none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.golden.file import MAX_BYTES, Column, GoldenAnswers, rows_that_fit
from plansmith.measure import spread_out
from plansmith.recipe.plain_words import PlainRecipe
from plansmith.tensors import TensorSpec, compatible

KEYS = ("inputs", "outputs", "sequence", "responses")
# Of sequences: enough for state to have an effect; they are cut, not thinned.
MAX_STEPS = 1024


def read_answers(found: object, recipe: PlainRecipe, place: str) -> GoldenAnswers:
    """`found` is what the function `place` gave: {"inputs": {...}, "outputs": {...}} and more.

    Each tensor is an array with the rows as its first axis, or a list of arrays, one a row.
    Raises UnusableInput where it does not fit the tensors that the recipe offers to callers.
    """
    assert recipe.golden is not None
    given = _table(found) or {}
    if not {"inputs", "outputs"} <= set(given):
        what = f"a dict of {', '.join(given)}" if given else _kind(found)
        raise UnusableInput(
            f'{place}: gives {what}; expected {{"inputs": {{…}}, "outputs": {{…}}}}'
        )
    unknown = [name for name in given if name not in KEYS]
    if unknown:
        raise UnusableInput(f"{place}: {unknown[0]!r} is not one of {', '.join(KEYS)}")
    _check_per_row(given, recipe, place)
    wanted = [spec.name for spec in recipe.offered_inputs]
    inputs = _columns(given["inputs"], recipe.offered_inputs, f'{place}: "inputs"')
    if missing := [name for name in wanted if name not in inputs]:
        raise UnusableInput(f'{place}: "inputs" lacks {", ".join(missing)}')
    try:
        return GoldenAnswers(
            inputs=inputs,
            outputs=_columns(given["outputs"], recipe.offered_outputs, f'{place}: "outputs"'),
            sequence=_numbers(given.get("sequence")),
            responses=_numbers(given.get("responses")),
            max_deviation=recipe.golden.max_deviation,
        )
    except ValueError as error:
        raise UnusableInput(f"{place}: {error}") from error


def _check_per_row(given: Mapping[str, Any], recipe: PlainRecipe, place: str) -> None:
    """Numbers for each row where the model needs them, and only there."""
    has_state = recipe.sequence is not None
    for name, needed, why in (
        ("sequence", has_state, "the recipe has [sequence]: to which sequence a row belongs"),
        ("responses", recipe.decoupled, "source.decoupled is set: how many answers a row gets"),
    ):
        if needed and given.get(name) is None:
            raise UnusableInput(f"{place}: lacks {name!r}, a number for each row; {why}")
        if not needed and given.get(name) is not None:
            raise UnusableInput(f"{place}: has {name!r}, but the recipe says nothing of that")


def _numbers(raw: Any) -> NDArray[np.int64] | None:
    if raw is None:
        return None
    array = np.asarray(raw)
    # Anything but whole numbers stays as it is, to be refused by name.
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _columns(raw: object, specs: Sequence[TensorSpec], place: str) -> dict[str, Column]:
    table = _table(raw)
    if table is None:
        raise UnusableInput(f"{place} is {_kind(raw)}; expected arrays by name")
    known = {spec.name: spec for spec in specs}
    found: dict[str, Column] = {}
    for name, rows in table.items():
        if name not in known:
            raise UnusableInput(f"{place} has {name!r}; the recipe offers {', '.join(known)}")
        found[name] = _column(rows, known[name], f"{place}: {name}")
    return found


def _column(raw: Any, spec: TensorSpec, place: str) -> Column:
    if not isinstance(raw, np.ndarray | list | tuple):
        raise UnusableInput(f"{place} is {_kind(raw)}; expected an array, or a list of arrays")
    rows = [_row(row, spec) for row in cast("Iterable[Any]", raw)]
    for number, row in enumerate(rows):
        expected = "object" if spec.dtype == "bytes" else spec.dtype
        if not compatible(spec.shape, row.shape) or row.dtype.name != expected:
            raise UnusableInput(
                f"{place}: row {number} is {row.dtype.name} {list(row.shape)}; the recipe says "
                f"{spec.dtype} {list(spec.shape)}"
            )
    return tuple(rows)


def _row(raw: Any, spec: TensorSpec) -> NDArray[Any]:
    if spec.dtype != "bytes":
        return np.asarray(raw)
    # As objects: numpy's own bytes would lose zeros at their ends.
    array = np.array(raw, object)
    texts = np.empty(array.shape, object)
    for place, item in np.ndenumerate(array):
        texts[place] = item.encode() if isinstance(item, str) else item
    return texts


def _table(value: object) -> dict[str, Any] | None:
    """`value` where it is a dict: its keys are looked at by name."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def small_enough(answers: GoldenAnswers) -> GoldenAnswers:
    """Those of `answers` that a version keeps: evenly spread, or the first steps of sequences."""
    all_columns = [*answers.inputs.values(), *answers.outputs.values()]
    row_bytes = -(-sum(_bytes_of(row) for one in all_columns for row in one) // answers.count)
    if answers.sequence is not None:
        keep = min(answers.count, MAX_STEPS, max(1, MAX_BYTES // max(1, row_bytes)))
        rows = list(range(keep))
    else:
        rows = spread_out(answers.count, rows_that_fit(answers.count, row_bytes)).tolist()
    columns = answers.outputs
    places = [place for row in rows for place in range(*_places(answers, row))]
    return GoldenAnswers(
        inputs={name: tuple(column[r] for r in rows) for name, column in answers.inputs.items()},
        outputs={name: tuple(column[p] for p in places) for name, column in columns.items()},
        sequence=None if answers.sequence is None else answers.sequence[rows],
        responses=None if answers.responses is None else answers.responses[rows],
        max_deviation=answers.max_deviation,
    )


def _places(answers: GoldenAnswers, row: int) -> tuple[int, int]:
    place = answers.answers_to(row)
    return place.start, place.stop


def _bytes_of(row: NDArray[Any]) -> int:
    if row.dtype.hasobject:
        return sum(len(item) for item in row.reshape(-1).tolist())
    return row.nbytes


def samples_of(answers: GoldenAnswers) -> dict[str, NDArray[Any]]:
    """The inputs as arrays with the rows as their first axis, for load runs.

    Of rows of several shapes those of the most common one. BYTES become records of `bytes` and
    their `length`: numpy's bytes need no unpickling, but alone they lose zeros at their ends.
    """
    shapes = [
        tuple(column[row].shape for column in answers.inputs.values())
        for row in range(answers.count)
    ]
    common = max(dict.fromkeys(shapes), key=shapes.count)
    rows = [row for row, shape in enumerate(shapes) if shape == common]
    found: dict[str, NDArray[Any]] = {}
    for name, column in answers.inputs.items():
        stacked = np.stack([column[row] for row in rows])
        found[name] = _records(stacked) if stacked.dtype.hasobject else stacked
    return found


def _records(items: NDArray[Any]) -> NDArray[Any]:
    """Object array of bytes → records, read again by loadtests/load_samples.py."""
    raw = items.astype(np.bytes_)
    found = np.empty(items.shape, [("bytes", raw.dtype), ("length", np.int64)])
    found["bytes"] = raw
    found["length"] = np.vectorize(len, otypes=[np.int64])(items)
    return found
