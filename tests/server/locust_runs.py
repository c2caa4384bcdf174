"""The load tester as it is run: a process of its own, because Locust patches all of its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from plansmith import places
from programs import run
from python_models import Tensor, write_model

SLEEP_S = 0.05
SHORT = ("--duration-s", "2", "--warmup-s", "0.5")


def write_models(repository: Path) -> None:
    """`identity` answers at once, `sleeper` after SLEEP_S; one at a time."""
    x = [Tensor("x", "FP32", "4")]
    write_model(repository, "identity", x, max_batch_size=8)
    write_model(repository, "sleeper", x, max_batch_size=8, before=f"time.sleep({SLEEP_S})")


def command(*arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", str(places.locustfile())),
        *("--headless", "--only-summary", "--loglevel", "WARNING", *arguments),
    ]


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A load run to its end."""
    return run(command(*arguments))


def result_of(done: subprocess.CompletedProcess[str], path: Path) -> dict[str, Any]:
    """The JSON that the run wrote to `path`."""
    assert path.exists(), done.stderr
    return json.loads(path.read_text())
