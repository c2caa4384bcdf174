"""What a recipe says of a model that is served as it is: all but [sequence] and [[step]]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from plansmith.recipe import ensemble_part, model_part, sequence_part
from plansmith.recipe.model_part import WAYS
from plansmith.recipe.plain_words import (
    PLAIN_TARGET,
    TRAINED_BACKENDS,
    AsTrained,
    GoldenSource,
    PlainRecipe,
    PythonModel,
)
from plansmith.recipe.reader import (
    MAX_COUNT,
    Reader,
    as_count_or_zero,
    as_flag,
    as_function,
    as_names,
    as_not_negative,
    as_text,
    listed,
    nearest,
)
from plansmith.recipe.serving_words import Ensemble, Serving
from plansmith.recipe.words import SOURCE_KINDS, Input, Output
from plansmith.tensors import TRITON_DTYPES

# What each may have besides what all do; [[step]] is TOML's way to write a list of tables.
_COMMON = ("source", "input", "output", "golden", "slo", "targets", "serving")
SECTIONS = {
    "as_trained": (*_COMMON, "sequence"),
    "python": (*_COMMON, "sequence"),
    "ensemble": (*_COMMON, "step"),
}
SOURCE_KEYS = {
    "as_trained": ("as_trained", *SOURCE_KINDS, "architecture", "backend"),
    "python": ("python", "files", "decoupled", "calls"),
    "ensemble": ("ensemble",),
}
# Why a section that others have is not for these.
_NO_VARIANTS = (
    "has no place here: a model that is served as it is has no variants to choose among; its gate "
    "are the answers that [golden] gives: remove it"
)
_REFUSED = {
    **dict.fromkeys(("data", "budget", "prune", "quantize", "tensorrt"), _NO_VARIANTS),
    "sequence": "has no place here: an ensemble has no state of its own, its steps' recipes may",
    "step": "goes with source.ensemble alone",
}
# What an optimised model's recipe has no place for.
NOT_OPTIMISED = {
    "golden": "goes with source.as_trained, python or ensemble alone; the golden answers of an "
    "optimised model come from data.evaluation: remove it",
    "sequence": "goes with source.as_trained or python alone",
    "step": _REFUSED["step"],
}


def way_of(root: Mapping[str, Any]) -> str | None:
    """The first of WAYS that [source] asks for; None for a model that is to be optimised."""
    table: object = root.get("source")
    if not isinstance(table, dict):
        return None
    keys = cast("dict[str, Any]", table)
    return next((way for way in WAYS if keys.get(way, False) is not False), None)


def read(
    reader: Reader, root: Mapping[str, Any], way: str, p99_ms: float | None, serving: Serving | None
) -> PlainRecipe | None:
    """The recipe, None where there is a problem; `p99_ms` and `serving` were read before."""
    _sections(reader, root, way)
    source = _source(reader, root, way)
    inputs, outputs = _tensors(reader, root, way)
    limit = _targets(reader, root)
    if limit == 0:
        for tensor in inputs:
            if tensor.preprocess is not None:
                place = ("input", tensor.spec.name, "preprocess")
                reader.problem(place, "needs targets.max_batch_size from 1: a batch axis in front")
    golden = _golden(reader, root, way)
    sequence = None
    if "sequence" in root and "sequence" in SECTIONS[way]:
        sequence = sequence_part.sequence(
            reader, root, inputs, outputs, max_batch_size=limit, has_states=way == "as_trained"
        )
    if isinstance(source, Ensemble):
        ensemble_part.check_edges(reader, source, inputs, outputs)
    if reader.problems:
        return None
    assert source is not None
    assert limit is not None
    assert p99_ms is not None
    assert serving is not None
    return PlainRecipe(
        model=source,
        inputs=inputs,
        outputs=outputs,
        p99_ms=p99_ms,
        max_batch_size=limit,
        golden=golden,
        sequence=sequence,
        serving=serving,
    )


def _sections(reader: Reader, root: Mapping[str, Any], way: str) -> None:
    legal = SECTIONS[way]
    for name in root:
        if name in legal:
            continue
        why = f"unknown key{nearest(name, legal)}; legal: {listed(legal)}"
        reader.problem((name,), _REFUSED.get(name, why))


def _source(
    reader: Reader, root: Mapping[str, Any], way: str
) -> AsTrained | PythonModel | Ensemble | None:
    table = reader.table(root, ("source",))
    assert table is not None, "it was looked into for the way"
    others = [one for one in WAYS if one in table and one != way]
    for one in others:
        reader.problem(("source", one), f"clashes with source.{way}: keep one of {listed(WAYS)}")
    reader.keys(table, ("source",), (*SOURCE_KEYS[way], *others))
    if way == "python":
        return _python(reader, table)
    reader.value(table, ("source", way), lambda raw: True if raw is True else None, "true")
    if way == "ensemble":
        return ensemble_part.ensemble(reader, root)
    source = model_part.trained(reader, table)
    backend: str | None = AsTrained.backend
    if "backend" in table:
        backend = reader.choice(table, ("source", "backend"), TRAINED_BACKENDS)
    if source is None or backend is None:
        return None
    return AsTrained(source=source, backend=backend)


def _python(reader: Reader, table: Mapping[str, Any]) -> PythonModel | None:
    location = reader.value(
        table, ("source", "python"), _python_file, "a .py file beside the recipe"
    )
    files = None
    if "files" in table:
        files = reader.value(table, ("source", "files"), as_function, '"file.py:function"')
    place = ("source", "decoupled")
    decoupled = reader.value(table, place, as_flag, "true or false", False)
    place = ("source", "calls")
    calls = reader.value(table, place, as_names, "a list of models' names without repeats", ())
    if location is None or decoupled is None or calls is None:
        return None
    return PythonModel(location=location, files=files, decoupled=decoupled, calls=calls)


def _python_file(raw: Any) -> str | None:
    text = as_text(raw)
    return text if text is not None and text.endswith(".py") and "/" not in text else None


def _tensors(
    reader: Reader, root: Mapping[str, Any], way: str
) -> tuple[tuple[Input, ...], tuple[Output, ...]]:
    folds = ("preprocess",) if way == "as_trained" else ()

    def input_(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Input | None:
        reader.keys(table, path, ("dtype", "shape", *folds))
        spec = model_part.spec(reader, table, path, TRITON_DTYPES)
        steps = None
        if folds and "preprocess" in table:
            steps = model_part.preprocess(reader, table, (*path, "preprocess"), spec)
        return None if spec is None else Input(spec=spec, preprocess=steps)

    def output(reader: Reader, table: Mapping[str, Any], path: tuple[str, ...]) -> Output | None:
        reader.keys(table, path, ("dtype", "shape", "labels"))
        spec = model_part.spec(reader, table, path, TRITON_DTYPES)
        labels = None
        if "labels" in table:
            labels = reader.value(table, (*path, "labels"), as_text, "a file beside the recipe")
        return None if spec is None else Output(spec=spec, labels=labels)

    inputs = model_part.tensors(reader, root, "input", input_)
    return inputs, model_part.tensors(reader, root, "output", output)


def _targets(reader: Reader, root: Mapping[str, Any]) -> int | None:
    """The largest batch; 0 where the model has no batch axis."""
    table = reader.table(root, ("targets",))
    if table is None:
        return None
    reader.keys(table, ("targets",), ("order", "max_batch_size"))
    reader.value(
        table,
        ("targets", "order"),
        lambda raw: True if raw == [PLAIN_TARGET] else None,
        f'["{PLAIN_TARGET}"]: a model that is served as it is runs there alone',
        True,
    )
    place = ("targets", "max_batch_size")
    expected = f"a whole number, 0 for a model without a batch axis, at most {MAX_COUNT}"
    return reader.value(table, place, as_count_or_zero, expected, 1)


def _golden(reader: Reader, root: Mapping[str, Any], way: str) -> GoldenSource | None:
    if "golden" not in root and way != "as_trained":
        return None
    table = reader.table(root, ("golden",))
    if table is None:
        return None
    reader.keys(table, ("golden",), ("samples", "max_deviation"))
    samples = reader.value(table, ("golden", "samples"), as_function, '"file.py:function"')
    place = ("golden", "max_deviation")
    expected = "a number from 0, of any output value"
    limit = reader.value(table, place, as_not_negative, expected)
    if samples is None or limit is None:
        return None
    return GoldenSource(samples=samples, max_deviation=limit)
