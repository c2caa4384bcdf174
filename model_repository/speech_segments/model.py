"""Speech in a clip, answered segment by segment: audio float32 [samples] → start_s, end_s.

Decoupled: a request gets a response for each segment as soon as speech_activity has heard its end,
and then the empty final one. Each clip is a sequence of its own to speech_activity, whose batcher
puts the frames of clips that are heard at the same time together.
"""

import asyncio
import secrets

import numpy as np
import triton_python_backend_utils as pb_utils
from segments import FRAME, Segmenter

DETECTOR = "speech_activity"
LAST = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    async def execute(self, requests):
        await asyncio.gather(*(self._answer(request) for request in requests))

    async def _answer(self, request):
        sender = request.get_response_sender()
        try:
            audio = pb_utils.get_input_tensor_by_name(request, "audio").as_numpy()
            await self._stream(request, audio, sender)
        except Exception as error:  # whatever goes wrong: the caller must not wait for ever
            fault = pb_utils.TritonError(f"speech_segments: {error}")
            sender.send(pb_utils.InferenceResponse(error=fault), flags=LAST)
        else:
            sender.send(flags=LAST)

    async def _stream(self, request, audio, sender):
        if not np.isfinite(audio).all():
            raise ValueError("audio has samples that are not numbers")
        segmenter = Segmenter()
        # Nobody else's: callers of speech_activity choose theirs, most of them small.
        sequence = secrets.randbits(63) | 1 << 62
        starts = range(0, len(audio), FRAME)
        for start in starts:
            cancelled = request.is_cancelled()
            frame = np.zeros((1, FRAME), np.float32)
            part = audio[start : start + FRAME]
            frame[0, : len(part)] = part
            flags = 0
            if start == 0:
                flags |= pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
            if start == starts[-1] or cancelled:
                flags |= pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END
            segment = segmenter.hear(await probability(frame, sequence, flags))
            if segment is not None:
                sender.send(response(segment))
            if cancelled:
                return
        segment = segmenter.finish(len(audio))
        if segment is not None:
            sender.send(response(segment))


async def probability(frame, sequence, flags):
    """What speech_activity says of the next frame, float32 [1, 512], of the sequence."""
    answer = await pb_utils.InferenceRequest(
        model_name=DETECTOR,
        requested_output_names=["probability"],
        inputs=[pb_utils.Tensor("audio", frame)],
        correlation_id=sequence,
        flags=flags,
    ).async_exec()
    if answer.has_error():
        raise RuntimeError(f"{DETECTOR}: {answer.error().message()}")
    return float(pb_utils.get_output_tensor_by_name(answer, "probability").as_numpy()[0, 0])


def response(segment):
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor("start_s", np.array([segment.start_s], np.float32)),
            pb_utils.Tensor("end_s", np.array([segment.end_s], np.float32)),
        ]
    )
