"""A verb run in this process: what it printed, and what it finds on the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ENGINES = ["model-rtx-cc86.plan", "model-rtx-cc89.plan"]
THERE = ["--compute-capability", "8.6", "--driver", "580.65"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command gave: exit code, and the lines on stdout and stderr."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def table(self) -> Any:
        """Its stdout as JSON: fails where anything else is printed."""
        return json.loads("\n".join(self.out))


Command = Callable[..., Run]


def write_model(folder: Path, recipe: str, model: onnx.ModelProto) -> None:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe)
    onnx.save(model, folder / "model.onnx")
    x = np.random.default_rng(1).normal(size=(400, 8)).astype(np.float32)
    np.savez(folder / "evaluation.npz", x=x)


def stand_in_smi(folder: Path, says: str) -> None:
    program = folder / "bin" / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
