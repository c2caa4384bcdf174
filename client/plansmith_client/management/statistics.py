"""What a server has counted since a model was loaded.

Triton's statistics extension: docs/protocol/extension_statistics.md of
triton-inference-server/server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """How often something was done and how long it took in all."""

    count: int = 0
    total_ns: int = 0

    @property
    def mean_ns(self) -> float | None:
        """None if it was never done."""
        return self.total_ns / self.count if self.count else None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStatistics:
    """Executions of one batch size; a `count` is of executions, not of requests."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelStatistics:
    """One version of a model since it was loaded.

    `inference_count`: items, so that a request of a batch of 8 counts 8; `execution_count`: how
    often the model ran, for which Triton may have joined requests. The durations count requests.
    `success` and `fail` are whole requests; `queue`, `compute_input` (gathering inputs),
    `compute_infer` (the model itself) and `compute_output` (handing outputs over) are their parts.
    `cache_hit` and `cache_miss`: of the response cache. `last_inference_ms`: since the Unix epoch;
    None if there was none.
    """

    model: str
    version: int
    last_inference_ms: int | None
    inference_count: int
    execution_count: int
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration
    batches: tuple[BatchStatistics, ...] = ()


def read_statistics(raw: Mapping[str, Any]) -> ModelStatistics:
    """One element of `model_stats` in the extension's JSON; what a server leaves out is zero."""
    stages: Mapping[str, Any] = raw.get("inference_stats") or {}
    return ModelStatistics(
        model=raw["name"],
        version=int(raw["version"]),
        last_inference_ms=int(raw.get("last_inference") or 0) or None,
        inference_count=int(raw.get("inference_count") or 0),
        execution_count=int(raw.get("execution_count") or 0),
        success=_duration(stages, "success"),
        fail=_duration(stages, "fail"),
        queue=_duration(stages, "queue"),
        compute_input=_duration(stages, "compute_input"),
        compute_infer=_duration(stages, "compute_infer"),
        compute_output=_duration(stages, "compute_output"),
        cache_hit=_duration(stages, "cache_hit"),
        cache_miss=_duration(stages, "cache_miss"),
        batches=tuple(_batch(one) for one in raw.get("batch_stats") or ()),
    )


def _batch(raw: Mapping[str, Any]) -> BatchStatistics:
    return BatchStatistics(
        batch_size=int(raw["batch_size"]),
        compute_input=_duration(raw, "compute_input"),
        compute_infer=_duration(raw, "compute_infer"),
        compute_output=_duration(raw, "compute_output"),
    )


def _duration(stages: Mapping[str, Any], name: str) -> Duration:
    found: Mapping[str, Any] = stages.get(name) or {}
    return Duration(count=int(found.get("count") or 0), total_ns=int(found.get("ns") or 0))
