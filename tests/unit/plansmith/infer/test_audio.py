"""Sound as a model takes it: PCM of every width, mixed to one channel, at one rate, in frames."""

from __future__ import annotations

import io
import sys
import wave
from types import SimpleNamespace

import numpy as np
import pytest

from plansmith.errors import UnusableInput
from plansmith.infer.audio import decoded, read_audio
from plansmith.infer.inputs import Input

RATE_HZ = 16_000
# What each width's own numbers are, as they lie in the file.
PCM = {
    1: (np.array([0, 128, 192], np.uint8).tobytes(), [-1, 0, 0.5]),
    2: (np.array([-(2**15), 0, 2**14], "<i2").tobytes(), [-1, 0, 0.5]),
    3: (b"\x00\x00\x80\x00\x00\x00\x00\x00\x40", [-1, 0, 0.5]),
    4: (np.array([-(2**31), 0, 2**30], "<i4").tobytes(), [-1, 0, 0.5]),
}


def wav(frames: bytes, *, width: int = 2, channels: int = 1, rate_hz: int = RATE_HZ) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(frames)
    return file.getvalue()


def pcm(*samples: float) -> bytes:
    return (np.array(samples) * 2**15).astype("<i2").tobytes()


def wanted(*item: int, dtype: str = "FP32", batched: bool = False, stateful: bool = False) -> Input:
    return Input(
        model="m", name="audio", dtype=dtype, item=item, batched=batched, stateful=stateful
    )


def read(content: bytes, into: Input, rate_hz: int = RATE_HZ) -> np.ndarray:
    return read_audio(content, "a.wav", into, rate_hz)


@pytest.mark.parametrize("width", PCM)
def test_each_width_is_in_minus_one_to_one(width: int) -> None:
    frames, samples = PCM[width]
    found = read(wav(frames, width=width), wanted(-1))
    assert (found.dtype, found.tolist()) == (np.float32, samples)


def test_channels_are_mixed() -> None:
    found = read(wav(pcm(0.5, -0.25, 0.25, 0.25), channels=2), wanted(-1))
    assert found.tolist() == [0.125, 0.25]


def test_pcm_stays_what_it_was_for_a_model_that_takes_it() -> None:
    values = np.array([-(2**15), -1, 0, 1, 2**15 - 1], "<i2")
    found = read(wav(values.tobytes()), wanted(-1, dtype="INT16"))
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.int16


def test_a_batch_axis_goes_in_front() -> None:
    assert read(wav(pcm(0, 0, 0)), wanted(-1, batched=True)).shape == (1, 3)


def test_a_model_that_keeps_state_gets_frames_the_last_filled_up() -> None:
    found = read(wav(pcm(0.5, 0.25, 0.125)), wanted(2, batched=True, stateful=True))
    assert found.tolist() == [[0.5, 0.25], [0.125, 0]]
    assert read(wav(pcm(0.5, 0.5)), wanted(2, stateful=True)).tolist() == [[0.5, 0.5]]


def test_one_frame_has_to_have_its_length() -> None:
    assert read(wav(pcm(0, 0)), wanted(2)).shape == (2,)
    with pytest.raises(UnusableInput, match=r"has 3 samples, m takes audio as FP32 \[2\]: cut it"):
        read(wav(pcm(0, 0, 0)), wanted(2))


def test_another_rate_is_resampled() -> None:
    seconds = np.arange(4800) / 48_000
    tone = np.sin(2 * np.pi * 440 * seconds) / 2
    found = read(wav(pcm(*tone), rate_hz=48_000), wanted(-1))
    expected = np.sin(2 * np.pi * 440 * np.arange(1600) / RATE_HZ) / 2
    assert (found.shape, found.dtype) == ((1600,), np.dtype("float32"))
    # Away from the ends, where the filter sees silence.
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=2e-3)


def test_without_scipy_another_rate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(UnusableInput, match=r"8000 Hz, not 16000: .*-ar 16000 .*--rate 8000"):
        read(wav(pcm(0), rate_hz=8000), wanted(-1))
    assert read(wav(pcm(0), rate_hz=8000), wanted(-1), rate_hz=8000).tolist() == [0]


HEAD = wav(pcm(0, 0))[:44]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        HEAD[:30],
        b"this is no sound",
        # IEEE float, which the standard library does not read.
        HEAD[:20] + b"\x03" + HEAD[21:] + b"\0" * 4,
        # No channels, no rate.
        HEAD[:22] + b"\0\0" + HEAD[24:] + b"\0" * 4,
        HEAD[:24] + b"\0\0\0\0" + HEAD[28:] + b"\0" * 4,
    ],
)
def test_what_is_no_wav_of_pcm_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UnusableInput, match=r"a.wav: not a readable wav of PCM .*ffmpeg -i a.wav"):
        read(content, wanted(-1))


def test_silence_of_no_length_is_refused() -> None:
    with pytest.raises(UnusableInput, match=r"a.wav: has no samples"):
        read(wav(b""), wanted(-1))


def test_other_formats_are_read_by_soundfile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency: what stands for it here has the arguments and results of `read`."""

    def read_file(file: io.BytesIO, *, dtype: str, always_2d: bool) -> tuple[np.ndarray, int]:
        assert (file.read(), dtype, always_2d) == (b"fLaC", "float32", True)
        return np.array([[0.5, 0.25]], np.float32), 8000

    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(read=read_file))
    clip = decoded(b"fLaC", "a.flac")
    assert (clip.samples.tolist(), clip.rate_hz) == ([0.375], 8000)


def test_what_soundfile_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_file(*_: object, **__: object) -> None:
        raise RuntimeError("unknown format")

    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(read=read_file))
    with pytest.raises(UnusableInput, match=r"a.mp3: not readable audio \(unknown format\)"):
        decoded(b"?", "a.mp3")
