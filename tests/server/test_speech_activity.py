"""The speech models through a real server: streams keep their own state, clips have segments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient

import sample_models
from plansmith.infer import ask
from plansmith.server import Server
from plansmith_client import AsyncClient, Client, PlansmithClientError, SequenceStep
from real_server import Serve

MODELS = ("speech_activity", "speech_segments")
ACTIVITY, SEGMENTS = MODELS
# A frame at 16 kHz.
FRAME_S = 512 / 16_000
# Many streams, and the frames of each.
STREAMS, STEPS = 200, 8
Frames = NDArray[np.float32]
Timestamps = Callable[[NDArray[np.float32]], list[tuple[float, float]]]


@pytest.fixture(scope="module")
def source() -> ModuleType:
    file = sample_models.ROOT / "model_repository" / ACTIVITY / "source.py"
    spec = spec_from_file_location("speech_activity_source", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def frames(source: ModuleType) -> Frames:
    return source.frames(source.speech())


@pytest.fixture(scope="module")
def reference(source: ModuleType, frames: Frames) -> NDArray[np.float32]:
    """What silero-vad itself says of the whole file."""
    return source.reference(frames)


@pytest.fixture(scope="module")
def streams(frames: Frames) -> list[Frames]:
    """STREAMS pieces of the file that overlap, of STEPS frames each; no two begin at one frame."""
    starts = np.linspace(0, len(frames) - STEPS, STREAMS).astype(int)
    assert len(set(starts)) == STREAMS
    return [frames[start:][:STEPS] for start in starts]


@pytest.fixture(scope="module")
def tenth_references(source: ModuleType, streams: list[Frames]) -> list[NDArray[np.float32]]:
    """What silero-vad itself says of every tenth stream; of all of them it would take a while."""
    return [source.reference(stream) for stream in streams[::10]]


@pytest.fixture(scope="module", params=["oldest", "direct"])
def server(
    request: pytest.FixtureRequest, serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with both models, for either of Triton's strategies."""
    repository = tmp_path_factory.mktemp("speech")
    for model in MODELS:
        sample_models.copy_recipe(repository, model)
    if request.param == "direct":
        recipe = repository / ACTIVITY / "recipe.toml"
        text = recipe.read_text().replace('strategy = "oldest"', 'strategy = "direct"')
        recipe.write_text("".join(ln for ln in text.splitlines(True) if "max_candidates" not in ln))
    sample_models.build(repository, *MODELS)
    assert f"{request.param} {{" in (repository / ACTIVITY / "config.pbtxt").read_text()
    with serve(repository) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.grpc_url) as connected:
        yield connected


def heard(client: Client, stream: Frames, number: int) -> NDArray[np.float32]:
    """The probability of each frame of a stream, sent one after the other."""
    model = client.model(ACTIVITY)
    return np.array(
        [
            model.infer(
                {"audio": frame[np.newaxis]},
                sequence=SequenceStep(id=number, start=place == 0, end=place == len(stream) - 1),
            )["probability"][0, 0]
            for place, frame in enumerate(stream)
        ]
    )


def test_a_stream_is_heard_as_the_package_hears_it(
    client: Client, frames: Frames, reference: NDArray[np.float32]
) -> None:
    np.testing.assert_allclose(heard(client, frames, 1), reference, atol=1e-4)


def test_plansmith_infer_hears_a_file_as_the_package_does(
    server: Server, reference: NDArray[np.float32]
) -> None:
    speech = sample_models.ROOT / "model_repository" / ACTIVITY / "speech.wav"
    (answer,) = ask(ACTIVITY, [speech], url=server.grpc_url, top=5, timeout_s=60)
    found = answer.outputs["probability"].ravel()
    np.testing.assert_allclose(found[: len(reference)], reference.ravel(), atol=1e-3)
    # The last frame, which the package leaves out if it is not whole.
    assert len(found) - len(reference) in (0, 1)


def test_callers_see_the_audio_and_the_probability_alone(client: Client) -> None:
    metadata = client.model(ACTIVITY).metadata()
    assert [one.name for one in metadata.inputs] == ["audio"]
    assert [one.name for one in metadata.outputs] == ["probability"]


def open_at_most(server: Server) -> int:
    """How many of the streams can be under way at one time; the next one's first frame waits."""
    with InferenceServerClient(server.grpc_url) as asked:
        config = asked.get_model_config(ACTIVITY).config
    sequences = config.sequence_batching
    if sequences.HasField("oldest"):
        assert sequences.oldest.max_candidate_sequences >= STREAMS
        return STREAMS
    # Direct: a row of an instance's batch belongs to one sequence until that ends.
    return config.max_batch_size * sum(group.count for group in config.instance_group)


async def interleaved(
    url: str, streams: Sequence[Frames], first_number: int
) -> NDArray[np.float32]:
    """The probabilities [streams, steps] of streams that are all under way at the same time.

    The first frames of all are answered before the second ones are sent, and so on; those of one
    step are in flight together, in another order at each.
    """
    random = np.random.default_rng(first_number)
    steps = len(streams[0])
    found = np.full((len(streams), steps), np.nan, np.float32)
    async with AsyncClient(url) as connected:
        model = connected.model(ACTIVITY)

        async def send(number: int, place: int) -> None:
            step = SequenceStep(id=first_number + number, start=place == 0, end=place == steps - 1)
            answer = await model.infer({"audio": streams[number][place][np.newaxis]}, sequence=step)
            found[number, place] = answer["probability"][0, 0]

        for place in range(steps):
            await asyncio.gather(
                *(send(n, place) for n in random.permutation(len(streams)).tolist())
            )
    return found


def test_200_interleaved_streams_are_each_as_if_alone(
    server: Server,
    client: Client,
    streams: list[Frames],
    tenth_references: list[NDArray[np.float32]],
) -> None:
    """With "oldest" all 200 are under way at the same time.

    With "direct" that cannot be: a stream keeps a row of the batch from its start to its end, so
    there are as many as the instances' batches have rows. The next one's first frame waits in the
    server's backlog until a stream ends, which none would do here before that frame is answered.
    So all rows are taken at the same time, again and again until all 200 streams have had their
    turn in one that others had before.
    """
    together = open_at_most(server)
    found = np.concatenate(
        [
            asyncio.run(interleaved(server.grpc_url, streams[at : at + together], 1000 + at))
            for at in range(0, STREAMS, together)
        ]
    )
    np.testing.assert_allclose(found[::10], tenth_references, atol=1e-4)
    alone = [heard(client, stream, 5000) for stream in streams]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-5)


def test_a_stream_that_starts_again_under_its_number_forgets(
    client: Client, frames: Frames
) -> None:
    first = heard(client, frames[40:60], 7)
    np.testing.assert_allclose(heard(client, frames[40:60], 7), first, atol=1e-6)


def test_a_frame_without_a_stream_is_refused(client: Client, frames: Frames) -> None:
    with pytest.raises(PlansmithClientError, match="correlation ID"):
        client.model(ACTIVITY).infer({"audio": frames[:1]})


def segments(client: Client, clip: NDArray[np.float32]) -> list[tuple[float, float]]:
    answers = client.model(SEGMENTS).stream({"audio": clip}, timeout_s=60)
    return [(float(one["start_s"][0]), float(one["end_s"][0])) for one in answers]


@pytest.fixture(scope="module")
def timestamps() -> Timestamps:
    """silero-vad's own segments of a clip, in seconds."""
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    # It takes a while to load, and begins every clip with a new state.
    model = load_silero_vad(onnx=True)

    def of(clip: NDArray[np.float32]) -> list[tuple[float, float]]:
        found = get_speech_timestamps(torch.from_numpy(clip), model)
        return [(one["start"] / 16_000, one["end"] / 16_000) for one in found]

    return of


def test_segments_of_a_clip_are_those_of_the_package(
    client: Client, source: ModuleType, timestamps: Timestamps
) -> None:
    clip = source.speech()
    found, wanted = segments(client, clip), timestamps(clip)
    assert len(found) >= 5
    np.testing.assert_allclose(found, wanted, atol=FRAME_S)


def test_a_segment_comes_as_soon_as_it_has_ended_and_the_rest_can_be_cancelled(
    server: Server, client: Client, source: ModuleType
) -> None:
    clip = np.tile(source.speech(), 20)
    before = frames_heard(server)
    answers = client.model(SEGMENTS).stream({"audio": clip}, timeout_s=60)
    first = next(answers)
    assert float(first["end_s"][0]) < 5
    answers.close()
    # Later requests have their turn in spite of the six minutes of sound.
    assert segments(client, source.speech()[: 5 * 16_000])
    assert frames_heard(server) - before < len(clip) / 512 / 2


def frames_heard(server: Server) -> int:
    """How many frames speech_activity has answered so far."""
    with InferenceServerClient(server.grpc_url) as statistics:
        (found,) = statistics.get_inference_statistics(ACTIVITY).model_stats
    return found.inference_count


def test_clips_at_the_same_time_get_their_own_segments(
    client: Client, source: ModuleType, timestamps: Timestamps
) -> None:
    speech = source.speech()
    clips = [speech[start * 16_000 : (start + 7) * 16_000] for start in range(0, 8, 2)]
    with ThreadPoolExecutor(len(clips)) as pool:
        found = list(pool.map(lambda clip: segments(client, clip), clips))
    for one, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(one, timestamps(clip), atol=FRAME_S)


@pytest.mark.parametrize("length", [1, 511, 16_000])
def test_silence_has_no_segments_but_an_end(client: Client, length: int) -> None:
    assert segments(client, np.zeros(length, np.float32)) == []


def test_audio_that_is_not_numbers_is_refused(client: Client) -> None:
    with pytest.raises(PlansmithClientError, match="samples that are not numbers"):
        segments(client, np.array([0, np.nan], np.float32))
