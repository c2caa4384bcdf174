"""Clips of sound as models take them: one channel of samples at the model's rate."""

from __future__ import annotations

import importlib
import io
import struct
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.infer.inputs import Input

# Those that soundfile reads besides wav.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus", ".au")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """`samples`: float32 [samples], one channel in -1..1."""

    samples: NDArray[np.float32]
    rate_hz: int


def read_audio(content: bytes, source: str, wanted: Input, rate_hz: int) -> NDArray[Any]:
    """The clip as `wanted` takes it, with the batch axis if it has one.

    An input of free length gets the whole; one of frames, of a model that keeps state, all of
    them, the last filled up with silence: `[frames, samples]`. Raises UnusableInput for what is
    no audio, has another rate than `rate_hz`, or is too long or short for an input of one frame.
    """
    clip = decoded(content, source)
    if clip.rate_hz != rate_hz:
        clip = Clip(samples=_resampled(clip, source, rate_hz), rate_hz=rate_hz)
    samples = _as_dtype(clip.samples, wanted.dtype)
    (length,) = wanted.item
    if length == -1:
        return wanted.with_batch_axis(samples)
    if wanted.stateful:
        count = max(1, -(-len(samples) // length))
        return np.pad(samples, (0, count * length - len(samples))).reshape(count, length)
    if len(samples) != length:
        raise UnusableInput(
            f"{source}: has {len(samples)} samples, {wanted}: cut it to {length / rate_hz:g} s"
        )
    return wanted.with_batch_axis(samples)


def decoded(content: bytes, source: str) -> Clip:
    """The clip in a file of PCM in wav; of other kinds where soundfile is there to read them."""
    try:
        with wave.open(io.BytesIO(content)) as opened:
            rate_hz, channels = opened.getframerate(), opened.getnchannels()
            width = opened.getsampwidth()
            samples = _samples(opened.readframes(opened.getnframes()), width)
            if not rate_hz:
                raise ValueError("no rate")
    # What is cut off within a chunk raises any of them.
    except (wave.Error, EOFError, RuntimeError, ValueError, struct.error) as error:
        return _by_soundfile(content, source, str(error) or type(error).__name__)
    whole = samples[: len(samples) // channels * channels]
    if not whole.size:
        raise UnusableInput(f"{source}: has no samples")
    return Clip(samples=_mixed(whole.reshape(-1, channels)), rate_hz=rate_hz)


def _samples(frames: bytes, width_bytes: int) -> NDArray[np.float32]:
    """PCM of 8 (unsigned), 16, 24 or 32 bits, little-endian, in -1..1."""
    whole = frames[: len(frames) // width_bytes * width_bytes]
    if width_bytes == 1:
        return ((np.frombuffer(whole, np.uint8) - 128.0) / 128).astype(np.float32)
    if width_bytes == 3:
        # Three bytes into the upper ones of four: the sign is where it has to be.
        padded = np.zeros((len(whole) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(whole, np.uint8).reshape(-1, 3)
        return (padded.view("<i4").ravel() / 2.0**31).astype(np.float32)
    if width_bytes not in (2, 4):
        raise ValueError(f"samples of {width_bytes} bytes")
    values = np.frombuffer(whole, f"<i{width_bytes}")
    return (values / 2.0 ** (8 * width_bytes - 1)).astype(np.float32)


def _by_soundfile(content: bytes, source: str, why: str) -> Clip:
    convert = f"ffmpeg -i {source} -c:a pcm_s16le converted.wav"
    try:
        soundfile: Any = importlib.import_module("soundfile")
    except (ImportError, OSError) as error:
        raise UnusableInput(
            f"{source}: not a readable wav of PCM ({why}): pip install soundfile, or {convert}"
        ) from error
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except RuntimeError as error:
        raise UnusableInput(f"{source}: not readable audio ({error}): {convert}") from error
    if not samples.size:
        raise UnusableInput(f"{source}: has no samples")
    return Clip(samples=_mixed(samples), rate_hz=int(rate_hz))


def _mixed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """[samples, channels] to one channel."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    return samples.mean(axis=1, dtype=np.float64).astype(np.float32)


def _resampled(clip: Clip, source: str, rate_hz: int) -> NDArray[np.float32]:
    try:
        signal: Any = importlib.import_module("scipy.signal")
    except ImportError as error:
        raise UnusableInput(
            f"{source}: is sampled at {clip.rate_hz} Hz, not {rate_hz}: pip install scipy, or "
            f"ffmpeg -i {source} -ar {rate_hz} -ac 1 converted.wav; "
            f"if the model takes this rate, --rate {clip.rate_hz}"
        ) from error
    divisor = np.gcd(clip.rate_hz, rate_hz)
    samples = signal.resample_poly(clip.samples, rate_hz // divisor, clip.rate_hz // divisor)
    return samples.astype(np.float32)


def _as_dtype(samples: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    from plansmith_client.datatypes import numpy_dtype

    if dtype == "INT16":
        return np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    return samples.astype(numpy_dtype(dtype))
