"""A fixed number of buckets for durations: bounded memory, a bounded relative error.

They are those of HdrHistogram (Gil Tene, hdrhistogram.org): each doubling of the value is cut into
32 of equal width. What is read from one is its middle, so that it is off by at most 1/64 of the
value (1.6 %).
"""

from __future__ import annotations

RELATIVE_ERROR = 1 / 64
# 64 whole numbers without an error, then 32 to a doubling.
_EXACT_BITS = 6
_HALF = 1 << (_EXACT_BITS - 1)
# 73 minutes in nanoseconds; what takes longer is counted there.
_LARGEST = (1 << 42) - 1


def bucket_of(value_ns: int) -> int:
    """The bucket of a duration; below zero counts as zero."""
    # Written out, for it is asked with every call.
    if not 0 <= value_ns <= _LARGEST:
        value_ns = 0 if value_ns < 0 else _LARGEST
    shift = value_ns.bit_length() - _EXACT_BITS
    return value_ns if shift <= 0 else (shift << _EXACT_BITS - 1) + (value_ns >> shift)


BUCKETS = bucket_of(_LARGEST) + 1


def middle_ns(bucket: int) -> float:
    """What a bucket stands for."""
    shift = max(bucket // _HALF - 1, 0)
    lowest = (bucket - shift * _HALF) << shift
    return lowest + ((1 << shift) - 1) / 2
