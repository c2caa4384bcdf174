"""What is made of a form for TensorRT: FP16 by types, 2:4, INT8 by explicit Q/DQ, and mixes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plansmith.compress.tuning import Tuning
from plansmith.errors import PlansmithError
from plansmith.forms import Form, derived, name_of
from plansmith.measure import Feed
from plansmith.progress import Step
from plansmith.recipe import Recipe
from plansmith.stages.products import MadeForm
from plansmith.targets import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from plansmith.compress.qdq import Quantised
    from plansmith.compress.ranges import LayerRange

# Of the runs that only tell how good a graph's answers are.
BATCH_SIZE = 8
# Scales move little beyond these, and calibration takes time for each.
CALIBRATION_ROWS = 128
NAMED_LAYERS = 4


def make_forms(
    recipe: Recipe, base: Form, onnx_file: Path, tuning: Tuning | None, to: Path, step: Step
) -> list[MadeForm]:
    """What can be made of `base` by precision, as ONNX files in `to`; nothing without data.

    A form that cannot be made is a refused one: those that can be are not lost for it.
    """
    import onnx

    if tuning is None:
        return []
    model = onnx.load(onnx_file)
    making = _Making(recipe=recipe, base=base, model=model, tuning=tuning, to=to, step=step)
    making.fp16()
    if recipe.engine.sparse:
        making.sparse()
    making.int8()
    return making.made


@dataclass(frozen=True, kw_only=True)
class _Making:
    """The forms of one base, one after the other."""

    recipe: Recipe
    base: Form
    model: onnx.ModelProto
    tuning: Tuning
    to: Path
    step: Step
    made: list[MadeForm] = field(default_factory=list[MadeForm])

    def fp16(self) -> None:
        from plansmith.compress.fp16 import to_fp16

        half = derived(self.base, "fp16", "ModelOpt AutoCast")
        self.step.update(0, 3, f"{half.name}: ranges of all tensors")
        try:
            typed = to_fp16(self.model, self.tuning.feed)
        except PlansmithError as error:
            self._refuse(half, str(error))
            return
        if typed.overflows:
            self._refuse(half, _overflowing(typed.overflows))
            half = derived(self.base, "fp16", half.tool, mixed=True)
        self._add(replace(half, kept_layers=typed.fp32_layers), typed.model)

    def sparse(self) -> None:
        from plansmith.compress.fp16 import to_fp16
        from plansmith.compress.sparse import to_2_4

        thinned, report = to_2_4(self.model)
        form = replace(
            derived(self.base, "fp16", "2:4 by magnitude, and ModelOpt AutoCast"),
            name=f"{name_of(self.base.name, 'fp16')}-sparse",
            notes=(
                f"2:4 in {len(report.layers)} of {len(report.layers) + len(report.skipped)} "
                f"layers: {report.zero_share:.0%} of their weights are zero. Whether that gains "
                "anything, and what it costs in accuracy, stands in the table of variants",
            ),
        )
        self.step.update(1, 3, form.name)
        self._add(form, to_fp16(thinned, self.tuning.feed).model)

    def int8(self) -> None:
        from plansmith.compress.qdq import to_int8

        method = self.recipe.quantize.method
        form = derived(self.base, "int8", f"ModelOpt, explicit Q/DQ, {method} calibration")
        self.step.update(2, 3, f"{form.name}: {method} calibration")
        rows = self.tuning.spread(CALIBRATION_ROWS).feed
        try:
            quantised = to_int8(self.model, rows, method=method)
        except PlansmithError as error:
            self._refuse(form, str(error))
            return
        loss = self.tuning.loss(self._answer(quantised.model, self.tuning.feed))
        self._add_int8(form, quantised.model, quantised.kept_layers, loss)
        if loss > self.tuning.goal:
            self._mix(derived(self.base, "int8", form.tool, mixed=True), quantised)

    def _mix(self, form: Form, quantised: Quantised) -> None:
        from plansmith.compress.qdq_mixed import find_kept_layers, without

        layers = quantised.quantised_layers
        found = find_kept_layers(
            quantised.model, layers, self.tuning, self._answer, self.step.update
        )
        if found is None:
            self._refuse(
                form,
                "no mix of INT8 and FP16 keeps the loss on the calibration samples below "
                f"{self.tuning.goal:.2%}",
            )
            return
        graph = without(quantised.model, layers, found.layers)
        self._add_int8(form, graph, (*quantised.kept_layers, *found.layers), found.loss)

    def _add_int8(
        self, form: Form, graph: onnx.ModelProto, kept: Sequence[str], loss: float
    ) -> None:
        from plansmith.compress.fp16 import to_fp16

        typed = to_fp16(graph, self.tuning.feed)
        note = self.tuning.told(loss)
        wide = tuple(name for name in typed.fp32_layers if name not in kept)
        notes = (note, f"in FP32, for their range: {', '.join(wide)}") if wide else (note,)
        form = replace(form, kept_layers=tuple(kept), kept_precision="fp16", notes=notes)
        self._add(form, typed.model)

    def _answer(self, graph: onnx.ModelProto, feed: Feed) -> NDArray[np.float32]:
        engine = onnxruntime.open_engine(
            graph.SerializeToString(), BATCH_SIZE, literally=True, timed=False
        )
        return engine.answer(feed)[self.tuning.output].astype(np.float32)

    def _add(self, form: Form, graph: onnx.ModelProto) -> None:
        import onnx

        from plansmith.compress.graph_size import measure_size

        file, size = f"{form.name}.onnx", measure_size(graph)
        onnx.save(graph, self.to / file)
        sized = replace(form, macs=size.macs, parameters=size.parameters)
        self.made.append(MadeForm(form=sized, file=file))

    def _refuse(self, form: Form, why: str) -> None:
        self.made.append(MadeForm(form=replace(form, refused=why), file=None))


def _overflowing(ranges: Sequence[LayerRange]) -> str:
    """The layers of `ranges`, which has the worst first, each with the largest of its tensors."""
    reached: dict[str, float] = {}
    for one in ranges:
        reached.setdefault(one.layer, one.max_abs)
    told = [f"{layer} ({value:.3g})" for layer, value in reached.items()]
    others = len(told) - NAMED_LAYERS
    more = f" and {others} more" if others > 0 else ""
    largest = "overflows FP16, whose largest number is 65504, in "
    return f"{largest}{', '.join(told[:NAMED_LAYERS])}{more}"
