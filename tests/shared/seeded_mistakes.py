"""A mistake for every rule: how a repository without a fault is spoilt, and where it shows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seed:
    """In `file`, the first `old` becomes `new`; the finding is in the line that then has `at`.

    `new` alone, with `old` "", is appended. `also` are other rules that rightly find it, too.
    `files`: what is written besides (a name of the fixture `binary`, or text after "="), or
    removed (None).
    """

    rule: str
    file: str
    old: str = ""
    new: str = ""
    at: str = ""
    also: tuple[str, ...] = ()
    files: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    edits: tuple[tuple[str, str, str], ...] = ()


P, E, X, I_, T, S, W = (
    f"{name}/config.pbtxt" for name in ("plain", "engine", "onnx", "ir", "torch", "stream", "whole")
)
UNDEAD = 'input_map { key: "length" value: "length" }'
MIXED = """    {
      model_name: "other"
      model_version: -1
      input_map { key: "text" value: "text" }
      output_map { key: "ids" value: "more" }
    },
    {
      model_name: "second\""""
OTHER = (
    'backend: "python" max_batch_size: 8\n'
    'input [ { name: "text" data_type: TYPE_STRING dims: [ 1 ] } ]\n'
    'output [ { name: "ids" data_type: TYPE_INT64 dims: [ 1 ] } ]\n'
    "model_transaction_policy { decoupled: true }\n"
)

SEEDS = (
    # Names, backends, texts
    Seed("config-syntax", P, "max_batch_size", "max_batchsize"),
    Seed("name-differs", P, '"plain"', '"plane"'),
    Seed("name-twice", P, '"plain"', '"onnx"'),
    Seed("name-case", "plain/recipe.toml", files={"Plain/notes.txt": "empty"},
         also=("version-missing",)),
    Seed("name-dotted", "a.b/config.pbtxt", files={"a.b/config.pbtxt": '=backend: "python"',
         "a.b/1/model.py": "one byte"}),
    Seed("name-shell", "a;b/config.pbtxt", files={"a;b/config.pbtxt": '=backend: "python"',
         "a;b/1/model.py": "one byte"}),
    Seed("config-name-space", "torch/configs/a b.pbtxt",
         files={"torch/configs/a b.pbtxt": '=platform: "pytorch_libtorch"'}),
    Seed("backend-missing", P, 'backend: "python"\n', "", at='name: "plain"',
         files={"plain/1/model.py": None, "plain/1/other.py": "one byte"}),
    Seed("backend-guessed", "a.b/config.pbtxt", also=("name-dotted",),
         files={"a.b/config.pbtxt": "=max_batch_size: 1", "a.b/1/x": "one byte"}),
    Seed("platform-unknown", T, 'backend: "pytorch"\nplatform: "pytorch_libtorch"',
         'platform: "torch"'),
    Seed("backend-platform", T, 'platform: "pytorch_libtorch"',
         'platform: "onnxruntime_onnx"'),
    Seed("backend-gone", T, 'backend: "pytorch"\nplatform: "pytorch_libtorch"',
         'backend: "tensorflow"\nplatform: "tensorflow_savedmodel"'),
    Seed("field-newer", P, new="model_metrics { }", at="model_metrics"),
    Seed("enum-unknown", E, "data_type: TYPE_FP16", "data_type: 99",
         also=("manifest-tensor",)),
    Seed("config-missing", "onnx", files={X: None}),
    Seed("targets-differ", "torch/configs/cpu.pbtxt", at='name: "other"',
         files={"torch/configs/cpu.pbtxt": '=backend: "pytorch"\n'
                'input [ { name: "other" data_type: TYPE_FP32 dims: [ 3 ] } ]\n'}),
    # Folders and files
    Seed("version-missing", "torch", files={"torch/1": "-"}),
    Seed("version-leading-zero", "torch/01", files={"torch/1": "> torch/01"}),
    Seed("version-name", "torch/v2", files={"torch/v2/model.pt": "empty"}),
    Seed("model-file-missing", P, at='backend: "python"', files={"plain/1/model.py": None}),
    Seed("model-file-empty", "plain/1/model.py", files={"plain/1/model.py": "empty"}),
    Seed("model-file-folder", "plain/1/model.py",
         files={"plain/1/model.py": None, "plain/1/model.py/model.py": "one byte"}),
    Seed("model-file-wrong", "onnx/1/model.onnx", files={"onnx/1/model.onnx": "one byte"}),
    Seed("weights-missing", "onnx/1/model.onnx",
         files={"onnx/1/model.onnx": "onnx with weights outside"}),
    Seed("file-unreadable", "torch/notes.txt", files={"torch/notes.txt": "@nowhere"}),
    Seed("leftover", "torch/.unfinished-x", files={"torch/.unfinished-x/model.pt": "empty"}),
    Seed("editor-file", "torch/.config.pbtxt.swp", files={"torch/.config.pbtxt.swp": "one byte"}),
    Seed("pickle-file", "plain/1/data.pkl", files={"plain/1/data.pkl": "pickle"}),
    Seed("pytorch-file", "torch/1/model.pt", files={"torch/1/model.pt": "checkpoint"}),
    Seed("label-file-missing", P, "labels.txt", "names.txt"),
    Seed("label-count", P, at="label_filename", files={"plain/labels.txt": "=red\ngreen"}),
    Seed("capability-file-missing", E, at="cc_model_filenames",
         files={"engine/1/sm86.plan": None}),
    Seed("capability", E, '"8.6"', '"sm_86"'),
    # Inputs and outputs
    Seed("tensor-name-missing", P, 'name: "scores"', "", at="  {\n    \n",
         also=("batch-target",)),
    Seed("tensor-type-missing", P, "data_type: TYPE_INT32", "", at='  {\n    name: "mask"',
         also=("warmup-type",)),
    Seed("tensor-dims-missing", "first/config.pbtxt", "TYPE_STRING dims: [ 1 ]", "TYPE_STRING"),
    Seed("tensor-dims", "first/config.pbtxt", "dims: [ -1 ]", "dims: [ 0 ]",
         also=("ensemble-shape",)),
    Seed("tensor-twice", "first/config.pbtxt", "{ name: \"length\"",
         '{ name: "ids" data_type: TYPE_INT64 dims: [ -1 ] },\n  { name: "length"',
         at='dims: [ -1 ] },\n  { name: "length"'),
    Seed("reshape-empty", T, "dims: [ 3 ]", "dims: [ 1 ] reshape { }"),
    Seed("reshape-dims", P, "shape: [ 3, 16 ]", "shape: [ 0, 16 ]"),
    Seed("reshape-size", P, "shape: [ 3, 16 ]", "shape: [ 3, 15 ]"),
    Seed("format-dims", P, "    dims: [ 3, 4, 4 ]\n    reshape", "    dims: [ 48 ]\n    reshape",
         at="format", also=("warmup-shape",)),
    Seed("shape-tensor", X, "dims: [ 3 ]", "dims: [ 3 ]\n    is_shape_tensor: true",
         at="is_shape_tensor"),
    Seed("non-linear-format", E, "dims: [ 8, 2, 2 ]", "dims: [ 8, 4 ]",
         at="is_non_linear", also=("manifest-tensor",)),
    Seed("tensor-type-backend", E, "TYPE_FP32", "TYPE_FP64", also=("manifest-tensor",)),
    Seed("ragged-without-batcher", "first/config.pbtxt", "dims: [ 1 ] }",
         "dims: [ 1 ] allow_ragged_batch: true }"),
    Seed("batch-source", P, 'source_input: "mask"', 'source_input: "task"', at="  {\n    kind"),
    Seed("batch-input-type", P, '"count"\n    data_type: TYPE_INT32',
         '"count"\n    data_type: TYPE_INT64', at="TYPE_INT64"),
    Seed("batch-target", P, 'target_name: "scores"', 'target_name: "answers"',
         at="  {\n    kind: BATCH_SCATTER"),
    # Config against model file and manifest
    Seed("graph-name", X, 'name: "y"', 'name: "z"'),
    Seed("graph-input-missing", X, '"x"', '"w"', at="input [", also=("graph-name",)),
    Seed("graph-type", I_, "TYPE_FP32", "TYPE_FP16"),
    Seed("graph-dims", X, "dims: [ 3 ]", "dims: [ 4 ]"),
    Seed("graph-batch", X, at="max_batch_size", files={"onnx/1/model.onnx": "onnx of batch 1"}),
    Seed("profile-batch", E, at="max_batch_size",
         files={"engine/1/manifest.json": "manifest for batch 4"}),
    Seed("manifest-tensor", E, "data_type: TYPE_FP32", "data_type: TYPE_INT32",
         at="  {\n    name: \"b\""),
    Seed("manifest", "engine/1/manifest.json",
         files={"engine/1/manifest.json": "manifest of another"}),
    Seed("artifact", "engine/1/manifest.json",
         files={"engine/1/manifest.json": "manifest of larger file"}),
    # Batching, queues, caches
    Seed("batch-negative", T, "max_batch_size: 0", "max_batch_size: -1"),
    Seed("batcher-without-batch", T, new="dynamic_batching { }",
         at="dynamic_batching"),
    Seed("preferred-size", P, "[ 2, 4 ]", "[ 0, 4 ]"),
    Seed("preferred-size-above-max", P, "[ 2, 4 ]", "[ 2, 9 ]"),
    Seed("preferred-size-twice", P, "[ 2, 4 ]", "[ 4, 4 ]"),
    Seed("priority-default", P, "default_priority_level: 2", "default_priority_level: 3"),
    Seed("priority-policy", P, "key: 1\n", "key: 3\n", at="priority_queue_policy"),
    Seed("priority-ignored", P, "  priority_levels: 2\n", "", at="default_priority_level",
         also=("priority-policy",)),
    Seed("ordering-priority", P, "  priority_levels",
         "  preserve_ordering: true\n  priority_levels", at="preserve_ordering",
         also=("ordering-delay",)),
    Seed("ordering-delay", P, "  priority_levels: 2\n  default_priority_level: 2",
         "  preserve_ordering: true\n  priority_levels: 1\n  default_priority_level: 1",
         at="timeout_action"),
    Seed("timeout-override-ignored", P, "default_timeout_microseconds: 9000", "",
         at="allow_timeout_override", also=("timeout-action-ignored",)),
    Seed("timeout-action-ignored", P, "    default_timeout_microseconds: 9000\n"
         "    allow_timeout_override: true\n", "", at="timeout_action"),
    Seed("queue-delay-above-slo", P, "max_queue_delay_microseconds: 500",
         "max_queue_delay_microseconds: 50000"),
    Seed("response-cache", S, new="response_cache { enable: true }", at="response_cache"),
    Seed("metric-family", P, new="model_metrics { metric_control [ {\n"
         "histogram_options { buckets: [ 1, 2 ] } } ] }",
         at="model_metrics", also=("field-newer",)),
    Seed("metric-buckets", P, new="model_metrics { metric_control [ {\n"
         'metric_identifier { family: "a" } histogram_options { buckets: [ 2, 1 ] } } ] }',
         at="model_metrics", also=("field-newer",)),
    Seed("agent-name", P, 'name: "checksum"', "", at="agents"),
    Seed("agent-none", P, 'agents [ { name: "checksum" } ]', "", at="model_repository_agents"),
    Seed("agent-unknown", P, '"checksum"', '"decrypt"'),
    # Instances and threads
    Seed("instance-gpus", P, "count: 2\n    kind: KIND_CPU", "kind: KIND_CPU\n    gpus: [ 0 ]",
         at="gpus"),
    Seed("instance-auto-gpus", E, "kind: KIND_GPU\n", "", at="gpus"),
    Seed("instance-count", P, "count: 2\n", "count: -2\n"),
    Seed("tensorrt-on-cpu", E, "kind: KIND_GPU\n    gpus: [ 0 ]", "kind: KIND_CPU"),
    Seed("instance-profile", E, '"0"', '"first"'),
    Seed("instance-name", P, '"more"', '"some"', at='"some"\n    count: 1'),
    Seed("resource-scope", P, '{ name: "slot" count: 1 }', '{ name: "slot" count: 1 global: true }',
         at='name: "slot" count: 1 }'),
    Seed("secondary-device", P, "count: 2\n",
         "count: 2\n    secondary_devices [ { kind: KIND_NVDLA } ]\n", at="secondary_devices"),
    Seed("thread-number", X, '"2"', '"two"', at="parameters"),
    Seed("cores", I_, '"4"', '"5"', at="parameters"),
    # Optimisation and parameters
    Seed("tensorrt-only", X, "optimization {", "optimization {\n  eager_batching: true",
         at="eager_batching"),
    Seed("cuda-graph-batch", E, "batch_size: 8 }", "batch_size: 9 }"),
    Seed("cuda-graph-bound", E, "{ batch_size: 8 }",
         "{ batch_size: 8 graph_lower_bound { batch_size: 4 } }"),
    Seed("cuda-graph-shape-tensor", E, "dims: [ 2 ]", "dims: [ 2 ] is_shape_tensor: true",
         at="graphs: true"),
    Seed("accelerator", X, '"openvino"', '"dnnl"'),
    Seed("graph-level", X, "level: 1", "level: 2"),
    Seed("parameter-value", E, '"STATIC"', '""', at="parameters", also=("tensorrt-allocation",)),
    Seed("tensorrt-allocation", E, '"STATIC"', '"DYNAMIC"', at="parameters"),
    Seed("execution-environment", P, "environment.tar.gz", "python.tar.gz", at="parameters"),
    # Warm-up
    Seed("warmup-batch-size", P, "batch_size: 1\n", "batch_size: 9\n"),
    Seed("warmup-skipped", P, "    batch_size: 1\n", "", at='  {\n    name: "zeros"'),
    Seed("warmup-dims", "first/config.pbtxt", at="dims: [ -1 ] z", new='model_warmup [ {\n'
         '  name: "w" batch_size: 1 inputs { key: "text"\n'
         "  value { data_type: TYPE_STRING dims: [ -1 ] zero_data: true } } } ]"),
    Seed("warmup-shape", P, "        dims: [ 3, 4, 4 ]", "        dims: [ 3, 4, 5 ]"),
    Seed("warmup-type", P, "        data_type: TYPE_FP32", "        data_type: TYPE_FP16"),
    Seed("warmup-data", P, "        zero_data: true\n", "", at='inputs {\n      key: "image"'),
    Seed("warmup-file-missing", P, 'data_file: "mask"', 'data_file: "task"'),
    Seed("warmup-file-bytes", P, at="input_data_file", files={"plain/warmup/mask": "one byte"}),
    Seed("warmup-input-unknown", T, at="inputs", new='model_warmup [ {\n'
         '  name: "w" batch_size: 1\n  inputs { key: "other" value { data_type: TYPE_FP32'
         ' dims: [ 3 ] zero_data: true } } } ]', also=("warmup-input-missing",)),
    Seed("warmup-input-missing", T, at="model_warmup",
         new='model_warmup [ { name: "w" batch_size: 1 } ]'),
    Seed("warmup-empty", "bare/config.pbtxt", at='{ name: "w"',
         files={"bare/1/model.py": "one byte",
         "bare/config.pbtxt": '=backend: "python" max_batch_size: 1\n'
         'output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]\n'
         'model_warmup [\n  { name: "w" batch_size: 1 } ]'}),
    Seed("warmup-random-integers", P, 'input_data_file: "mask"', "random_data: true",
         at='inputs {\n      key: "mask"'),
    # Sequences
    Seed("control-name", S, '"ID"', '"START"', at='{\n      name: "START"\n      control [\n'
         "        {\n          kind: CONTROL_SEQUENCE_CORRID"),
    Seed("control-kind", S, "kind: CONTROL_SEQUENCE_CORRID\n          data_type: TYPE_UINT64",
         "kind: CONTROL_SEQUENCE_START\n          fp32_false_true: [ 0, 1 ]",
         at="{\n          kind: CONTROL_SEQUENCE_START\n          fp32"),
    Seed("control-values", S, "[ 0, 1 ]", "[ 0, 1, 2 ]"),
    Seed("control-correlation", S, "TYPE_UINT64", "TYPE_FP32",
         at="{\n          kind: CONTROL_SEQUENCE_CORRID"),
    Seed("slot-utilization", S, "0.5", "1.5"),
    Seed("sequence-delay-ignored", S, "    minimum_slot_utilization: 0.5\n", "",
         at="max_queue_delay"),
    Seed("sequence-candidates", S, "direct {\n    max_queue_delay_microseconds: 100\n"
         "    minimum_slot_utilization: 0.5", "oldest {", at="oldest"),
    Seed("sequence-idle", S, "  max_sequence_idle_microseconds: 5000000\n", "",
         at="sequence_batching"),
    Seed("state-name", S, 'output_name: "next_state"\n', "", at='{\n      input_name: "state"'),
    Seed("state-type", S, 'next_state"\n      data_type: TYPE_FP32', 'next_state"',
         at='{\n      input_name: "state"', also=("state-initial",)),
    Seed("state-start", S, "initial_state [", "# [",
         at='{\n      input_name: "state"', edits=(
             (S, '        {\n          name: "start"\n          data_type: TYPE_FP32\n'
              '          dims: [ 2, 4 ]\n          data_file: "start"\n        }\n      ]\n',
              ""),)),
    Seed("state-initial", S, '          name: "start"\n', "",
         at="{\n          data_type: TYPE_FP32"),
    Seed("state-file-missing", S, 'data_file: "start"', 'data_file: "begin"'),
    Seed("state-file-bytes", S, at="data_file", files={"stream/initial_state/start": "one byte"}),
    Seed("state-growable", S, "      use_same_buffer_for_input_output: true\n", "",
         at="use_growable_memory"),
    # Ensembles
    Seed("ensemble-platform", W, 'platform: "ensemble"', 'platform: "ensemble"\nbackend: "python"',
         at="backend", also=("model-file-missing",)),
    Seed("ensemble-field", W, new="instance_group [ { } ]", at="instance_group"),
    Seed("ensemble-step", W, '      model_name: "first"\n', "",
         at="    {\n      model_version"),
    Seed("ensemble-written-twice", W, 'value: "length" }\n    },', 'value: "ids" }\n    },',
         at='output_map { key: "length"', also=("ensemble-unwritten", "ensemble-shape")),
    Seed("ensemble-input-unused", W, 'input [ {',
         'input [ { name: "more" data_type: TYPE_FP32 dims: [ 1 ] },\n{',
         at='name: "more"'),
    Seed("ensemble-loop", W, 'value: "text" }', 'value: "vector" }',
         at="{\n      model_name: \"first\"",
         also=("ensemble-input-unused", "ensemble-type", "ensemble-shape")),
    Seed("ensemble-unwritten", W, '  { name: "vector"',
         '  { name: "more" data_type: TYPE_FP32 dims: [ 1 ] },\n  { name: "vector"',
         at='name: "more"'),
    Seed("ensemble-unused", W, UNDEAD, "", at='output_map { key: "length"',
         also=("ensemble-unmapped",)),
    Seed("ensemble-model-unknown", W, '"first"', '"third"'),
    Seed("model-loop", W, 'model_name: "first"', 'model_name: "whole"', at='name: "whole"',
         also=("ensemble-map-key", "ensemble-unmapped")),
    Seed("ensemble-version", W, "model_version: -1", "model_version: 2"),
    Seed("ensemble-map-key", W, 'output_map { key: "vector"', 'output_map { key: "vektor"'),
    Seed("ensemble-unmapped", W, at='{\n      model_name: "second"', edits=(
        ("second/config.pbtxt", '{ name: "ids"',
         '{ name: "mask" data_type: TYPE_INT64 dims: [ -1 ] },\n  { name: "ids"'),)),
    Seed("ensemble-type", W, "TYPE_FP32", "TYPE_FP16", at='output_map { key: "vector"'),
    Seed("ensemble-shape", W, "dims: [ 16 ]", "dims: [ 17 ]", at='output_map { key: "vector"'),
    Seed("ensemble-batch", W, "max_batch_size: 8", "max_batch_size: 9"),
    Seed("ensemble-decoupled", W, '    {\n      model_name: "second"', MIXED,
         at='    {\n      model_name: "second"',
         edits=((W, UNDEAD, 'input_map { key: "length" value: "more" }'),
                (W, '      output_map { key: "length" value: "length" }\n', ""),
                ("first/config.pbtxt", "max_batch",
                 "model_transaction_policy { decoupled: true }\nmax_batch")),
         files={"other/config.pbtxt": f"={OTHER}", "other/1/model.py": "one byte"}),
    # Versions and recipes
    Seed("version-unknown", P, "[ 1 ] } }", "[ 1, 7 ] } }"),
    Seed("version-none", P, "versions: [ 1 ]", "", at="version_policy"),
    Seed("recipe", "plain/recipe.toml", "max_drop = 0.02", "max_drop = 2"),
    Seed("recipe-file-missing", "plain/recipe.toml", '"source.py:load"', '"sources.py:load"'),
    Seed("recipe-call-unknown", "caller/recipe.toml", at='calls = ["nobody"]', files={
        "caller/recipe.toml": '=[source]\npython = "model.py"\ncalls = ["nobody"]\n'
        '[input.a]\ndtype = "float32"\nshape = [1]\n[output.b]\ndtype = "float32"\nshape = [1]\n'
        '[slo]\np99_ms = 5\n[targets]\norder = ["cpu"]\nmax_batch_size = 1\n',
        "caller/model.py": "one byte"}),
)  # fmt: skip
