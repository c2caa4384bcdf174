"""manifest.json: everything that a published version rests on. Frozen values, JSON both ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from plansmith.compare import Fidelity
from plansmith.errors import UnusableInput
from plansmith.measure import LatencySummary, Throughput
from plansmith.recipe import Budget
from plansmith.tensors import TensorSpec

SCHEMA = 1
FILE_NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the figures were measured; `features` are the CPU's own names, as in /proc/cpuinfo."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """One file: `path` relative to the model's folder, or to the version's for an artifact."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to run the model, measured on this machine and judged.

    `verdict` is one of "chosen", "kept" (good, but slower than the chosen), "refused",
    "reference" (what answers are compared with) and "baseline" (shown for scale only).
    `fidelity` is None for the reference and baselines. `latency` is that of single requests
    sent one at a time, `throughput` that of a saturated engine fed batches of `batch_size`; both
    are in-process.
    """

    name: str
    runtime: str
    precision: str
    batch_size: int
    size_bytes: int
    throughput: Throughput
    latency: LatencySummary
    fidelity: Fidelity | None
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One immutable version of one model. `sources` are what it was built from.

    `build_key` is the digest of everything that went in: the same key is the same version.
    """

    schema: int
    build_key: str
    model: str
    version: int
    target: str
    created_utc: str
    machine: Machine
    tools: dict[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sources: tuple[FileDigest, ...]
    artifacts: tuple[FileDigest, ...]
    evaluation_count: int
    evaluation_sha256: str
    budget: Budget
    p99_ms: float
    trials: tuple[Trial, ...]

    @property
    def chosen(self) -> Trial:
        """The trial that this version serves."""
        return next(trial for trial in self.trials if trial.verdict == "chosen")

    def fastest(self, verdict: str) -> Trial | None:
        """The trial of that verdict with the highest throughput, or None where there is none."""
        found = [trial for trial in self.trials if trial.verdict == verdict]
        return max(found, key=lambda trial: trial.throughput.median_per_s, default=None)

    def trial(self, name: str) -> Trial | None:
        """The trial of that name, or None where it was not measured."""
        return next((trial for trial in self.trials if trial.name == name), None)


def encode(manifest: Manifest) -> bytes:
    """The text of manifest.json: indented JSON, UTF-8, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read(path: Path) -> Manifest:
    """The manifest at `path`; raises UnusableInput where it is missing or not one of ours."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}; build it first") from error
    except msgspec.MsgspecError as error:
        raise UnusableInput(
            f"{path}: not a version's manifest: {error}; remove {path.parent} and build again"
        ) from error
    if found.schema != SCHEMA:
        raise UnusableInput(
            f"{path}: has schema {found.schema}, this plansmith reads {SCHEMA}; "
            "use the plansmith that wrote it"
        )
    return found
