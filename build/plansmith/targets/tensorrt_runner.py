"""An engine file run on this machine's GPU, through Polygraphy's runner."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.engines.plan_file import read_header
from plansmith.errors import LacksSomething, PlansmithError
from plansmith.measure import Feed, in_batches
from plansmith.targets.tensorrt_builder import Library, errors_of, load, logger_of


class TensorRtEngine:
    """One engine, ready to run: see plansmith.measure.Engine. Polygraphy's runner blocks.

    Raises UnusableInput where `plan` is no whole engine of that library, PlansmithError where the
    library does not load it here. Call `close` to give the GPU's memory back.
    """

    def __init__(self, plan: Path, batch_size: int, library: Library) -> None:
        read_header(plan, library.name)
        self.batch_size = batch_size
        self._messages: list[tuple[int, str]] = []
        trt = load(library)
        # Both have to outlive the engine.
        self._logger = logger_of(trt, self._messages)
        self._runtime = trt.Runtime(self._logger)
        engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if engine is None:
            raise PlansmithError(
                f"{plan}: {library.title} does not load it: {errors_of(self._messages)}"
            )
        self._runner = _runner_class(library)(engine)
        self._runner.activate()

    def single(self, feed: Feed) -> object:
        return self._run(feed)

    def start(self, feed: Feed) -> None:
        self._run(feed)

    def finish(self) -> None:
        """Nothing is ever pending: `start` blocks."""

    def answer(self, feed: Feed) -> dict[str, NDArray[Any]]:
        return in_batches(feed, self.batch_size, self._run)

    def close(self) -> None:
        """Gives back what the engine holds on the GPU; it cannot be used any more."""
        self._runner.deactivate()

    def _run(self, feed: Feed) -> dict[str, NDArray[Any]]:
        arrays = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        return dict(self._runner.infer(arrays))


def _runner_class(library: Library) -> Any:
    try:
        from polygraphy import config  # pyright: ignore[reportMissingTypeStubs]
        from polygraphy.logger import G_LOGGER  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise LacksSomething("Polygraphy is not installed: pip install polygraphy") from error
    wanted = library.name == "tensorrt-rtx"
    settings: Any = config
    # Polygraphy binds one of the two libraries when its backend is imported, for the whole process.
    if "polygraphy.backend.trt" in sys.modules and wanted != settings.USE_TENSORRT_RTX:
        raise PlansmithError(
            f"{library.title}: this process already runs engines of the other TensorRT library; "
            "build one target a run"
        )
    settings.USE_TENSORRT_RTX = wanted
    # It prints to stdout, which is for results.
    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    from polygraphy.backend.trt import (  # pyright: ignore[reportMissingTypeStubs]
        TrtRunner,
    )

    return TrtRunner
