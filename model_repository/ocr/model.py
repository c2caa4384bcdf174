"""Reading an image on the server: image uint8 [height, width, 3] → texts, boxes, scores.

Business logic: this model calls ocr_detector for the boxes, ocr_classifier for which of them are
upside down, and ocr_recogniser for what they say. Its other files lie in the version folder too.
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from lines import (
    better,
    both_ways,
    classifier_batches,
    crop,
    read_line,
    recogniser_batches,
    upside_down,
)
from text_boxes import detector_input, find_boxes, page_of

# A text of a lower score is not told.
SURE_ENOUGH = 0.5
INPUT = "x"
OUTPUTS = {
    "ocr_detector": "sigmoid_0.tmp_0",
    "ocr_classifier": "save_infer_model/scale_0.tmp_1",
    "ocr_recogniser": "softmax_11.tmp_0",
}


class TritonPythonModel:
    """One instance; a request whose image cannot be read gets an error of its own."""

    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        self._characters = json.loads((folder / "characters.json").read_text(encoding="utf-8"))

    async def execute(self, requests):
        return await asyncio.gather(*(self._answer(request) for request in requests))

    async def _answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        try:
            texts, boxes, scores = await self._read(image)
        except Exception as error:  # of a network, or of OpenCV: the server must go on
            fault = pb_utils.TritonError(f"ocr: {error}")
            return pb_utils.InferenceResponse(error=fault)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("texts", np.array([one.encode() for one in texts], np.object_)),
                pb_utils.Tensor("boxes", boxes),
                pb_utils.Tensor("scores", np.array(scores, np.float32)),
            ]
        )

    async def _read(self, image):
        """(texts, boxes float32 [N, 4, 2], scores) in reading order."""
        if image.size == 0:
            return [], np.zeros((0, 4, 2), np.float32), []
        page = page_of(image)
        boxes = find_boxes((await infer("ocr_detector", detector_input(page)))[0, 0], page)
        cuts = [crop(page.pixels, box) for box in boxes]
        if not cuts:
            return [], boxes, []
        batches = classifier_batches(cuts)
        answers = await asyncio.gather(*(infer("ocr_classifier", one) for one in batches))
        down = upside_down(np.concatenate(answers))
        read = better(await self._recognise(both_ways(cuts, down)), down, len(cuts))
        sure = [row for row, (_, score) in enumerate(read) if score >= SURE_ENOUGH]
        texts, scores = [read[row][0] for row in sure], [read[row][1] for row in sure]
        return texts, page.original(boxes[sure]), scores

    async def _recognise(self, cuts):
        """(text, score) of each crop; the requests run at once, so that batches form of them."""
        batches = recogniser_batches(cuts)
        answers = await asyncio.gather(*(infer("ocr_recogniser", one) for _, one in batches))
        read = {}
        for (numbers, _), answer in zip(batches, answers, strict=True):
            for number, row in zip(numbers, answer, strict=True):
                read[number] = read_line(row, self._characters)
        return [read[number] for number in range(len(cuts))]


async def infer(model, rows):
    """The only output of a network for float32 [N, 3, height, width]."""
    answer = await pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=[OUTPUTS[model]],
        inputs=[pb_utils.Tensor(INPUT, rows)],
    ).async_exec()
    if answer.has_error():
        raise RuntimeError(f"{model}: {answer.error().message()}")
    return pb_utils.get_output_tensor_by_name(answer, OUTPUTS[model]).as_numpy()
