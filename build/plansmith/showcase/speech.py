"""A spoken clip through a model that keeps state, and through one that streams what it found."""

from __future__ import annotations

import secrets
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    from plansmith_client import Client

ACTIVITY, SEGMENTS = "speech_activity", "speech_segments"
NEEDS = (ACTIVITY, SEGMENTS)
# In the model's folder of the repository.
CLIP = "speech.wav"
SAMPLE_RATE_HZ = 16_000
# 32 ms: what speech_activity hears at a time.
FRAME = 512


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Where somebody speaks, and how long after the request the server told so."""

    start_s: float
    end_s: float
    after_ms: float


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What was heard in a clip, frame by frame and as a whole.

    `peaks` are the loudest samples of the frames, 0..1; `probabilities`, 0..1, that they are
    speech. `segments` in the order in which they came; the whole answer took `took_ms`.
    """

    frame_s: float
    peaks: tuple[float, ...]
    probabilities: tuple[float, ...]
    segments: tuple[Segment, ...]
    took_ms: float

    @property
    def duration_s(self) -> float:
        return len(self.probabilities) * self.frame_s


def hear(client: Client, repository: Path) -> Hearing:
    """The clip in `repository` through both models of the server.

    Raises UnusableInput where the clip cannot be read, and the client's errors.
    """
    clip = read_clip(repository / ACTIVITY / CLIP)
    frames = cut(clip)
    segments, took_ms = _segments(client, clip)
    return Hearing(
        frame_s=FRAME / SAMPLE_RATE_HZ,
        peaks=tuple(np.abs(frames).max(axis=1).astype(float).tolist()),
        probabilities=_probabilities(client, frames),
        segments=segments,
        took_ms=took_ms,
    )


def read_clip(file: Path) -> NDArray[np.float32]:
    """The samples in `file`, in -1..1; UnusableInput unless one channel of 16 bit at 16 kHz."""
    try:
        with wave.open(str(file)) as opened:
            kind = (opened.getnchannels(), opened.getsampwidth(), opened.getframerate())
            content = opened.readframes(opened.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise UnusableInput(f"{file}: not a readable WAV file: {error}") from error
    if kind != (1, 2, SAMPLE_RATE_HZ) or not content:
        raise UnusableInput(
            f"{file}: has {kind[0]} channels of {8 * kind[1]} bit at {kind[2]} Hz and "
            f"{len(content)} bytes; expected sound of 1 channel, 16 bit, {SAMPLE_RATE_HZ} Hz"
        )
    return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(32_768)


def cut(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """`clip` in frames, [N, FRAME]; the last one is filled up with silence."""
    count = -(-len(clip) // FRAME)
    return np.pad(clip, (0, count * FRAME - len(clip))).reshape(count, FRAME)


def _probabilities(client: Client, frames: NDArray[np.float32]) -> tuple[float, ...]:
    """One answer a frame: the server keeps what it heard before."""
    from plansmith_client import SequenceStep

    model, last = client.model(ACTIVITY), len(frames) - 1
    # One that the server's other callers will not have.
    stream = secrets.randbits(62) + 1
    return tuple(
        float(
            model.infer(
                {"audio": frame[np.newaxis]},
                ["probability"],
                sequence=SequenceStep(id=stream, start=place == 0, end=place == last),
            )["probability"][0, 0]
        )
        for place, frame in enumerate(frames)
    )


def _segments(client: Client, clip: NDArray[np.float32]) -> tuple[tuple[Segment, ...], float]:
    """What was streamed, and how long it took, ms."""
    model = client.model(SEGMENTS)
    # So that the first answer's time is not that of asking what the model takes.
    model.metadata()
    begun = time.perf_counter()
    segments = tuple(
        Segment(
            start_s=float(one["start_s"][0]),
            end_s=float(one["end_s"][0]),
            after_ms=(time.perf_counter() - begun) * 1000,
        )
        for one in model.stream({"audio": clip}, ["start_s", "end_s"])
    )
    return segments, (time.perf_counter() - begun) * 1000
