"""Probabilities of speech, frame by frame → segments of speech, each as soon as it is over. Pure.

The rule is that of silero-vad's get_speech_timestamps with its default settings (release 6.2.3):
speech begins at a frame of at least ON, and is over once no frame has been of at least ON for
MIN_SILENCE, counted from the first one below OFF. Short segments are dropped, the others padded.
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_RATE_HZ = 16_000
FRAME = 512
ON, OFF = 0.5, 0.35
MIN_SPEECH = SAMPLE_RATE_HZ * 250 // 1000
# More than twice PADDING: padded segments never meet.
MIN_SILENCE = SAMPLE_RATE_HZ * 100 // 1000
PADDING = SAMPLE_RATE_HZ * 30 // 1000


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Speech from the sample `start` up to the sample `end`."""

    start: int
    end: int

    @property
    def start_s(self) -> float:
        return self.start / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.end / SAMPLE_RATE_HZ


class Segmenter:
    """One stream's segments: `hear` each frame in turn, then `finish`."""

    def __init__(self) -> None:
        self._heard = 0
        # Where speech began; where it fell silent, unless it went on.
        self._start: int | None = None
        self._silent: int | None = None

    def hear(self, probability: float) -> Segment | None:
        """The segment that this frame ends, if it ends one that is long enough."""
        here = self._heard
        self._heard += FRAME
        if probability >= ON:
            self._silent = None
            if self._start is None:
                self._start = here
            return None
        if self._start is None:
            return None
        if probability < OFF and self._silent is None:
            self._silent = here
        # A frame in between may be the one in which the silence has lasted, but does not end it.
        if probability >= OFF or self._silent is None or here - self._silent < MIN_SILENCE:
            return None
        start, end = self._start, self._silent
        self._start = self._silent = None
        # The padding was heard long ago: MIN_SILENCE is longer.
        return padded(start, end + PADDING) if end - start > MIN_SPEECH else None

    def finish(self, length: int) -> Segment | None:
        """The segment that the end of the stream, after `length` samples, cuts off."""
        if self._start is None or length - self._start <= MIN_SPEECH:
            return None
        return padded(self._start, length)


def padded(start: int, end: int) -> Segment:
    """`end` has its padding already, as far as there is sound."""
    return Segment(start=max(0, start - PADDING), end=end)
