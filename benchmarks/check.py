"""What `plansmith check` costs: a repository of many models, checked again and again.

    .venv/bin/python benchmarks/check.py [--models 40] [--rounds 10] [--json]

Each round is a process of its own, as a person starts it; the repository is written once, half of
its models ONNX with a few hundred nodes, the rest Python models and ensembles of two steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from onnx import TensorProto, helper

NODES = 300
TENSORS = """\
max_batch_size: 8
input [ {{ name: "{0}" data_type: TYPE_FP32 dims: [ 64 ] }} ]
output [ {{ name: "{1}" data_type: TYPE_FP32 dims: [ 64 ] }} ]
"""
SERVED = """\
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching {
  max_queue_delay_microseconds: 500
  default_queue_policy { default_timeout_microseconds: 20000 max_queue_size: 64 }
}
model_warmup [
  {
    name: "one"
    batch_size: 1
    inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 64 ] zero_data: true } }
  }
]
"""
STEP = (
    '{{ model_name: "{}" model_version: -1 input_map {{ key: "x" value: "{}" }} '
    'output_map {{ key: "y" value: "{}" }} }}'
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Wall time of one `plansmith check`, interpreter and imports included."""

    models: int
    rounds: int
    median_s: float
    min_s: float
    max_s: float


def main() -> int:
    """Prints one line, or JSON; 1 where the repository is not found clean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_repository(Path(folder), arguments.models)
        times = [_check(Path(folder)) for _ in range(arguments.rounds)]
    if None in times:
        return 1
    taken = sorted(one for one in times if one is not None)
    result = Result(
        models=arguments.models,
        rounds=len(taken),
        median_s=statistics.median(taken),
        min_s=taken[0],
        max_s=taken[-1],
    )
    if arguments.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        spread = f"{result.min_s:.2f} to {result.max_s:.2f} s in {result.rounds} rounds"
        print(f"{result.models} models: {result.median_s:.2f} s (median; {spread})")
    return 0


def _check(repository: Path) -> float | None:
    start = time.perf_counter()
    command = [sys.executable, "-m", "plansmith", "check", "--cores=64", str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        print(f"{done.stdout}{done.stderr}", file=sys.stderr)
        return None
    return taken


def write_repository(root: Path, models: int) -> None:
    """`models` models without a fault."""
    model = _onnx()
    for number in range(models):
        folder = root / f"model_{number:03}"
        (folder / "1").mkdir(parents=True)
        (folder / "configs").mkdir()
        if number % 2 == 0:
            (folder / "1" / "model.onnx").write_bytes(model)
            text = 'backend: "onnxruntime"\n' + TENSORS.format("x", "y") + SERVED
        elif number % 4 == 1:
            (folder / "1" / "model.py").write_text("pass\n")
            text = 'backend: "python"\n' + TENSORS.format("x", "y") + SERVED
        else:
            steps = [
                STEP.format(f"model_{number - 3:03}", "x", "between"),
                STEP.format(f"model_{number - 1:03}", "between", "y"),
            ]
            text = 'platform: "ensemble"\n' + TENSORS.format("x", "y")
            text += f"ensemble_scheduling {{ step [ {', '.join(steps)} ] }}\n"
        for name in ("config.pbtxt", "configs/cpu.pbtxt"):
            (folder / name).write_text(text)


def _onnx() -> bytes:
    names = ["x", *(f"t{number}" for number in range(NODES - 1)), "y"]
    nodes = [helper.make_node("Relu", [one], [other]) for one, other in pairwise(names)]
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 64]) for name in "xy"
    ]
    graph = helper.make_graph(nodes, "chain", shapes[:1], shapes[1:])
    return helper.make_model(graph).SerializeToString()


if __name__ == "__main__":
    sys.exit(main())
