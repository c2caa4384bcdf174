"""Models of Triton's Python backend, made in a repository: they give back what they get."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SLOW_S = 3.0
CONFIG_NAME = "cpu"
# Triton's names of datatypes, and NumPy's.
DTYPES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}

# Each input comes back as the output of the same name with "_out" behind it.
_MODEL = """
import json, os, signal, time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.names = [one["name"] for one in json.loads(args["model_config"])["input"]]

    def execute(self, requests):
        {before_batch}
        return [self.answer(request) for request in requests]

    def answer(self, request):
        {before}
        return pb_utils.InferenceResponse([
            pb_utils.Tensor(
                name + "_out", pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            )
            for name in self.names
        ])
"""
# What a model may do before it answers. SLEEP ends early when cancelled, and leaves a file to tell
# that it was; KILL, which runs in a child of the server, sleeps first so that it is in flight.
SLEEP = f"""
        end = time.monotonic() + {SLOW_S}
        while time.monotonic() < end:
            time.sleep(0.01)
            if request.is_cancelled():
                open(os.path.join(os.path.dirname(__file__), "cancelled"), "w").close()
                break
"""
STUCK = """time.sleep(600)"""
FAIL = """raise ValueError("out of cheese")"""
KILL = """
        time.sleep(0.3)
        os.kill(os.getppid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Tensor:
    """One input of a model, by Triton's name of its datatype; `dims` without the batch axis."""

    name: str
    datatype: str
    dims: str


def write_model(
    repository: Path,
    name: str,
    inputs: list[Tensor],
    *,
    max_batch_size: int = 4,
    before: str = "pass",
    before_batch: str = "pass",
    labels: tuple[str, ...] = (),
    settings: str = "",
) -> None:
    """A version of the model `name`, and its config for the target `cpu`.

    `before`: what it does for each request; `before_batch`: for all that the server gives it at
    once. `settings` are more lines of its config.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "configs").mkdir()
    (folder / "1" / "model.py").write_text(_MODEL.format(before=before, before_batch=before_batch))
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (folder / "configs" / f"{CONFIG_NAME}.pbtxt").write_text(
        f'name: "{name}" backend: "python" max_batch_size: {max_batch_size}\n'
        + _entries("input", inputs)
        + _entries("output", inputs, "_out", 'label_filename: "labels.txt"' if labels else "")
        + settings
    )


def _entries(field: str, tensors: list[Tensor], suffix: str = "", more: str = "") -> str:
    entries = (
        f'{{ name: "{one.name}{suffix}" data_type: TYPE_{one.datatype} dims: [{one.dims}] {more} }}'
        for one in tensors
    )
    return f"{field} [{', '.join(entries)}]\n"
