"""Where the time of a call went, on the client's side of it."""

from __future__ import annotations

from typing import TypeAlias

from plansmith_client.insight.records import CallRecord

# Nanoseconds for encode, round trip, decode and other, as in CallTiming; a plain tuple, for one is
# made with every call.
Split: TypeAlias = tuple[int, int, int, int]


def split_of(record: CallRecord, ended_ns: int) -> Split:
    """Of a call that has ended; one that was not answered has nothing but other.

    The first attempt is what the request was made for, the last answered one is the answer's.
    """
    elapsed_ns = ended_ns - record.began_ns
    answered = record.answered
    if answered is None or answered.answered_ns is None:
        return 0, 0, 0, elapsed_ns
    encode_ns = record.attempts[0].sent_ns - record.encoding_ns
    round_trip_ns = answered.answered_ns - answered.sent_ns
    decode_ns = ended_ns - answered.answered_ns
    other_ns = elapsed_ns - encode_ns - round_trip_ns - decode_ns
    return encode_ns, round_trip_ns, decode_ns, other_ns
