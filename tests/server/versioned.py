"""A tiny model whose versions answer with their own number, published as a build does it."""

from __future__ import annotations

from pathlib import Path

from plansmith.manifest import SCHEMA, FileDigest, Machine, Manifest, TargetBuild, Trial
from plansmith.measure import spread, summarise
from plansmith.repository import CONFIG_FILE, ModelFolder, publish
from plansmith.tensors import TensorSpec

MODEL = "counter"
# Each of `answer`, `scale` and `delay_s` is read from a file of its own: a version that was half
# there would not load, or answer with what another version has.
CODE = """
import os, time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        here = os.path.join(args["model_repository"], args["model_version"])
        read = lambda name: open(os.path.join(here, name)).read()
        self.version, self.delay_s = float(read("answer")), float(read("delay_s"))
        assert read("weights") == read("answer") * 100_000
        if self.version < 0:
            raise RuntimeError("out of cheese")

    def execute(self, requests):
        time.sleep(self.delay_s)
        return [self.answer(pb_utils.get_input_tensor_by_name(one, "x").as_numpy())
                for one in requests]

    def answer(self, x):
        if self.version > 100 and (x % 3 == 0).any():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("out of cheese"))
        y = np.full_like(x, self.version)
        scores = np.eye(3, dtype=np.float32)[x.astype(int).ravel() % 3]
        return pb_utils.InferenceResponse([
            pb_utils.Tensor("y", y), pb_utils.Tensor("scores", scores * (2 if y[0] < 50 else -2))
        ])
"""


def publish_counter(
    repository: Path, answer: float | None = None, *, delay_s: float = 0.0, stage: bool = False
) -> int:
    """The next version, which answers `answer`, or else its number; its number.

    An answer below 0 does not load, one of 50 or more has other scores, and one above 100 fails on
    every third request.
    """
    folder = ModelFolder(path=repository / MODEL)
    folder.path.mkdir(parents=True, exist_ok=True)
    version = max(folder.versions(), default=0) + 1
    text = str(version if answer is None else answer)
    made = folder.path.parent.parent / "made"
    made.mkdir(exist_ok=True)
    files = {"model.py": CODE, "answer": text, "weights": text * 100_000, "delay_s": str(delay_s)}
    # The server's Python would keep bytecode in a folder of that name, which a version has not.
    files["__pycache__"] = ""
    for name, content in files.items():
        (made / name).write_text(content)
    artifacts = {name: made / name for name in files}
    return publish(folder, artifacts, manifest, configs, stage=stage).version


def configs(found: Manifest) -> dict[str, str]:
    text = (
        f'name: "{MODEL}" backend: "python" max_batch_size: 8\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }\n'
        'output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }\n'
        'output { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] }\n'
        f"version_policy {{ specific {{ versions: [ {found.version} ] }} }}\n"
    )
    return {"configs/cpu.pbtxt": text, CONFIG_FILE: text}


def manifest(version: int, artifacts: tuple[FileDigest, ...]) -> Manifest:
    trial = Trial(
        name="fp32-b1",
        form="fp32",
        runtime="Python",
        precision="fp32",
        batch_size=1,
        size_bytes=10,
        throughput=spread([100.0] * 5),
        latency=summarise(*[[5.0] * 2] * 5),
        fidelity=None,
        verdict="chosen",
        reason="the only one",
    )
    build = TargetBuild(
        target="cpu",
        build_key=f"key of {version}",
        created_utc="2026-11-24T09:12:44+00:00",
        machine=Machine(cpu="a CPU", cores=2, memory_bytes=2**33, system="Linux 6", features=()),
        tools={},
        artifacts=artifacts,
        passports=(),
        forms=(),
        trials=(trial,),
    )
    return Manifest(
        schema=SCHEMA,
        model=MODEL,
        version=version,
        created_utc="2026-11-24T09:12:44+00:00",
        inputs=(TensorSpec(name="x", dtype="float32", shape=(1,)),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(1,)),),
        sources=(),
        evaluation=None,
        calibration=None,
        budget=None,
        p99_ms=100.0,
        builds=(build,),
    )
