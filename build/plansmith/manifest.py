"""manifest.json: everything that a published version rests on. Frozen values, JSON both ways."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from plansmith.compare import Fidelity
from plansmith.data.identity import DataIdentity
from plansmith.engines.passport import EnginePassport
from plansmith.errors import UnusableInput
from plansmith.forms import Form
from plansmith.measure import LatencySummary, Throughput
from plansmith.recipe import Budget
from plansmith.tensors import TensorSpec

SCHEMA = 2
# How the text of an object ends, and how that of a manifest does.
_END = b"\n}\n"
_CHECKSUM = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')
FILE_NAME = "manifest.json"
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the figures were measured; `features` are the CPU's own names, as in /proc/cpuinfo.

    `gpu` is its name, compute capability and driver, None where there is none.
    """

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    features: tuple[str, ...]
    gpu: str | None = None


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """One file: `path` relative to the model's folder, or to the version's for an artifact."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to run the model, measured on this machine and judged.

    `form` names the form that was compiled (forms.py). `verdict` is one of "chosen", "kept" (good,
    but slower than the chosen), "refused", "reference" (what answers are compared with) and
    "baseline" (shown for scale only). `fidelity` is None for the reference and baselines.
    `latency` is that of single requests sent one at a time, `throughput` that of a saturated engine
    fed batches of `batch_size`; both are in-process. They and `peak_memory_bytes`, the most that a
    process of its own held while it ran the variant, are None where they were not measured.
    """

    name: str
    form: str
    runtime: str
    precision: str
    batch_size: int
    size_bytes: int
    throughput: Throughput | None
    latency: LatencySummary | None
    fidelity: Fidelity | None
    verdict: str
    reason: str
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TargetBuild:
    """One target's part of a version.

    `build_key` is the digest of everything that went in: the same key is the same build.
    `artifacts` are the files that the target's server loads; `passports` say where engines load.
    `served_check` tells whether golden answers were checked on a server before it was published.
    """

    target: str
    build_key: str
    created_utc: str
    machine: Machine
    tools: dict[str, str]
    artifacts: tuple[FileDigest, ...]
    passports: tuple[EnginePassport, ...]
    forms: tuple[Form, ...]
    trials: tuple[Trial, ...]
    served_check: str | None = None

    @property
    def chosen(self) -> Trial:
        """The trial that this version serves."""
        return next(trial for trial in self.trials if trial.verdict == "chosen")

    def fastest(self, verdict: str) -> Trial | None:
        """The measured trial of that verdict with the highest throughput, or None."""
        found = [t for t in self.trials if t.verdict == verdict and t.throughput is not None]
        return max(found, key=rate, default=None)

    def trial(self, name: str) -> Trial | None:
        """The trial of that name, or None where it was not measured."""
        return next((trial for trial in self.trials if trial.name == name), None)

    def form(self, name: str) -> Form:
        """The form of that name; there is one for every trial."""
        return next(form for form in self.forms if form.name == name)


def rate(trial: Trial) -> float:
    """Items per second, 0 where they were not measured."""
    return trial.throughput.median_per_s if trial.throughput else 0.0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One immutable version of one model, for all targets in it.

    `sources` are the files it was built from; `calibration` is None where nothing was calibrated.
    `evaluation` and `budget` are None of a model that is served as it is: no variant was chosen.
    `configs` are the version's own copies of the config files that serve it.
    `served` are files of the model's folder that the configs name (warm-up requests, initial
    states), by path there; those among `sources`, as labels are, need not be told again.
    `golden` is the file of golden answers, None in versions that have none.
    """

    schema: int
    model: str
    version: int
    created_utc: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sources: tuple[FileDigest, ...]
    evaluation: DataIdentity | None
    calibration: DataIdentity | None
    budget: Budget | None
    p99_ms: float
    builds: tuple[TargetBuild, ...]
    configs: tuple[FileDigest, ...] = ()
    served: tuple[FileDigest, ...] = ()
    golden: FileDigest | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(build.target for build in self.builds)

    @property
    def files(self) -> tuple[FileDigest, ...]:
        """Every file of the version's folder but this one, once each: what `verify` goes by."""
        found = [*self.configs, *(file for build in self.builds for file in build.artifacts)]
        if self.golden is not None:
            found.append(self.golden)
        return tuple({file.path: file for file in found}.values())

    def on(self, target: str) -> TargetBuild:
        """The part of `target`; raises UnusableInput where the version has none."""
        for build in self.builds:
            if build.target == target:
                return build
        raise UnusableInput(
            f"{self.model} version {self.version} was not built for {target!r}; it has "
            f"{', '.join(self.targets)}: run `plansmith build {self.model} --target {target}`"
        )


def encode(manifest: Manifest) -> bytes:
    """The text of manifest.json: indented JSON, UTF-8, ending in a newline.

    Its last key is the SHA-256 of the text without it: see `is_whole`.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    line = b',\n  "sha256": "%b"' % hashlib.sha256(text).hexdigest().encode()
    return text.removesuffix(_END) + line + _END


def is_whole(text: bytes) -> bool:
    """Whether manifest.json is as it was written, by its own SHA-256: a bit flipped is found."""
    found = _CHECKSUM.search(text)
    if found is None:
        return False
    body = text[: found.start()] + _END
    return hashlib.sha256(body).hexdigest().encode() == found.group(1)


def read(path: Path) -> Manifest:
    """The manifest at `path`; raises UnusableInput where it is missing or not one of ours."""
    found = _read(path)
    if isinstance(found, int):
        raise UnusableInput(
            f"{path}: has schema {found}, this plansmith reads {SCHEMA}; use the plansmith "
            f"that wrote it, or remove {path.parent} and build again"
        )
    return found


def read_if_ours(path: Path) -> Manifest | None:
    """The manifest at `path`, None for one of another schema; raises as `read` does else."""
    found = _read(path)
    return None if isinstance(found, int) else found


def _read(path: Path) -> Manifest | int:
    """The manifest at `path`, or the schema that it has instead of ours."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}; build it first") from error
    schema = _decode(path, text, _Schema).schema
    return _decode(path, text, Manifest) if schema == SCHEMA else schema


def _decode(path: Path, text: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnusableInput(
            f"{path}: not a version's manifest: {error}; remove {path.parent} and build again"
        ) from error


class _Schema(msgspec.Struct):
    """The one field that every manifest has had."""

    schema: int
