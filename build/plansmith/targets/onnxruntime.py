"""ONNX Runtime on the CPU in FP32: the reference that answers and speed are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from plansmith.measure import Feed, in_batches

NAME = "onnxruntime-fp32"


def open_engine(path: Path, batch_size: int) -> OnnxRuntimeEngine:
    """The ONNX file at `path` in a session that runs batches of `batch_size`."""
    return OnnxRuntimeEngine(path, batch_size)


class OnnxRuntimeEngine:
    """ONNX Runtime with its defaults: see plansmith.measure.Engine."""

    def __init__(self, path: Path, batch_size: int) -> None:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

        self.batch_size = batch_size
        self._session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]

    def single(self, feed: Feed) -> object:
        return self._session.run(None, dict(feed))

    def start(self, feed: Feed) -> None:
        self._session.run(None, dict(feed))

    def finish(self) -> None:
        """Nothing is ever pending: `start` blocks, ONNX Runtime uses all cores for one batch."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return in_batches(feed, self.batch_size, self._run)

    def _run(self, feed: Feed) -> dict[str, NDArray[Any]]:
        arrays = self._session.run(None, dict(feed))
        return dict(zip(self._outputs, arrays, strict=True))
