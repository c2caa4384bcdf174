"""Python models that keep state or answer by stream: running sums, a count-down, both at once."""

from __future__ import annotations

from pathlib import Path

from python_models import CONFIG_NAME

_SUM = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        def control(name):
            return pb_utils.get_input_tensor_by_name(request, name).as_numpy().item()

        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        key = control("CORRID")
        self.sums[key] = x if control("START") else self.sums[key] + x
        total = self.sums.pop(key) if control("END") else self.sums[key]
        return pb_utils.InferenceResponse([pb_utils.Tensor("sum", total)])
"""
_COUNT = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            count = pb_utils.get_input_tensor_by_name(request, "count").as_numpy().item()
            for left in range(abs(count), 0, -1):
                output = pb_utils.Tensor("left", np.array([left], np.int64))
                sender.send(pb_utils.InferenceResponse([output]))
            if count < 0:
                error = pb_utils.TritonError("below zero")
                sender.send(pb_utils.InferenceResponse(error=error))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

# Negative values are answered and then fail.
_HISTORY = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.kept = {}

    def execute(self, requests):
        for request in requests:
            def value(name):
                return pb_utils.get_input_tensor_by_name(request, name).as_numpy().item()

            key = value("CORRID")
            kept = self.kept[key] = [] if value("START") else self.kept[key]
            kept.append(value("x"))
            sender = request.get_response_sender()
            for x in list(kept):
                output = pb_utils.Tensor("past", np.array([[x]], np.float32))
                sender.send(pb_utils.InferenceResponse([output]))
            if kept[-1] < 0:
                error = pb_utils.TritonError("below zero")
                sender.send(pb_utils.InferenceResponse(error=error))
            if value("END"):
                del self.kept[key]
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def write_sum(repository: Path, name: str) -> None:
    """`sum` FP32 [2]: of all `x` in the sequence so far; at most 4 sequences at a time."""
    _write(
        repository,
        name,
        _SUM,
        f"""
max_batch_size: 4
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ 2 ] }} ]
output [ {{ name: "sum" data_type: TYPE_FP32 dims: [ 2 ] }} ]
{_sequences()}
""",
    )


def write_history(repository: Path, name: str) -> None:
    """`past` FP32 [1]: each `x` of the sequence so far, an answer by itself."""
    _write(
        repository,
        name,
        _HISTORY,
        f"""
max_batch_size: 4
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ 1 ] }} ]
output [ {{ name: "past" data_type: TYPE_FP32 dims: [ 1 ] }} ]
model_transaction_policy {{ decoupled: true }}
{_sequences()}
""",
    )


def _sequences() -> str:
    def flag(kind: str) -> str:
        return (
            f'{{ name: "{kind}" control [ {{ kind: CONTROL_SEQUENCE_{kind}'
            " fp32_false_true: [ 0, 1 ] } ] }"
        )

    return f"""sequence_batching {{
  max_sequence_idle_microseconds: 30000000
  oldest {{ max_candidate_sequences: 32 }}
  control_input [
    {flag("START")}, {flag("END")},
    {{ name: "CORRID" control [ {{
      kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }} ] }}
  ]
}}"""


def write_count(repository: Path, name: str) -> None:
    """`left` INT64 [1]: `count`, and down to 1; below 0 the same, and an error at the end."""
    _write(
        repository,
        name,
        _COUNT,
        """
max_batch_size: 0
input [ { name: "count" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "left" data_type: TYPE_INT64 dims: [ 1 ] } ]
model_transaction_policy { decoupled: true }
""",
    )


def _write(repository: Path, name: str, code: str, config: str) -> None:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "configs").mkdir()
    (folder / "1" / "model.py").write_text(code)
    text = f'name: "{name}"\nbackend: "python"\n{config}'
    (folder / "configs" / f"{CONFIG_NAME}.pbtxt").write_text(text)
