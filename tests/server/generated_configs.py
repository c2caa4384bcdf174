"""Configs for Hypothesis to draw: mostly right, now and then with a mistake or two.

The first of all choices is the right and simple one, so that what fails shrinks to little more
than what is wrong with it.
"""

from __future__ import annotations

from hypothesis import strategies as st

# What an ensemble's steps call: from `a` to `y`, each two numbers a row, 4 rows at most.
STEP = "plain"
STEP_CONFIG = """backend: "python"
max_batch_size: 4
input [ { name: "a" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""
# Of the rate limiter; no other word of a config is this one.
RESOURCE = "shared"
# One mistake in a config says more than five: of so many choices of a kind one is wrong.
RIGHT = 49


@st.composite
def configs(draw: st.DrawFn) -> str:
    """The config of a Python model, which may be spoilt."""
    return _spoilt(draw, _Model(draw).config())


@st.composite
def ensembles(draw: st.DrawFn) -> str:
    """The config of an ensemble of two steps, both STEP, which may be spoilt."""
    return _spoilt(draw, _Ensemble(draw).config())


def _spoilt(draw: st.DrawFn, text: str) -> str:
    """`text`, now and then with a letter of it gone, doubled or another.

    The first line stays: a misspelt backend is one that is not installed, which nobody can see.
    """
    if draw(st.integers(0, 9)) < 9:
        return text
    place = draw(st.integers(text.index("\n"), len(text) - 1))
    new = draw(st.sampled_from(["", text[place] * 2, *"{}[]:0a#"]))
    return text[:place] + new + text[place + 1 :]


class _Choice:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def _one(self, *choices: object) -> str:
        """One of `choices`, made where it is a function."""
        chosen = self._draw(st.sampled_from(choices))
        return str(chosen()) if callable(chosen) else str(chosen)

    def _rare(self, right: str, *wrong: str) -> str:
        """`right`, and one of `wrong` now and then."""
        return self._draw(st.sampled_from((right,) * (RIGHT * len(wrong)) + wrong))

    def _some(self, letters: str) -> list[str]:
        """Most of `letters`."""
        return [one for one in letters if self._draw(st.integers(0, 4)) < 4]

    def _dims(self, right: str = "[ 2 ]") -> str:
        return self._rare(right, "[ 1 ]", "[ -1 ]", "[ 3, 4, 2 ]", "[ 2, 0 ]", "[ ]")


class _Model(_Choice):
    def config(self) -> str:
        inputs = self._some("ab")
        pieces = [
            self._rare('backend: "python"', "", 'platform: "tensorrt_plan"'),
            self._rare("", 'platform: "onnxruntime_onnx"', 'name: "other"'),
            f"max_batch_size: {self._rare(self._one('1', '4', '8'), '0', '-1')}",
            *(self._input(name) for name in inputs),
            *(self._output(name) for name in self._some("yz")),
            self._one("", self._dynamic, self._dynamic, self._sequence, self._oldest),
            self._one("", lambda: self._warm_up(inputs)),
            self._one("", "", self._instances),
            self._one("", "", self._versions),
            self._one("", "", "", self._optimization),
            self._one("", "", "", self._batch_input),
            self._one("", "", "", self._batch_output),
            self._one("", "", "", self._files),
            self._one("", "", "", "model_transaction_policy { decoupled: true }"),
            self._rare("", "response_cache { enable: true }"),
            self._rare("", "model_repository_agents { }", "model_metrics { }"),
        ]
        return "\n".join(filter(None, pieces)) + "\n"

    def _input(self, name: str) -> str:
        flag = self._one("", "", "allow_ragged_batch: true", "optional: true")
        return self._tensor("input", name, self._rare(flag, "format: FORMAT_NHWC"))

    def _output(self, name: str) -> str:
        wrong = ("is_shape_tensor: true", 'label_filename: "missing"')
        return self._tensor("output", name, self._rare("", *wrong))

    def _tensor(self, side: str, name: str, more: str) -> str:
        kind = self._rare("TYPE_FP32", "TYPE_INT64", "TYPE_STRING", "TYPE_INVALID")
        dims = self._dims()
        shape = self._one("", "", "reshape { shape: [ 2, 1 ] }") if dims == "[ 2 ]" else ""
        wrong = ("reshape { }", "reshape { shape: [ -1, 4 ] }", "reshape { shape: [ 0 ] }")
        said = self._rare(f'name: "{name}"', "")
        shape = self._rare(shape, *wrong)
        return f"{side} [ {{ {said} data_type: {kind} dims: {dims} {shape} {more} }} ]"

    def _dynamic(self) -> str:
        level, key = self._rare("2", "0", "3"), self._rare("2", "0", "4")
        sizes = self._rare(self._one("", "preferred_batch_size: [ 1 ]"), "preferred_batch_size: 9")
        policy = self._one("", "default_timeout_microseconds: 9", "timeout_action: DELAY")
        parts = [
            sizes,
            self._one("", "max_queue_delay_microseconds: 100"),
            self._one("", f"priority_levels: 2 default_priority_level: {level}"),
            self._one("", "", "preserve_ordering: true"),
            f"default_queue_policy {{ {policy} {self._one('', 'allow_timeout_override: true')} }}"
            if policy
            else "",
            self._one("", f"priority_queue_policy {{ key: {key} value {{ max_queue_size: 1 }} }}"),
        ]
        return f"dynamic_batching {{ {' '.join(parts)} }}"

    def _sequence(self) -> str:
        share = self._rare(self._one("0", "0.5"), "2", "-1")
        return (
            f"sequence_batching {{ direct {{ minimum_slot_utilization: {share} }} "
            f"{self._control()} {self._state()} }}"
        )

    def _oldest(self) -> str:
        sizes = self._rare("preferred_batch_size: [ 1 ]", "preferred_batch_size: [ 0, 9 ]")
        count = self._rare("4", "0", "-1")
        oldest = f"oldest {{ max_candidate_sequences: {count} {sizes} }}"
        return f"sequence_batching {{ {oldest} {self._one('', self._control)} }}"

    def _control(self) -> str:
        kind = self._one("START", "END", "READY", "CORRID")
        right = "data_type: TYPE_UINT64" if kind == "CORRID" else "int32_false_true: [ 0, 1 ]"
        values = self._rare(right, "fp32_false_true: [ 0 ]", "data_type: TYPE_FP16", "")
        name = self._rare('name: "control"', "")
        control = f"control [ {{ kind: CONTROL_SEQUENCE_{kind} {values} }} ]"
        return f"control_input [ {{ {name} {self._rare(control, '')} }} ]"

    def _state(self) -> str:
        name = self._rare('name: "start"', "")
        kind = self._rare("TYPE_FP32", "TYPE_INT8")
        data = self._rare("zero_data: true", 'data_file: "missing"', "")
        start = f"initial_state [ {{ {name} data_type: {kind} dims: {self._dims()} {data} }} ]"
        return (
            'state [ { input_name: "s" output_name: "t" data_type: TYPE_FP32 dims: [ 2 ] '
            f"{self._one('', start)} }} ]"
        )

    def _warm_up(self, inputs: list[str]) -> str:
        data = self._one("zero_data: true", "random_data: true")
        data = self._rare(data, 'input_data_file: "missing"', "")
        kind = self._rare("TYPE_FP32", "TYPE_INT64", "TYPE_INVALID")
        value = f"value {{ data_type: {kind} dims: {self._dims()} {data} }}"
        keys = inputs[1:] if self._rare("", "fewer") else inputs
        keys = keys + (["more"] if self._rare("", "more") else [])
        told = " ".join(f'inputs {{ key: "{key}" {value} }}' for key in keys)
        return f'model_warmup [ {{ name: "w" batch_size: {self._rare("1", "0", "9")} {told} }} ]'

    def _instances(self) -> str:
        kind = self._one("KIND_CPU", "KIND_MODEL", "KIND_AUTO")
        gpus = ('profile: "0"', *(() if kind == "KIND_AUTO" else ("gpus: [ 0 ]",)))
        more = self._rare(self._one("", "count: 2", "count: -3"), *gpus)
        ours, count = self._one("", "global: true"), self._rare("1", "0")
        resource = f'{{ name: "{RESOURCE}" {ours} count: {count} }}'
        other = self._rare("", f', {{ name: "{RESOURCE}" global: true count: 1 }}')
        limits = f"rate_limiter {{ resources [ {resource} {other} ] priority: 2 }}"
        return f"instance_group [ {{ kind: {kind} {more} {self._one('', limits)} }} ]"

    def _versions(self) -> str:
        right = self._one("all { }", "latest { num_versions: 2 }", "specific { versions: [ 1 ] }")
        wrong = ("latest { num_versions: 0 }", "specific { versions: [ 5 ] }", "specific { }")
        return f"version_policy {{ {self._rare(right, *wrong)} }}"

    def _optimization(self) -> str:
        graph = f"graph_spec [ {{ batch_size: {self._one('1', '-1')} }} ]"
        inside = self._one(
            "priority: PRIORITY_MAX",
            "graph { level: 2 }",
            "eager_batching: true",
            "input_pinned_memory { enable: false }",
            f"cuda {{ graphs: true {self._one('', graph)} }}",
            'execution_accelerators { cpu_execution_accelerator [ { name: "openvino" } ] }',
        )
        return f"optimization {{ {inside} }}"

    def _batch_input(self) -> str:
        kinds = ("BATCH_ELEMENT_COUNT", "BATCH_ACCUMULATED_ELEMENT_COUNT", "BATCH_ITEM_SHAPE")
        target = self._rare('"n"', "", '"n", "m"')
        data_type = self._rare("TYPE_INT32", "TYPE_INT64", "TYPE_INVALID")
        source = self._rare('"a"', '"q"', '"a", "a"', "")
        return (
            f"batch_input [ {{ kind: {self._one(*kinds)} target_name: [ {target} ] "
            f"data_type: {data_type} source_input: [ {source} ] }} ]"
        )

    def _batch_output(self) -> str:
        source, target = self._rare("a", "q", "y"), self._rare("y", "q", "a")
        return (
            "batch_output [ { kind: BATCH_SCATTER_WITH_INPUT_SHAPE "
            f'target_name: [ "{target}" ] source_input: [ "{source}" ] }} ]'
        )

    def _files(self) -> str:
        # Not default_model_filename: of a file that is missing the load of 2.51 never ends.
        return self._one(
            'parameters { key: "k" value { string_value: "v" } }',
            'metric_tags { key: "k" value: "v" }',
            self._rare(
                'cc_model_filenames { key: "8.6" value: "model.py" }',
                'cc_model_filenames { key: "8.6" value: "missing" }',
            ),
        )


class _Ensemble(_Choice):
    def config(self) -> str:
        size = self._rare(self._one("4", "1", "0"), "8", "-1")
        kind = self._rare("TYPE_FP32", "TYPE_INT64")
        # Without batches of its own it says the batch axis that the steps' models have.
        dims = "[ -1, 2 ]" if size == "0" else "[ 2 ]"
        steps = [self._step(self._rare("in", "out", "none"), "between")]
        steps.append(self._step(self._rare("between", "in"), self._rare("out", "between", "more")))
        more = ("instance_group [ { kind: KIND_CPU } ]", 'backend: "python"', "optimization { }")
        pieces = [
            self._rare('platform: "ensemble"', ""),
            f"max_batch_size: {size}",
            f'input [ {{ name: "in" data_type: {kind} dims: {self._dims(dims)} }} ]',
            f'output [ {{ name: "out" data_type: TYPE_FP32 dims: {self._dims(dims)} }} ]',
            f"ensemble_scheduling {{ step [ {', '.join(self._steps(steps))} ] }}",
            self._rare("", *more, 'model_warmup [ { name: "w" } ]', "dynamic_batching { }"),
            self._rare("", "response_cache { enable: true }"),
        ]
        return "\n".join(filter(None, pieces)) + "\n"

    def _steps(self, steps: list[str]) -> list[str]:
        return {"": steps, "one": steps[1:], "none": []}[self._rare("", "one", "none")]

    def _step(self, source: str, target: str) -> str:
        model = self._rare(f'model_name: "{STEP}"', "", 'model_name: "nowhere"')
        version = self._one("model_version: -1", "model_version: 1")
        version = self._rare(version, "model_version: 5", "")
        read = self._rare(f'key: "a" value: "{source}"', "", 'key: "q" value: "in"')
        written = self._rare(f'key: "y" value: "{target}"', "", 'key: "q" value: "out"')
        maps = {"input_map": read, "output_map": written}
        told = " ".join(f"{name} {{ {what} }}" for name, what in maps.items() if what)
        return f"{{ {model} {version} {told} }}"
