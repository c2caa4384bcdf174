"""How requests reach a model: the dynamic batcher's queue, sequences, an ensemble's steps. Pure.

Each function fills its part of the message. Source of the fields' meaning: Triton's
model_config.proto and docs/user_guide/{batcher,ragged_batching,architecture}.md.
"""

from __future__ import annotations

from typing import Any

from plansmith.config.message import ModelConfig
from plansmith.config.served import ServedModel
from plansmith.recipe.serving_words import Ensemble, SequenceBatching, Serving
from plansmith.tensors import TRITON_DTYPES

_CONTROLS = {
    "start": "CONTROL_SEQUENCE_START",
    "end": "CONTROL_SEQUENCE_END",
    "ready": "CONTROL_SEQUENCE_READY",
    "corrid": "CONTROL_SEQUENCE_CORRID",
}
_FLAGS = {"int32": "int32_false_true", "float32": "fp32_false_true", "bool": "bool_false_true"}


def add_scheduler(config: ModelConfig, model: ServedModel) -> None:
    """The one scheduler that `model` has; none where it neither batches nor bounds its queue."""
    if model.ensemble is not None:
        _add_ensemble(config.ensemble_scheduling, model.ensemble)
    elif model.sequence is not None:
        _add_sequence_batching(config.sequence_batching, model.sequence)
    elif model.max_batch_size > 0 or _asks_of_the_queue(model.serving):
        _add_dynamic_batching(config.dynamic_batching, model)


def _asks_of_the_queue(serving: Serving) -> bool:
    bounds = (serving.priority_levels, serving.queue_size, serving.queue_timeout_ms)
    return any(bounds) or serving.preserve_ordering


def _add_dynamic_batching(batching: Any, model: ServedModel) -> None:
    serving = model.serving
    batching.SetInParent()
    batching.preferred_batch_size.extend(sorted(model.preferred_batch_sizes))
    batching.max_queue_delay_microseconds = serving.queue_delay_us or 0
    batching.preserve_ordering = serving.preserve_ordering
    if serving.priority_levels:
        batching.priority_levels = serving.priority_levels
        # Only who asks for more gets more.
        batching.default_priority_level = serving.priority_levels
    # A policy, even an empty one, keeps the server from preparing the next batch ahead.
    if serving.queue_size is not None or serving.queue_timeout_ms is not None:
        policy = batching.default_queue_policy
        policy.max_queue_size = serving.queue_size or 0
        if serving.queue_timeout_ms is not None:
            policy.default_timeout_microseconds = max(1, round(serving.queue_timeout_ms * 1000))
            policy.timeout_action = serving.timeout_action.upper()
            policy.allow_timeout_override = serving.allow_timeout_override


def _add_sequence_batching(batching: Any, sequence: SequenceBatching) -> None:
    batching.max_sequence_idle_microseconds = sequence.max_idle_us
    if sequence.strategy == "oldest":
        batching.oldest.max_candidate_sequences = sequence.max_candidates
        batching.oldest.max_queue_delay_microseconds = sequence.queue_delay_us
    else:
        batching.direct.SetInParent()
        batching.direct.minimum_slot_utilization = sequence.minimum_slot_utilization
        batching.direct.max_queue_delay_microseconds = sequence.queue_delay_us
    for control in sequence.controls:
        told = batching.control_input.add(name=control.input).control.add(
            kind=_CONTROLS[control.kind]
        )
        if control.kind == "corrid":
            told.data_type = TRITON_DTYPES[control.dtype]
        else:
            getattr(told, _FLAGS[control.dtype]).extend((0, 1))
    for state in sequence.states:
        shape = {"data_type": TRITON_DTYPES[state.spec.dtype], "dims": state.spec.shape}
        kept = batching.state.add(input_name=state.input, output_name=state.output, **shape)
        # Without it the first request of a sequence reads whatever the memory holds.
        kept.initial_state.add(name=f"{state.input}_zeros", zero_data=True, **shape)


def _add_ensemble(scheduling: Any, ensemble: Ensemble) -> None:
    for step in ensemble.steps:
        scheduling.step.add(
            model_name=step.model,
            model_version=step.version,
            input_map=dict(step.inputs),
            output_map=dict(step.outputs),
        )
