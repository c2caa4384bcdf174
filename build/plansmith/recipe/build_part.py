"""What a recipe says of how the model is built: [data], [prune], [budget], [targets] and more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from plansmith.engines.passport import BuildOptions
from plansmith.recipe.reader import (
    MAX_COUNT,
    Reader,
    as_count,
    as_flag,
    as_function,
    as_positive,
    as_share,
    as_text,
    listed,
)
from plansmith.recipe.words import (
    CALIBRATION_METHODS,
    METRICS,
    TARGETS,
    Budget,
    Data,
    Prune,
    Quantize,
    Source,
)

ARRAYS = "an .npy or .npz file, a folder of images that ends in /, or file.py:function"
COLUMNS = "an .npy, .csv or .parquet file, or file.py:function"
# As Triton's cc_model_filenames writes them: major.minor.
_CAPABILITY = re.compile(r"[1-9]\d?\.\d")


def _targets(raw: Any) -> tuple[str, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    names = cast("list[Any]", raw)
    fits = all(name in TARGETS for name in names) and len(set(names)) == len(names)
    return tuple(names) if fits else None


def _arrays(raw: Any) -> str | None:
    text = as_text(raw)
    fits = text is not None and (text.endswith((".npy", ".npz", "/")) or as_function(text))
    return text if fits else None


def _column(raw: Any) -> str | None:
    text = as_text(raw)
    fits = text is not None and (text.endswith((".npy", ".csv", ".parquet")) or as_function(text))
    return text if fits else None


def data(reader: Reader, root: Mapping[str, Any]) -> Data | None:
    table = reader.table(root, ("data",))
    if table is None:
        return None
    arrays, columns = ("calibration", "training", "pictures"), ("labels", "slices")
    legal = ("evaluation", *columns, *arrays, "max_undecodable")
    reader.keys(table, ("data",), legal)
    evaluation = reader.value(table, ("data", "evaluation"), _arrays, ARRAYS)
    others = {
        name: reader.value(table, ("data", name), accept, expected)
        for names, accept, expected in ((arrays, _arrays, ARRAYS), (columns, _column, COLUMNS))
        for name in names
        if name in table
    }
    place = ("data", "max_undecodable")
    share = reader.value(table, place, as_share, "a share from 0 up to 1", 0.0)
    if evaluation is None or share is None:
        return None
    return Data(evaluation=evaluation, max_undecodable=share, **others)


def prune(
    reader: Reader, root: Mapping[str, Any], source: Source | None, places: Data | None
) -> Prune | None:
    if "prune" not in root:
        return None
    table = reader.table(root, ("prune",))
    if table is None:
        return None
    reader.keys(table, ("prune",), ("epochs",))
    if source is not None and source.kind == "onnx":
        reader.problem(("prune",), "needs a torch module: an ONNX graph cannot be trained again")
    for name in ("training", "calibration"):
        if places is not None and getattr(places, name) is None:
            reader.problem(("prune",), f"needs data.{name}: a pruned network has to recover")
    epochs = reader.value(table, ("prune", "epochs"), as_count, "a whole number from 1")
    return None if epochs is None else Prune(epochs=epochs)


def quantize(reader: Reader, root: Mapping[str, Any]) -> Quantize | None:
    if "quantize" not in root:
        return Quantize()
    table = reader.table(root, ("quantize",))
    if table is None:
        return None
    reader.keys(table, ("quantize",), ("method",))
    method: str | None = Quantize.method
    if "method" in table:
        method = reader.choice(table, ("quantize", "method"), CALIBRATION_METHODS)
    return None if method is None else Quantize(method=method)


def budget(reader: Reader, root: Mapping[str, Any], places: Data | None) -> Budget | None:
    table = reader.table(root, ("budget",))
    if table is None:
        return None
    limits = ("max_kl", "max_deviation")
    reader.keys(table, ("budget",), ("metric", "max_drop", *limits, "accept_not_proven"))
    metric = reader.choice(table, ("budget", "metric"), METRICS)
    # Any other place may give labels beside the samples, or folders: that shows when it is read.
    unlabelled = places is not None and places.labels is None and places.evaluation.endswith(".npy")
    if metric == "top1" and unlabelled:
        reader.problem(("budget", "metric"), 'is "top1", which needs data.labels')
    max_drop = reader.value(table, ("budget", "max_drop"), as_share, "a share from 0 up to 1")
    further = {
        name: reader.value(table, ("budget", name), as_positive, "a positive number")
        for name in limits
        if name in table
    }
    accept = reader.value(table, ("budget", "accept_not_proven"), as_flag, "true or false", False)
    if metric is None or max_drop is None or accept is None:
        return None
    return Budget(metric=metric, max_drop=max_drop, accept_not_proven=accept, **further)


def slo(reader: Reader, root: Mapping[str, Any]) -> float | None:
    table = reader.table(root, ("slo",))
    if table is None:
        return None
    reader.keys(table, ("slo",), ("p99_ms", "priority_levels"))  # the latter: serving_part.py
    return reader.value(table, ("slo", "p99_ms"), as_positive, "a positive number of milliseconds")


def targets(reader: Reader, root: Mapping[str, Any]) -> dict[str, Any] | None:
    """The recipe's fields that are set in [targets]."""
    table = reader.table(root, ("targets",))
    if table is None:
        return None
    legal = ("order", "max_batch_size", "compute_capabilities", "accept_not_measured")
    reader.keys(table, ("targets",), legal)
    expected = f"a list without repeats of {listed(TARGETS)}"
    order = reader.value(table, ("targets", "order"), _targets, expected)
    place = ("targets", "max_batch_size")
    batch = reader.value(table, place, as_count, f"a whole number from 1 to {MAX_COUNT}", 1)
    place = ("targets", "compute_capabilities")
    expected = 'a list without repeats of GPU generations like "8.6"'
    capabilities = reader.value(table, place, _capabilities, expected, ())
    if order and "tensorrt-rtx" in order and capabilities == ():
        reader.problem(place, f'missing; "tensorrt-rtx" is built ahead of time: {expected}')
    place = ("targets", "accept_not_measured")
    accept = reader.value(table, place, as_flag, "true or false", False)
    return {
        "targets": order,
        "max_batch_size": batch,
        "compute_capabilities": capabilities,
        "accept_not_measured": accept,
    }


def engine(reader: Reader, root: Mapping[str, Any]) -> BuildOptions | None:
    if "tensorrt" not in root:
        return BuildOptions()
    table = reader.table(root, ("tensorrt",))
    if table is None:
        return None
    flags = ("version_compatible", "hardware_compatible", "sparse")
    reader.keys(table, ("tensorrt",), ("optimisation_level", "workspace_mb", *flags))
    found: dict[str, Any] = {
        flag: reader.value(table, ("tensorrt", flag), as_flag, "true or false", False)
        for flag in flags
    }
    place = ("tensorrt", "optimisation_level")
    found["optimisation_level"] = reader.value(table, place, _level, "a whole number, 0 to 5", 3)
    if "workspace_mb" in table:
        place = ("tensorrt", "workspace_mb")
        size = reader.value(table, place, as_count, "a whole number of megabytes from 1")
        found["workspace_bytes"] = None if size is None else size * 2**20
    return None if None in found.values() else BuildOptions(**found)


def _level(raw: Any) -> int | None:
    return raw if type(raw) is int and 0 <= raw <= 5 else None


def _capabilities(raw: Any) -> tuple[str, ...] | None:
    if not isinstance(raw, list) or not raw:
        return None
    names = cast("list[Any]", raw)
    fits = all(isinstance(name, str) and _CAPABILITY.fullmatch(name) for name in names)
    return tuple(names) if fits and len(set(names)) == len(names) else None
