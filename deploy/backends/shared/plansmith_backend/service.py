"""Triton's requests to arrays and back: what every backend here does around its engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from plansmith_backend.answering import Call, Calls
from plansmith_backend.batches import Arrays, Runner, answer_each, told
from plansmith_backend.config import BadConfig, ServedConfig, parse_config
from plansmith_backend.ports import Ports, complete, is_complete


def read_config(args: Mapping[str, str]) -> ServedConfig:
    """The configuration out of what Triton gives to `initialize`. Raises BadConfig."""
    return parse_config(json.loads(args["model_config"]))


def model_path(config: ServedConfig, args: Mapping[str, str], default_name: str) -> Path:
    """The model's file in the served version's folder. Raises BadConfig where there is none."""
    path = Path(args["model_repository"], args["model_version"], config.model_file or default_name)
    if not path.exists():
        raise BadConfig(f"{path}: there is no such file; default_model_filename names another")
    return path


def complete_config(
    auto: Any, default_name: str, read_ports: Callable[[Path], tuple[Ports, bool]]
) -> Any:
    """Triton's `auto_complete_config`; `read_ports` gives a file's ports and whether it can batch.

    `auto`: Triton's own object, which is completed and given back.
    """
    config = auto.as_dict()
    if is_complete(config):
        return auto
    path = Path(pb_utils.get_model_dir(), config.get("default_model_filename") or default_name)
    ports, can_batch = read_ports(path)
    complete(config, ports, can_batch=can_batch)
    return auto


class Service:
    """Answers requests of one model instance. `backend`: its name, which errors begin with."""

    def __init__(self, backend: str, config: ServedConfig, ports: Ports) -> None:
        self._backend = backend
        self._outputs = [tensor.name for tensor in config.outputs]
        self._needed = ports.needed.intersection(tensor.name for tensor in config.brought)
        self._state_inputs = frozenset(state.input.name for state in config.states)
        self._has_sequences = config.has_sequences
        self._is_batched = config.is_batched
        self._calls = Calls(config)

    def respond(self, requests: Sequence[Any], runner: Runner) -> list[Any]:
        """One response for each request, in order; a request that cannot be run gets an error."""
        places: list[int] = []
        feeds: list[Arrays] = []
        responses: list[Any] = [None] * len(requests)
        for place, request in enumerate(requests):
            if self._has_sequences and _is_empty_slot(request):
                responses[place] = pb_utils.InferenceResponse([])
                continue
            # as_numpy() is a view of the shared memory in which Triton hands the request over.
            brought = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            if not self._needed <= brought.keys():
                responses[place] = self._response(self._missing(brought))
                continue
            places.append(place)
            feeds.append(brought)
        if self._has_sequences:
            calls = [
                self._call(requests[place], feed) for place, feed in zip(places, feeds, strict=True)
            ]
            answers = self._calls.answer(calls, runner)
        else:
            answers = answer_each(feeds, runner, is_batched=self._is_batched)
        for place, answer in zip(places, answers, strict=True):
            responses[place] = self._response(answer)
        return responses

    def _missing(self, brought: Arrays) -> Exception:
        # Triton 2.51 only counts inputs where the configuration calls any of them optional.
        name = sorted(self._needed - brought.keys())[0]
        return ValueError(f'input "{name}" is missing: the model needs it')

    def _call(self, request: Any, brought: Arrays) -> Call:
        flags = request.flags()
        # A state's input is brought as well, but always as at the sequence's start.
        given = {name: brought.pop(name) for name in self._state_inputs if name in brought}
        return Call(
            feed=brought,
            sequence=request.correlation_id() or None,
            starts=bool(flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START),
            ends=bool(flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END),
            given=given,
        )

    def _response(self, answer: Arrays | Exception) -> Any:
        if isinstance(answer, Exception):
            text = f"{self._backend}: {told(answer)}"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(text))
        # Triton itself leaves out what the request did not ask for.
        tensors = [pb_utils.Tensor(name, answer[name]) for name in self._outputs]
        return pb_utils.InferenceResponse(output_tensors=tensors)


def _is_empty_slot(request: Any) -> bool:
    """Whether the direct sequence batcher fills a slot with this: it has no caller.

    Its tensors hold whatever was in memory (seen on Triton 2.51), so it must not be run. A caller
    always asks for an output, and the server refuses one that names no sequence.
    """
    return not request.correlation_id() and not request.requested_output_names()
