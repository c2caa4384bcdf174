"""The recipe's words of serving: how requests queue, batch, warm up, follow and feed each other.

Pure. What each becomes in Triton's config: docs/serving.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plansmith.tensors import TensorSpec

TIMEOUT_ACTIONS = ("reject", "delay")
WARM_UPS = ("samples", "zeros", "none")
SEQUENCE_STRATEGIES = ("direct", "oldest")
CONTROL_KINDS = ("start", "end", "ready", "corrid")
# How a control tensor says no and yes, by its dtype. Source: ControlInput in Triton's
# model_config.proto; the correlation id has no such pair, but a dtype of its own.
FLAG_DTYPES = ("int32", "float32", "bool")
CORRELATION_DTYPES = ("uint64", "int64", "uint32", "int32", "bytes")


@dataclass(frozen=True, kw_only=True)
class RateLimiter:
    """Turns of a model among others: `priority` 2 gets half of those of 1.

    `resources` are (name, how many of them an instance takes while it runs). The server looks at
    either only when it was started with --rate-limit=execution_count.
    """

    priority: int = 1
    resources: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the recipe's [serving], and [slo] priority_levels, say; the defaults say nothing.

    `queue_delay_us` None leaves the delay to what was chosen. `queue_size` None is without bound;
    `queue_timeout_ms` None never times out. `priority_levels` 0 knows no priorities; else 1 is the
    highest, and requests without one get the lowest. `serve_versions` is how many of the newest
    versions are served side by side, `keep_versions` how many stay on disk (None: as many as
    repository.KEEP_VERSIONS). `instances` are those of a model that is served as it is; of an
    optimised one they are what was measured to be best.
    `gpu_instances` (on each GPU), `cuda_graphs`, `busy_wait_events`, `output_copy_stream` and
    `eager_batching` concern targets of TensorRT alone.
    """

    priority_levels: int = 0
    queue_delay_us: int | None = None
    queue_size: int | None = None
    queue_timeout_ms: float | None = None
    timeout_action: str = "reject"
    allow_timeout_override: bool = False
    preserve_ordering: bool = False
    response_cache: bool = False
    serve_versions: int = 1
    keep_versions: int | None = None
    metric_tags: tuple[tuple[str, str], ...] = ()
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    warm_up: str = "samples"
    instances: int = 1
    gpu_instances: int = 1
    cuda_graphs: bool = False
    busy_wait_events: bool = False
    output_copy_stream: bool = False
    eager_batching: bool = False


@dataclass(frozen=True, kw_only=True)
class State:
    """A tensor that the server keeps for a sequence: `output` of one request, `input` of the next.

    It starts as zeros, which is why `spec` has no free dimension; `spec.name` is `input`.
    """

    input: str
    output: str
    spec: TensorSpec


@dataclass(frozen=True, kw_only=True)
class Control:
    """An input that the server fills: `kind` is one of CONTROL_KINDS.

    `dtype` is one of FLAG_DTYPES, or of CORRELATION_DTYPES for kind "corrid".
    """

    kind: str
    input: str
    dtype: str


@dataclass(frozen=True, kw_only=True)
class SequenceBatching:
    """All requests of a sequence go to one instance: `strategy` is one of SEQUENCE_STRATEGIES.

    "direct" keeps a batch slot for each sequence; `queue_delay_us` counts for it only where
    `minimum_slot_utilization` (0..1) is above 0. "oldest" batches the oldest requests of at most
    `max_candidates` sequences. A sequence that is silent for `max_idle_us` is forgotten.
    """

    strategy: str
    max_idle_us: int
    max_candidates: int = 0
    queue_delay_us: int = 0
    minimum_slot_utilization: float = 0.0
    states: tuple[State, ...] = ()
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One model of an ensemble: pairs are (the model's own tensor, the ensemble's tensor).

    `version` -1 is the newest that is served.
    """

    model: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    version: int = -1


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Models that feed each other inside the server, in any order."""

    steps: tuple[Step, ...]
