"""What speech_segments is made of besides model.py, and a clip whose segments are known."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

SAMPLE_RATE_HZ = 16_000


def files() -> dict[str, Path]:
    """What model.py imports, by its name in the version folder."""
    return {"segments.py": Path(__file__).parent / "segments.py"}


def speech() -> np.ndarray:
    """The spoken file of speech_activity, float32 [samples] in -1..1 at 16 kHz."""
    file = Path(__file__).parent.parent / "speech_activity" / "speech.wav"
    with wave.open(str(file)) as opened:
        samples = np.frombuffer(opened.readframes(opened.getnframes()), "<i2")
    return samples.astype(np.float32) / 32_768


def golden() -> dict[str, Any]:
    """Clips, and the segments that silero-vad itself finds in them; one of them has none."""
    clips = [speech()[: 10 * SAMPLE_RATE_HZ], np.zeros(SAMPLE_RATE_HZ, np.float32)]
    found = [timestamps(clip) for clip in clips]
    every = [one for segments in found for one in segments]
    return {
        "inputs": {"audio": clips},
        "outputs": {
            "start_s": np.array([[start] for start, _ in every], np.float32),
            "end_s": np.array([[end] for _, end in every], np.float32),
        },
        "responses": [len(segments) for segments in found],
    }


def timestamps(clip: np.ndarray) -> list[tuple[float, float]]:
    """The package's own (start, end) of each segment, in seconds."""
    import torch

    threads = torch.get_num_threads()
    from silero_vad import get_speech_timestamps, load_silero_vad

    # Imported, the package leaves one thread to everything else in the process.
    torch.set_num_threads(threads)
    found = get_speech_timestamps(torch.from_numpy(clip), load_silero_vad(onnx=True))
    return [(one["start"] / SAMPLE_RATE_HZ, one["end"] / SAMPLE_RATE_HZ) for one in found]
