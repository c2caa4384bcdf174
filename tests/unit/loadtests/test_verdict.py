"""Each rule of the verdict, at and beside its edge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_verdict import EXIT_CODES, Evidence, Generator, Verdict, judge

GOOD = Evidence(
    succeeded=10_000,
    queued=0,
    failures={},
    p99_bounds_ms=(40.0, 45.0),
    slo_p99_ms=50.0,
    max_error_share=0.0,
    duration_s=10.0,
    generator=Generator(late_p99_ms=0.8, busy_share=0.2),
)
BUSY = Generator(late_p99_ms=20.0, busy_share=0.95)


def verdict(**changes: object) -> Verdict:
    return judge(replace(GOOD, **changes))


def test_below_above_and_astride_the_slo() -> None:
    assert verdict().verdict == "pass"
    assert verdict(slo_p99_ms=45.0).verdict == "pass"
    assert verdict(slo_p99_ms=44.9).verdict == "unclear"
    assert verdict(slo_p99_ms=40.0).verdict == "unclear"
    assert verdict(slo_p99_ms=39.0).verdict == "fail"


def test_astride_says_how_much_longer_to_measure() -> None:
    assert "--duration-s 40" in verdict(slo_p99_ms=42.0).reason


def test_one_failure_fails_unless_a_share_is_allowed() -> None:
    failed = verdict(failures={"DeadlineExceeded": 1, "Overloaded": 9})
    assert failed.verdict == "fail"
    assert "9 Overloaded, 1 DeadlineExceeded" in failed.reason
    assert verdict(failures={"DeadlineExceeded": 10}, max_error_share=0.01).verdict == "pass"
    assert verdict(failures={"DeadlineExceeded": 200}, max_error_share=0.01).verdict == "fail"
    assert (
        verdict(
            succeeded=0, p99_bounds_ms=None, failures={"Refused": 1}, max_error_share=1.0
        ).verdict
        == "unclear"
    )


def test_nothing_counted_is_unclear() -> None:
    assert verdict(succeeded=0, p99_bounds_ms=None).verdict == "unclear"


def test_too_few_answers_are_unclear_with_the_duration_that_would_do() -> None:
    few = verdict(succeeded=184, p99_bounds_ms=(40.0, None))
    assert few.verdict == "unclear"
    assert "--duration-s 22" in few.reason


def test_few_answers_that_are_all_too_slow_fail() -> None:
    assert verdict(succeeded=20, p99_bounds_ms=(60.0, None)).verdict == "fail"


def test_what_the_generator_may_have_caused_is_unclear() -> None:
    assert verdict(slo_p99_ms=20.0, generator=BUSY).verdict == "unclear"
    late = Generator(late_p99_ms=5.0, busy_share=0.1)
    assert verdict(slo_p99_ms=36.0, generator=late).verdict == "unclear"
    assert verdict(slo_p99_ms=34.0, generator=late).verdict == "fail"
    assert verdict(failures={"NotSent": 5}, generator=BUSY).verdict == "unclear"
    assert verdict(failures={"NotSent": 5}).verdict == "fail"
    assert verdict(failures={"NotSent": 5, "Refused": 1}, generator=BUSY).verdict == "fail"


def test_a_failure_tells_of_requests_that_found_no_free_user() -> None:
    assert "50% of the requests first waited" in verdict(slo_p99_ms=20.0, queued=5_000).reason
    assert "waited" not in verdict(slo_p99_ms=20.0, queued=50).reason
    assert "waited" in verdict(failures={"DeadlineExceeded": 10}, queued=5_000).reason


def test_a_pass_stands_in_spite_of_a_late_generator() -> None:
    assert verdict(generator=BUSY).verdict == "pass"


def test_a_worker_that_never_reported_makes_it_unclear() -> None:
    assert verdict(generator=Generator(missing_workers=1)).verdict == "unclear"


@given(
    low=st.floats(0, 1e4),
    width=st.none() | st.floats(0, 1e4),
    slo=st.floats(0.1, 1e4),
    failures=st.integers(0, 3),
    busy=st.floats(0, 1),
)
def test_pass_and_fail_never_rest_on_less_than_the_interval(
    low: float, width: float | None, slo: float, failures: int, busy: float
) -> None:
    high = None if width is None else low + width
    got = verdict(
        p99_bounds_ms=(low, high),
        slo_p99_ms=slo,
        failures={"Refused": failures} if failures else {},
        generator=Generator(busy_share=busy),
    )
    assert "\n" not in got.reason
    assert got.verdict in EXIT_CODES
    if got.verdict == "pass":
        assert not failures
        assert high is not None
        assert high <= slo
    if got.verdict == "fail":
        assert failures or low > slo


def test_exit_codes_are_the_documented_ones() -> None:
    assert EXIT_CODES == {"pass": 0, "fail": 1, "unclear": 4}


def test_shares_are_of_all_counted_requests() -> None:
    reason = verdict(succeeded=75, failures={"Refused": 25}).reason
    assert "25 of 100 requests failed (25.00%" in reason


def test_a_generator_is_saturated_from_nine_tenths_on() -> None:
    assert Generator(busy_share=0.9).saturated
    assert not Generator(busy_share=0.89).saturated
    assert pytest.approx(0.0) == Generator().busy_share
