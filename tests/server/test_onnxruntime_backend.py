"""What only the ONNX Runtime backend in Python has: texts, its files, weights as inputs, speech."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tritonclient.utils import InferenceServerException

from backend_models import (
    Arrays,
    Caller,
    Network,
    Value,
    batching,
    described,
    onnx_model,
    rows_of,
    write_model,
)
from real_server import Serve

BACKEND = "onnxruntime"
RATE_HZ = 16_000
STREAMS = 12
WINDOWS = 10
ECHO = Network(
    inputs=(Value("text", ("batch", 2), "STRING"),),
    outputs=(Value("echo", ("batch", 2), "STRING"), Value("rows", ("batch", 1), "INT64")),
    nodes=[
        helper.make_node("Identity", ["text"], ["echo"]),
        helper.make_node("Shape", ["text"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["size"], axis=0),
        helper.make_node("Expand", ["count", "size"], ["rows"]),
    ],
    constants={"first": np.array([0]), "one": np.array([1])},
)
LARGE = Network(
    inputs=(Value("x", ("batch", 1), "INT64"),),
    outputs=(Value("y", ("batch", 1), "INT64"),),
    nodes=[helper.make_node("Add", ["x", "one"], ["y"])],
    constants={"one": np.array([1])},
)
# y = x * factor, where the factor is a weight that a request may bring as well.
SCALED = Network(
    inputs=(Value("x", ("batch", 2)), Value("factor", ("rows", 2))),
    outputs=(Value("y", ("batch", 2)),),
    nodes=[helper.make_node("Mul", ["x", "factor"], ["y"])],
    constants={"factor": np.array([[3, 3]], np.float32)},
)
PRODUCT = Network(
    inputs=(Value("x", ("batch", 64)),),
    outputs=(Value("y", ("batch", 32)),),
    nodes=[helper.make_node("MatMul", ["x", "w"], ["y"])],
    constants={"w": rows_of(0, 64, 32)},
)
VAD_CONFIG = f"""
input [{{ name: "input" data_type: TYPE_FP32 dims: [1, 576] }}]
output [{{ name: "output" data_type: TYPE_FP32 dims: [1, 1] }}]
sequence_batching {{
  max_sequence_idle_microseconds: 60000000
  oldest {{ max_candidate_sequences: {STREAMS} }}
  state [{{ input_name: "state" output_name: "stateN" data_type: TYPE_FP32 dims: [2, 1, 128] }}]
}}
"""


def vad_model() -> onnx.ModelProto:
    """silero-vad of its package, its sampling rate a constant: a scalar is no input for Triton."""
    spec = find_spec("silero_vad")
    assert spec is not None
    assert spec.origin is not None
    model = onnx.load(Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx")
    (rate,) = (one for one in model.graph.input if one.name == "sr")
    model.graph.input.remove(rate)
    model.graph.initializer.append(numpy_helper.from_array(np.array(RATE_HZ), "sr"))
    return model


def write_models(repository: Path) -> None:
    write_model(repository, BACKEND, "echo", ECHO, more=batching(4))
    write_model(repository, BACKEND, "large", LARGE)
    tensors = described("input", SCALED.inputs, 4).replace(
        "dims: [2] }]", "dims: [2] optional: true }]"
    )
    write_model(
        repository,
        BACKEND,
        "scaled",
        SCALED,
        tensors=tensors + described("output", SCALED.outputs, 4),
    )
    # External data, in a folder of the model's name.
    folder = write_model(repository, BACKEND, "external", PRODUCT)
    (folder / "1" / "model.onnx").unlink()
    (folder / "1" / "model.onnx").mkdir()
    onnx.save(
        onnx_model(PRODUCT),
        folder / "1" / "model.onnx" / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    vad = write_model(repository, BACKEND, "vad", PRODUCT, tensors=VAD_CONFIG, max_batch_size=0)
    onnx.save(vad_model(), vad / "1" / "model.onnx")


@pytest.fixture(scope="module")
def call(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    repository = tmp_path_factory.mktemp("onnxruntime")
    write_models(repository)
    with serve(repository) as server:
        yield Caller(server.grpc_url)


def texts(*values: str | bytes) -> NDArray[np.object_]:
    encoded = [one.encode() if isinstance(one, str) else one for one in values]
    return np.array([encoded], np.object_)


def test_texts_come_back_and_are_batched(call: Caller) -> None:
    sent = [
        texts("", "a"),
        texts("grüße", "日本"),
        texts("nul\0inside", "b"),
        texts("x" * 9999, "c"),
    ]
    answers = call.all_at_once("echo", [{"text": one} for one in sent])
    for one, found in zip(sent, answers, strict=True):
        assert isinstance(found, dict), found
        np.testing.assert_array_equal(found["echo"], one)
        np.testing.assert_array_equal(found["rows"], [[4]])


def test_only_a_text_that_is_not_utf8_is_refused(call: Caller) -> None:
    sent = [texts("a", "b"), texts(b"\xff", "c"), texts("d", "e"), texts("f", "g")]
    answers = call.all_at_once("echo", [{"text": one} for one in sent])
    assert isinstance(answers[1], str)
    assert 'input "text"' in answers[1]
    for place in (0, 2, 3):
        found = answers[place]
        assert isinstance(found, dict), found
        np.testing.assert_array_equal(found["echo"], sent[place])


def test_numbers_keep_all_64_bits(call: Caller) -> None:
    sent = np.array([[2**62 + 1], [-(2**62) - 1]])
    np.testing.assert_array_equal(call("large", {"x": sent})["y"], sent + 1)


def test_a_weight_may_be_sent_or_left_out(call: Caller) -> None:
    x = rows_of(1, 1, 2)
    np.testing.assert_allclose(call("scaled", {"x": x})["y"], 3 * x)
    twos = np.full((1, 2), 2, np.float32)
    np.testing.assert_allclose(call("scaled", {"x": x, "factor": twos})["y"], 2 * x)


def test_weights_may_lie_beside_the_model_in_a_folder_of_its_name(call: Caller) -> None:
    x = rows_of(1, 3, 64)
    expected = x @ PRODUCT.constants["w"]
    np.testing.assert_allclose(call("external", {"x": x})["y"], expected, rtol=1e-4, atol=1e-4)


def test_an_input_that_is_missing_is_refused(call: Caller) -> None:
    with pytest.raises(InferenceServerException, match='input "x" is missing'):
        call("scaled", {"factor": rows_of(1, 1, 2)})


def test_interleaved_streams_of_voice_detection_equal_their_single_runs(
    call: Caller, tmp_path: Path
) -> None:
    onnx.save(vad_model(), tmp_path / "vad.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "vad.onnx")
    streams = {n: rows_of(n, WINDOWS, 576) for n in range(1, STREAMS + 1)}

    def alone(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        state, found = np.zeros((2, 1, 128), np.float32), []
        for window in windows:
            speech, state = session.run(
                ["output", "stateN"], {"input": window[None], "state": state}
            )
            found.append(speech)
        return np.concatenate(found)

    def served(sequence: int, windows: NDArray[np.float32]) -> Arrays:
        found = [
            call(
                "vad",
                {"input": window[None]},
                sequence_id=sequence,
                sequence_start=place == 0,
                sequence_end=place == WINDOWS - 1,
            )["output"]
            for place, window in enumerate(windows)
        ]
        return {"all": np.concatenate(found)}

    calls = [lambda n=n, windows=windows: served(n, windows) for n, windows in streams.items()]
    for windows, found in zip(streams.values(), call.together(calls), strict=True):
        assert isinstance(found, dict), found
        np.testing.assert_allclose(found["all"], alone(windows), atol=1e-5)
