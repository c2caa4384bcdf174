"""INT8 for OpenVINO on the CPU: NNCF's post-training quantisation, whole or with layers kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.compress.cpu_revert import quantised_layers, revert, weighted_layers
from plansmith.compress.exact_int8 import has_exact_int8
from plansmith.compress.layer_times import layer_times_ms
from plansmith.compress.mixed import Layer, search
from plansmith.compress.quiet import silenced
from plansmith.compress.tuning import Tuning
from plansmith.errors import UnusableInput
from plansmith.measure import Feed, batches, spread_out
from plansmith.openvino_runtime import load_nncf, load_openvino, save_ir
from plansmith.progress import Step

MIN_ROWS = 32
# More change the ranges little and cost time; NNCF's own default.
MAX_ROWS = 300
# Enough to tell a harmful layer from a harmless one: all classes' probabilities count in each.
RANKING_ROWS = 16
MAX_TRIES = 10
BATCH_SIZE = 16
TIMING_ROUNDS = 15


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """An INT8 model with layers `kept` in FP32, what it took to find them, and why those.

    `loss`: share of tuning rows whose top-1 answer differs from the original's. `ranking`: every
    layer with its harm and cost.
    """

    quantised: tuple[str, ...]
    kept: tuple[str, ...]
    tries: int
    loss: float
    ranking: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What INT8 came to. `mixed` is None where plain INT8 is good enough, or no mix is.

    `quantised` are the layers of plain INT8, `loss` is its own on the tuning rows.
    """

    quantised: tuple[str, ...]
    loss: float
    mixed: Mixed | None


def quantisable_layers(onnx_file: Path) -> tuple[str, ...]:
    """OpenVINO's names of the convolutions and matrix products with fixed weights, in order."""
    return tuple(weighted_layers(_read(onnx_file)))


def quantise(
    onnx_file: Path,
    feed: Feed,
    to: Path,
    *,
    keep: Sequence[str] = (),
    exact_int8: bool | None = None,
) -> tuple[str, ...]:
    """Writes the INT8 model as IR to `to` (an .xml; the .bin beside it); names its INT8 layers.

    `feed`: at least 32 rows of real data by input name, of which at most 300, evenly spread, are
    used; the same rows give the same model. `keep`: names out of `quantisable_layers` that stay
    FP32. `exact_int8`: see `has_exact_int8`, which is asked where it is None. Raises UnusableInput
    for too few rows, for a model without such layers or with a fixed batch axis, and for unknown
    names; LacksSomething without NNCF.
    """
    original = _read(onnx_file)
    _check_names(keep, weighted_layers(original), onnx_file)
    quantised = _quantise(original, feed, onnx_file, exact_int8)
    revert(quantised, original, keep)
    return _save(quantised, to)


def quantise_and_search(
    onnx_file: Path,
    tuning: Tuning,
    *,
    plain_to: Path,
    mixed_to: Path,
    step: Step,
    exact_int8: bool | None = None,
) -> Searched:
    """Writes plain INT8 to `plain_to`, and where that misses the goal the best mix to `mixed_to`.

    The mix has the fewest layers in FP32 with which the loss on the tuning rows meets their goal; a
    layer's harm is the mean KL where it alone is quantised, its cost the time it takes longer in
    FP32. Nothing is written to `mixed_to` where even all layers in FP32 miss it. Errors and
    `exact_int8` are those of `quantise`; the tuning rows calibrate, too, hence prove nothing about
    others.
    """
    original = _read(onnx_file)
    step.update(0, 1, "value ranges of all layers")
    quantised = _quantise(original, tuning.feed, onnx_file, exact_int8)
    case = _Case(original=original, quantised=quantised, tuning=tuning)
    plain = case.loss_of(())
    layers = _save(quantised.clone(), plain_to)
    if plain <= tuning.goal:
        return Searched(quantised=layers, loss=plain, mixed=None)
    ranking = _rank(case, mixed_to, step)
    kept = search(
        ranking,
        lambda names: case.loss_of(names) if names else plain,
        tuning.goal,
        max_tries=MAX_TRIES,
        tick=lambda done, total: step.update(done, total, "trying sets of layers"),
    )
    if kept is None:
        return Searched(quantised=layers, loss=plain, mixed=None)
    mixed = Mixed(
        quantised=_save(case.with_kept(kept.layers), mixed_to),
        kept=kept.layers,
        tries=kept.tries,
        loss=kept.loss,
        ranking=ranking,
    )
    return Searched(quantised=layers, loss=plain, mixed=mixed)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A model before and after quantisation, and the rows on which sets of layers are tried."""

    original: Any
    quantised: Any
    tuning: Tuning

    def with_kept(self, names: Sequence[str]) -> Any:
        model = self.quantised.clone()
        revert(model, self.original, names)
        return model

    def loss_of(self, names: Sequence[str]) -> float:
        model = self.with_kept(names)
        return self.tuning.loss(_answer(model, self.tuning.feed, self.tuning.output))

    def divergence(self, names: Sequence[str]) -> float:
        """Mean KL in nats over a part of the rows that is spread over all."""
        few = self.tuning.spread(RANKING_ROWS)
        return few.divergence(_answer(self.with_kept(names), few.feed, few.output))


def _rank(case: _Case, to: Path, step: Step) -> tuple[Layer, ...]:
    """Harm and cost of each layer: alone in INT8, and on one core.

    KL grows with the square of an error, so in a model that is quantised elsewhere what one layer
    adds drowns in its products with the other layers' errors.
    """
    names = weighted_layers(case.original)
    times = [_times_ms(model, case.tuning.feed, to) for model in (case.original, case.quantised)]
    layers: list[Layer] = []
    for done, name in enumerate(names):
        step.update(done, len(names), "harm done by each layer")
        fp32_ms, int8_ms = (found.get(name, 0.0) for found in times)
        harm = case.divergence([other for other in names if other != name])
        layers.append(Layer(name=name, harm=harm, cost=max(fp32_ms - int8_ms, _least_ms(times))))
    return tuple(layers)


def _least_ms(times: Sequence[dict[str, float]]) -> float:
    """What keeping any layer costs at least: changes of precision before and after it.

    Also keeps the noise of a short timing from making a layer look free.
    """
    return sum(times[0].values()) / len(times[0]) / 10


def _times_ms(model: Any, feed: Feed, to: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".timing-") as folder:
        file = Path(folder) / "model.xml"
        save_ir(model, file)
        return layer_times_ms(file, feed, rounds=TIMING_ROUNDS)


def _answer(model: Any, feed: Feed, output: str) -> NDArray[np.float32]:
    openvino = load_openvino()
    settings = {"NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    parts: list[NDArray[np.float32]] = []
    for _, count, batch in batches(feed, BATCH_SIZE):
        request.start_async(batch)
        request.wait()
        parts.append(request.get_tensor(output).data[:count].copy())
    return np.concatenate(parts)


def _read(onnx_file: Path) -> Any:
    """The model with constants folded and operations fused.

    Without that NNCF 3.4 finds neither the biases (so corrects none) nor the output channels of
    grouped convolutions (so scales the weights along a wrong axis).
    """
    openvino = load_openvino()
    from openvino._offline_transformations import (  # pyright: ignore[reportMissingTypeStubs]
        apply_moc_transformations,
    )

    try:
        model: Any = openvino.Core().read_model(onnx_file)
    except RuntimeError as error:
        raise UnusableInput(f"{onnx_file}: OpenVINO cannot read it: {error}") from error
    shapes = [port.partial_shape for port in model.inputs]
    if any(shape.rank.is_dynamic or len(shape) == 0 or shape[0].is_static for shape in shapes):
        raise UnusableInput(f"{onnx_file}: the batch axis is fixed; export it with a free one")
    apply_moc_transformations(model, cf=True, smart_reshape=False)
    return model


def _quantise(original: Any, feed: Feed, onnx_file: Path, exact_int8: bool | None) -> Any:
    """A quantised copy of `original`.

    The slower bias correction gave EfficientNet-Lite0 0.030 nats of KL from FP32 against 0.053;
    asymmetric activations, percentile ranges and SmoothQuant gave it nothing worth their time.
    """
    _check_rows(original, feed, onnx_file)
    if not weighted_layers(original):
        raise UnusableInput(
            f"{onnx_file}: nothing to quantise: no convolution or matrix product with fixed weights"
        )
    with silenced(f"{onnx_file}: NNCF cannot quantise it"):
        nncf = load_nncf()
        if exact_int8 is None:
            exact_int8 = has_exact_int8()
        rows = [
            {name: array[row : row + 1] for name, array in feed.items()}
            for row in spread_out(_count(feed), MAX_ROWS)
        ]
        overflow = nncf.OverflowFix.DISABLE if exact_int8 else nncf.OverflowFix.ENABLE
        return nncf.quantize(
            original.clone(),
            nncf.Dataset(rows),
            subset_size=len(rows),
            fast_bias_correction=False,
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
        )


def _check_rows(original: Any, feed: Feed, onnx_file: Path) -> None:
    wanted = sorted(port.any_name for port in original.inputs)
    if sorted(feed) != wanted:
        raise UnusableInput(
            f"calibration: the data has {', '.join(sorted(feed)) or 'no inputs'}, "
            f"{onnx_file} takes {', '.join(wanted)}"
        )
    counts = {name: len(array) for name, array in feed.items()}
    if len(set(counts.values())) > 1:
        raise UnusableInput(f"calibration: unlike numbers of rows: {counts}")
    if _count(feed) < MIN_ROWS:
        raise UnusableInput(
            f"calibration: {_count(feed)} rows are too few for INT8 ranges: give {MIN_ROWS} or more"
        )


def _check_names(names: Sequence[str], layers: Sequence[str], onnx_file: Path) -> None:
    unknown = [name for name in names if name not in layers]
    if unknown:
        raise UnusableInput(
            f"{onnx_file}: no quantisable layer {', '.join(unknown)}; it has {', '.join(layers)}"
        )


def _count(feed: Feed) -> int:
    return min((len(array) for array in feed.values()), default=0)


def _save(model: Any, to: Path) -> tuple[str, ...]:
    save_ir(model, to)
    return quantised_layers(model)
