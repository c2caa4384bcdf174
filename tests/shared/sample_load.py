"""Load results of the sample report: 5000 requests each, with drawn latencies."""

from __future__ import annotations

from collections import Counter

import numpy as np

from plansmith.load_result import Arrivals, Failure, LatencyMs, LoadResult, Slo
from sample_manifest import SLO_MS


def load_of(arrivals: Arrivals, median_ms: float, spread: float, failed: int) -> LoadResult:
    """5000 requests whose latencies are log-normal; percentiles are NumPy's."""
    draws = np.random.default_rng(len(arrivals.kind)).lognormal(np.log(median_ms), spread, 5000)
    latencies_us = np.round(draws * 1000).astype(int)
    p50, p90, p95, p99, p999 = np.quantile(latencies_us / 1000, [0.5, 0.9, 0.95, 0.99, 0.999])
    errors = (Failure(kind="DeadlineExceeded", count=failed, example="no answer in 1 s"),)
    return LoadResult(
        schema=1,
        model="efficientnet_lite0",
        url="localhost:8001",
        arrivals=arrivals,
        batch_size=1,
        warmup_s=2.0,
        duration_s=10.02,
        sent=5000 + failed,
        succeeded=5000,
        failed=failed,
        errors=errors if failed else (),
        throughput_per_s=arrivals.rate_per_s or 499.0,
        latency_ms=LatencyMs(
            mean=float(latencies_us.mean() / 1000),
            p50=float(p50),
            p90=float(p90),
            p95=float(p95),
            p99=float(p99),
            p999=float(p999),
            max=float(latencies_us.max() / 1000),
        ),
        p99_interval_ms=(float(p99) * 0.96, float(p99) * 1.06),
        histogram_us=tuple(sorted(Counter(latencies_us.tolist()).items())),
        slo=Slo(p99_ms=SLO_MS),
        verdict="pass",
        reason=f"p99 is {p99 * 0.96:.1f} to {p99 * 1.06:.1f} ms (95 %), within {SLO_MS:g} ms",
    )
