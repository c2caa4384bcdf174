"""Models that requests get stuck in: one holds them, one has a short queue, one is slow at will."""

from __future__ import annotations

from pathlib import Path

from python_models import Tensor, write_model

# How long every batch of `lingering` takes: long enough that its callers' requests are at the
# server when something happens to it.
LINGER_S = 0.1
# Of `patient`, at a time: one request, one that waits, and no more.
QUEUED = 1
WORK_S = 0.02
SLOW_WORK_S = 0.25
_FOUR_AT_A_TIME = "instance_group [ { kind: KIND_CPU count: 4 } ]\n"


def write_lingering(repository: Path, name: str) -> None:
    """Gives back FP32 [-1], any number of requests at once, LINGER_S after it got them."""
    write_model(
        repository,
        name,
        [Tensor("x", "FP32", "-1")],
        max_batch_size=64,
        before_batch=f"time.sleep({LINGER_S})",
        settings="dynamic_batching {}\n",
    )


def write_patient(repository: Path, name: str) -> None:
    """Gives back FP32 [-1], a request at a time; refuses what finds QUEUED in the queue."""
    write_model(
        repository,
        name,
        [Tensor("x", "FP32", "-1")],
        max_batch_size=1,
        before="time.sleep(0.02)",
        settings=f"dynamic_batching {{ default_queue_policy {{ max_queue_size: {QUEUED} }} }}\n",
    )


def write_working(repository: Path, name: str) -> Path:
    """Gives back FP32 [-1], four requests at a time, WORK_S after it got them.

    While the file that is returned exists it takes SLOW_WORK_S.
    """
    slow = repository / name / "1" / "slow"
    before = f"time.sleep({SLOW_WORK_S} if os.path.exists({str(slow)!r}) else {WORK_S})"
    write_model(
        repository, name, [Tensor("x", "FP32", "-1")], before=before, settings=_FOUR_AT_A_TIME
    )
    return slow
