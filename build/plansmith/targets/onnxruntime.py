"""ONNX Runtime on the CPU in FP32: the reference that answers and speed are compared with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from plansmith.measure import Feed, in_batches

NAME = "onnxruntime-fp32"


def open_engine(
    model: Path | bytes, batch_size: int, *, literally: bool = False, timed: bool = True
) -> OnnxRuntimeEngine:
    """The ONNX model, its file or its bytes, in a session that runs batches of `batch_size`.

    `literally`: Q/DQ as the graph says, not fused into integer kernels. Those add up in 16 bits
    on CPUs without VNNI and may saturate; with FP16 scales version 1.32 answers wrongly.
    `timed` False, for one that is only asked: `answer` runs a batch on each core, side by side.
    Its answers are the same to the bit, and cost a fifth to two fifths less of the cores' time.
    """
    return OnnxRuntimeEngine(model, batch_size, literally=literally, timed=timed)


class OnnxRuntimeEngine:
    """ONNX Runtime with its defaults, or as `open_engine` says: see plansmith.measure.Engine."""

    def __init__(
        self, model: Path | bytes, batch_size: int, *, literally: bool = False, timed: bool = True
    ) -> None:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

        self.batch_size = batch_size
        self._side_by_side = 1 if timed else len(os.sched_getaffinity(0))
        options = cast("Any", onnxruntime.SessionOptions())
        options.log_severity_level = 3  # its warnings are of constants that it did not fold
        if literally:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        if not timed:
            options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]

    def single(self, feed: Feed) -> object:
        return self._session.run(None, dict(feed))

    def start(self, feed: Feed) -> None:
        self._session.run(None, dict(feed))

    def finish(self) -> None:
        """Nothing is ever pending: `start` blocks, ONNX Runtime uses all cores for one batch."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return in_batches(feed, self.batch_size, self._run, self._side_by_side)

    def _run(self, feed: Feed) -> dict[str, NDArray[Any]]:
        arrays = self._session.run(None, dict(feed))
        return dict(zip(self._outputs, arrays, strict=True))
