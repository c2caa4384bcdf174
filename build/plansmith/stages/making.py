"""One stage's product, from the cache where it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plansmith.cache import Cache
from plansmith.keys import StageKey
from plansmith.progress import Progress, Step


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes the stages of the model called `model`."""

    model: str
    cache: Cache
    progress: Progress

    def make(self, stage: StageKey, write: Callable[[Path, Step], None]) -> Path:
        """The stage's product; `write` gets the folder to fill and the step to report to."""
        with self.progress.step(stage.stage) as step:
            folder = self.cache.make(stage.stage, stage.key, lambda to: write(to, step))
            self.cache.remember(f"{self.model}/{stage.stage}", stage.parts)
        return folder
