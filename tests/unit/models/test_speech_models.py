"""The speech models' own parts: they hear what silero-vad hears, frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

MODELS = Path(__file__).parents[3] / "model_repository"


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return module("speech_activity", "source")


@pytest.fixture(scope="module")
def network(source: ModuleType) -> torch.nn.Module:
    return source.load()


@pytest.fixture(scope="module")
def reference(source: ModuleType) -> np.ndarray:
    """The package's own probabilities for the spoken file, float32 [frames]."""
    return source.reference(source.frames(source.speech()))


@pytest.fixture(scope="module")
def segments() -> Iterator[ModuleType]:
    loaded = module("speech_segments", "segments")
    yield loaded
    del sys.modules[loaded.__name__]


def module(model: str, file: str) -> ModuleType:
    name = f"{model}_{file}"
    spec = spec_from_file_location(name, MODELS / model / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    sys.modules[name] = loaded  # where its dataclasses look it up
    spec.loader.exec_module(loaded)
    return loaded


def heard(network: torch.nn.Module, streams: np.ndarray) -> np.ndarray:
    """float32 [N, frames, 512] → [N, frames]; every step is one batch of N."""
    state, context = torch.zeros(len(streams), 2, 128), torch.zeros(len(streams), 64)
    found: list[np.ndarray] = []
    with torch.no_grad():
        for step in streams.transpose(1, 0, 2):
            probability, state, context = network(torch.tensor(step), state, context)
            found.append(probability.numpy()[:, 0])
    return np.stack(found, axis=1)


def test_the_file_has_speech_silence_and_noise(source: ModuleType, reference: np.ndarray) -> None:
    audio = source.speech()
    assert 10 * 16_000 <= len(audio) <= 20 * 16_000
    assert (MODELS / "speech_activity" / "speech.wav").stat().st_size < 1_000_000
    assert 0.2 < (reference > 0.5).mean() < 0.9
    # Half a second of noise at the end, as loud as speech, is none.
    assert np.abs(audio[-14_000:]).max() > 0.3
    assert reference[-27:].max() < 0.5


def test_probabilities_are_those_of_the_package_frame_by_frame(
    source: ModuleType, network: torch.nn.Module, reference: np.ndarray
) -> None:
    found = heard(network, source.frames(source.speech())[np.newaxis])
    np.testing.assert_allclose(found[0], reference, atol=1e-4)


def test_streams_of_one_batch_do_not_hear_each_other(
    source: ModuleType, network: torch.nn.Module
) -> None:
    frames = source.frames(source.speech())
    streams = np.stack([frames[:100], frames[200:300], np.zeros_like(frames[:100])])
    together = heard(network, streams)
    alone = np.concatenate([heard(network, one[np.newaxis]) for one in streams])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_next_context_is_the_end_of_the_frame(network: torch.nn.Module) -> None:
    audio = torch.linspace(-1, 1, 512)[None]
    with torch.no_grad():
        _, state, context = network(audio, torch.zeros(1, 2, 128), torch.zeros(1, 64))
    np.testing.assert_array_equal(context.numpy(), audio[:, -64:].numpy())
    assert state.shape == (1, 2, 128)


def test_the_last_frame_is_filled_with_silence(source: ModuleType) -> None:
    frames = source.frames(np.ones(513, np.float32))
    assert frames.shape == (2, 512)
    assert frames[1].sum() == 1


def test_asking_the_package_leaves_the_process_its_threads(source: ModuleType) -> None:
    before = torch.get_num_threads()
    source.reference(np.zeros((1, 512), np.float32))
    assert torch.get_num_threads() == before


def test_golden_streams_take_turns_and_start_anew(source: ModuleType) -> None:
    golden = source.golden()
    assert golden["sequence"][:4].tolist() == [1, 2, 1, 2]
    frames, answers = golden["inputs"]["audio"], golden["outputs"]["probability"]
    assert frames.shape == (len(golden["sequence"]), 512)
    for stream in (1, 2):
        own = golden["sequence"] == stream
        np.testing.assert_allclose(source.reference(frames[own]), answers[own][:, 0], atol=1e-6)


def cut(segments: ModuleType, probabilities: list[float], length: int) -> list[Any]:
    segmenter = segments.Segmenter()
    found = [segmenter.hear(one) for one in probabilities]
    return [one for one in [*found, segmenter.finish(length)] if one is not None]


def package_timestamps(probabilities: list[float], length: int) -> list[dict[str, int]]:
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    return get_speech_timestamps_from_probs(probabilities, audio_length_samples=length)


def test_segments_of_the_file_are_those_of_the_package(
    segments: ModuleType, source: ModuleType, reference: np.ndarray
) -> None:
    length = len(source.speech())
    found = cut(segments, reference.tolist(), length)
    wanted = package_timestamps(reference.tolist(), length)
    assert len(found) >= 5
    assert [(one.start, one.end) for one in found] == [(one["start"], one["end"]) for one in wanted]


# Runs of frames that are speech, silence, or neither, as speech has them; and just anything.
_RUNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.4, 0.5, 0.9]), st.integers(1, 14)), max_size=30
).map(lambda runs: [level for level, count in runs for _ in range(count)])
_ANY = st.lists(st.floats(0, 1), max_size=60)


@given(probabilities=_RUNS | _ANY, missing=st.integers(0, 511))
def test_segments_of_any_probabilities_are_those_of_the_package(
    segments: ModuleType, probabilities: list[float], missing: int
) -> None:
    length = max(0, len(probabilities) * 512 - missing)
    found = cut(segments, probabilities, length)
    wanted = package_timestamps(probabilities, length)
    assert [(one.start, one.end) for one in found] == [(one["start"], one["end"]) for one in wanted]


def test_a_segment_is_told_once_the_silence_after_it_has_lasted(segments: ModuleType) -> None:
    segmenter = segments.Segmenter()
    speech = [segmenter.hear(0.9) for _ in range(20)]
    silence = [segmenter.hear(0.0) for _ in range(5)]
    assert speech == [None] * 20
    # 100 ms are a bit more than three frames of 32 ms after the first silent one.
    assert silence[:4] == [None] * 4
    assert silence[4] == segments.Segment(start=0, end=20 * 512 + 480)
    assert segmenter.finish(25 * 512) is None


def test_times_are_in_seconds(segments: ModuleType) -> None:
    segment = segments.Segment(start=8_000, end=24_000)
    assert (segment.start_s, segment.end_s) == (0.5, 1.5)


def test_golden_clips_have_the_segments_of_the_package(
    segments: ModuleType, source: ModuleType
) -> None:
    golden = module("speech_segments", "source").golden()
    clips, told = golden["inputs"]["audio"], golden["outputs"]
    starts, ends = (iter(told[name][:, 0]) for name in ("start_s", "end_s"))
    for clip, count in zip(clips, golden["responses"], strict=True):
        probabilities = source.reference(source.frames(clip)).tolist()
        found = cut(segments, probabilities, len(clip))
        assert len(found) == count
        for one in found:
            assert (one.start_s, one.end_s) == pytest.approx((next(starts), next(ends)))
    assert golden["responses"][0] > 2
    assert golden["responses"][-1] == 0
