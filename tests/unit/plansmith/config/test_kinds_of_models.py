"""What is told of a model that keeps state, of an ensemble, and of one that streams."""

from __future__ import annotations

from dataclasses import replace

from plansmith.config.compose import compose
from plansmith.config.rendering import render_config
from plansmith.config.served import ServedModel
from plansmith.recipe.serving_words import (
    Control,
    Ensemble,
    SequenceBatching,
    Serving,
    State,
    Step,
)
from plansmith.tensors import TensorSpec
from served_models import MODEL, ROW, made

STATE = State(
    input="h", output="h_next", spec=TensorSpec(name="h", dtype="float32", shape=(2, 128))
)
OLDEST = SequenceBatching(
    strategy="oldest",
    max_idle_us=5_000_000,
    max_candidates=256,
    queue_delay_us=100,
    states=(STATE,),
    controls=(
        Control(kind="start", input="START", dtype="int32"),
        Control(kind="end", input="END", dtype="float32"),
        Control(kind="ready", input="READY", dtype="bool"),
        Control(kind="corrid", input="ID", dtype="uint64"),
    ),
)
SEQUENCE = """\
# Written by plansmith: a change here is lost with the next build; see recipe.toml.
name: "m"
backend: "python"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ -1, 3 ] }
sequence_batching {
  oldest { max_candidate_sequences: 256 max_queue_delay_microseconds: 100 }
  max_sequence_idle_microseconds: 5000000
  control_input {
    name: "START"
    control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }
  }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } }
  control_input {
    name: "READY"
    control { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] }
  }
  control_input { name: "ID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
  state {
    input_name: "h"
    output_name: "h_next"
    data_type: TYPE_FP32
    dims: [ 2, 128 ]
    initial_state { data_type: TYPE_FP32 dims: [ 2, 128 ] zero_data: true name: "h_zeros" }
  }
}
instance_group { kind: KIND_CPU count: 1 rate_limiter { priority: 1 } }
"""


def test_the_text_of_a_model_that_keeps_state() -> None:
    model = replace(MODEL, sequence=OLDEST, warm_up_rows=(ROW,))
    assert render_config(compose(model)) == SEQUENCE


def test_a_slot_for_each_sequence() -> None:
    direct = SequenceBatching(
        strategy="direct", max_idle_us=1, queue_delay_us=7, minimum_slot_utilization=0.5
    )
    found = made(replace(MODEL, sequence=direct)).sequence_batching
    assert found.WhichOneof("strategy_choice") == "direct"
    assert found.direct.minimum_slot_utilization == 0.5
    assert found.direct.max_queue_delay_microseconds == 7


ENSEMBLE = Ensemble(
    steps=(
        Step(model="tokens", inputs=(("text", "text"),), outputs=(("ids", "ids"),)),
        Step(model="net", version=2, inputs=(("i", "ids"),), outputs=(("v", "vector"),)),
    )
)


def test_an_ensemble_has_steps_and_nothing_of_a_model_s_own() -> None:
    config = compose(
        ServedModel(
            name="m",
            backend="ensemble",
            max_batch_size=8,
            inputs=(TensorSpec(name="text", dtype="bytes", shape=(1,)),),
            outputs=(TensorSpec(name="vector", dtype="bfloat16", shape=(384,)),),
            serving=Serving(metric_tags=(("a", "b"),)),
            ensemble=ENSEMBLE,
            versions=(2,),
            warm_up_rows=(ROW,),
        )
    )
    assert config.files == {}
    assert render_config(config) == (
        "# Written by plansmith: a change here is lost with the next build; see recipe.toml.\n"
        'name: "m"\n'
        'platform: "ensemble"\n'
        "version_policy { specific { versions: [ 2 ] } }\n"
        "max_batch_size: 8\n"
        'input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }\n'
        'output { name: "vector" data_type: TYPE_BF16 dims: [ 384 ] }\n'
        "ensemble_scheduling {\n"
        "  step {\n"
        '    model_name: "tokens"\n'
        "    model_version: -1\n"
        '    input_map { key: "text" value: "text" }\n'
        '    output_map { key: "ids" value: "ids" }\n'
        "  }\n"
        "  step {\n"
        '    model_name: "net"\n'
        "    model_version: 2\n"
        '    input_map { key: "i" value: "ids" }\n'
        '    output_map { key: "v" value: "vector" }\n'
        "  }\n"
        "}\n"
        'metric_tags { key: "a" value: "b" }\n'
    )


def test_a_model_may_answer_any_number_of_times() -> None:
    assert made(replace(MODEL, decoupled=True)).model_transaction_policy.decoupled
    assert not made(MODEL).HasField("model_transaction_policy")
