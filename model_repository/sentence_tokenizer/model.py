"""The tokenizer on the server: text BYTES [N, 1] → input_ids, attention_mask int64 [N, length].

Its files lie in the version folder: tokens.py, tokenizer.json and sentence_bert_config.json, which
says at how many tokens the library cuts a text.
"""

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils
from tokens import TextTokenizer


class TritonPythonModel:
    """One instance; each request is answered by itself, a bad one with an error of its own."""

    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        settings = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        self._tokenizer = TextTokenizer(folder / "tokenizer.json", settings["max_seq_length"])

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().reshape(-1)
        try:
            input_ids, attention_mask = self._tokenizer.tokens(list(texts))
        except ValueError as error:
            fault = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=fault)
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("input_ids", input_ids),
                pb_utils.Tensor("attention_mask", attention_mask),
            ]
        )
