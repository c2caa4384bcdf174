"""Makes speech.wav: sentences spoken by espeak-ng, with silence and noise between and under them.

Run once, by hand: `python make_speech.py` with espeak-ng (Debian's package) and SciPy. The file is
kept beside this one, so that nothing else needs a synthesiser. Mono, 16 kHz, 16 bit.
"""

from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

SAMPLE_RATE_HZ = 16_000
SPOKEN = (
    ("en-us", "The quick brown fox jumps over the lazy dog."),
    ("en-gb", "Please serve this model, and measure how fast it answers."),
    ("de", "Der Zug nach Berlin fährt heute von Gleis sieben ab."),
    ("en-us+f3", "Stop."),
    ("en-gb+f2", "One. Two. Three."),
)
# Before each sentence, and after the last.
PAUSES_S = (0.8, 1.1, 0.7, 0.6, 0.5, 0.9)
NOISE_LEVEL = 0.01
CRACKLE_LEVEL = 0.2


def main() -> None:
    noise = np.random.default_rng(0)
    parts = [silence(PAUSES_S[0])]
    for (voice, text), pause_s in zip(SPOKEN, PAUSES_S[1:], strict=True):
        parts += [spoken(voice, text), silence(pause_s)]
    sound = np.concatenate(parts)
    # The second half is noisy all through; a burst without any speech ends it.
    sound[len(sound) // 2 :] += noise.normal(0, NOISE_LEVEL, len(sound) - len(sound) // 2)
    burst = noise.normal(0, CRACKLE_LEVEL, SAMPLE_RATE_HZ // 2) * np.hanning(SAMPLE_RATE_HZ // 2)
    sound = np.concatenate([sound, burst, silence(0.4)])
    samples = np.clip(sound * 32_767, -32_768, 32_767).astype("<i2")
    with wave.open(str(Path(__file__).parent / "speech.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", "not compressed"))
        file.writeframes(samples.tobytes())


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SAMPLE_RATE_HZ))


def spoken(voice: str, text: str) -> np.ndarray:
    """`text` as float64 [samples] in -0.5..0.5, at 16 kHz."""
    command = ["espeak-ng", "-v", voice, "-s", "160", "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768
    samples = resample_poly(samples, SAMPLE_RATE_HZ, rate_hz)
    return samples * (0.5 / np.abs(samples).max())


if __name__ == "__main__":
    main()
