"""A clip is read as it was recorded, or refused by name; frames lose none of it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.errors import UnusableInput
from plansmith.showcase.speech import FRAME, SAMPLE_RATE_HZ, cut, read_clip


def write_wav(file: Path, samples: np.ndarray, *, channels: int = 1, rate_hz: int = 16_000) -> Path:
    with wave.open(str(file), "wb") as opened:
        opened.setparams((channels, samples.itemsize, rate_hz, 0, "NONE", ""))
        opened.writeframes(samples.tobytes())
    return file


def test_samples_become_numbers_from_minus_one_to_one(tmp_path: Path) -> None:
    file = write_wav(tmp_path / "clip.wav", np.array([-32_768, 0, 16_384, 32_767], "<i2"))
    found = read_clip(file)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32([-1, 0, 0.5, 32_767 / 32_768]))


def test_sound_of_another_kind_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    samples = np.zeros(800, "<i2")
    stereo = write_wav(tmp_path / "stereo.wav", samples, channels=2)
    with pytest.raises(UnusableInput, match=r"stereo.wav: has 2 channels of 16 bit at 16000 Hz"):
        read_clip(stereo)
    fast = write_wav(tmp_path / "fast.wav", samples, rate_hz=44_100)
    with pytest.raises(UnusableInput, match=r"at 44100 Hz .*expected sound of 1 channel, 16 bit"):
        read_clip(fast)
    with pytest.raises(UnusableInput, match=r"0 bytes; expected sound"):
        read_clip(write_wav(tmp_path / "empty.wav", samples[:0]))


@pytest.mark.parametrize("content", [None, b"", b"RIFF\x00", b"no sound at all" * 9])
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "clip.wav"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnusableInput, match=r"clip.wav: not a readable WAV file"):
        read_clip(file)


@given(length=st.integers(1, 3 * FRAME))
def test_frames_hold_the_whole_clip_and_then_silence(length: int) -> None:
    clip = np.arange(1, length + 1, dtype=np.float32)
    found = cut(clip)
    assert found.shape == (-(-length // FRAME), FRAME)
    np.testing.assert_array_equal(found.ravel()[:length], clip)
    assert not found.ravel()[length:].any()


def test_the_clip_of_the_sample_model_can_be_read() -> None:
    root = Path(__file__).parents[4]
    clip = read_clip(root / "model_repository" / "speech_activity" / "speech.wav")
    assert len(clip) > 10 * SAMPLE_RATE_HZ
