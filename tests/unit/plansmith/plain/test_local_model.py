"""A trained model in this process answers rows, batches and sequences as a server would."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from plansmith.plain.local_model import Feed, LocalModel, open_runner
from plansmith.recipe import AsTrained, Input, Output, PlainRecipe, Source
from plansmith.recipe.serving_words import Control, SequenceBatching, State
from plansmith.tensors import TensorSpec
from plansmith_client import SequenceStep


def spec(name: str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=(1,))


def counting() -> LocalModel:
    """sum = x + total, which is the next total; told notes what the controls were."""

    def run(feed: Feed) -> dict[str, Any]:
        total = feed["x"] + feed["total"]
        told = np.concatenate([feed["start"], feed["end"], feed["who"]], axis=1)
        return {"sum": total, "next": total, "told": told}

    recipe = PlainRecipe(
        model=AsTrained(source=Source(kind="onnx", location="m.onnx"), backend="onnxruntime"),
        inputs=tuple(
            Input(spec=spec(name), preprocess=None)
            for name in ("x", "total", "start", "end", "who")
        ),
        outputs=tuple(Output(spec=spec(name), labels=None) for name in ("sum", "told", "next")),
        p99_ms=1,
        max_batch_size=2,
        sequence=SequenceBatching(
            strategy="direct",
            max_idle_us=1,
            states=(State(input="total", output="next", spec=spec("total")),),
            controls=(
                Control(kind="start", input="start", dtype="int32"),
                Control(kind="end", input="end", dtype="int32"),
                Control(kind="corrid", input="who", dtype="int32"),
            ),
        ),
    )
    return LocalModel(runner=run, recipe=recipe)


def step(model: LocalModel, value: float, who: int, **flags: bool) -> dict[str, Any]:
    x = np.array([[value]], np.float32)
    return model.infer({"x": x}, sequence=SequenceStep(id=who, **flags))


def test_interleaved_sequences_keep_their_own_state() -> None:
    model = counting()
    sums = [
        step(model, value, who, start=start)["sum"].item()
        for value, who, start in (
            (1, 1, True),
            (10, 2, True),
            (2, 1, False),
            (20, 2, False),
            (3, 1, False),
        )
    ]
    assert sums == [1, 10, 3, 30, 6]


def test_a_start_begins_again_with_zeros() -> None:
    model = counting()
    step(model, 5, 1, start=True)
    assert step(model, 1, 1, start=True)["sum"].item() == 1


def test_controls_are_filled_and_states_are_not_answered() -> None:
    model = counting()
    answer = step(model, 1, 9, start=True, end=True)
    assert set(answer) == {"sum", "told"}
    assert answer["told"].tolist() == [[1, 1, 9]]


def test_onnx_runtime_gets_texts_as_bytes_and_gives_them_back(tmp_path: Any) -> None:
    values = [
        helper.make_tensor_value_info(name, TensorProto.STRING, ["n", 1]) for name in ("a", "b")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])], "text", values[:1], values[1:]
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "model.onnx")
    texts = np.array([["ä".encode()], [b"b"]], object)
    answer = open_runner("onnxruntime", tmp_path)({"a": texts})
    assert answer["b"].tolist() == texts.tolist()
