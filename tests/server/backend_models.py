"""Tiny networks for either Python-based backend, and repositories of them with real configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from plansmith.openvino_runtime import load_openvino, save_ir
from small_models import model_of

Arrays = dict[str, NDArray[Any]]
BACKENDS = ("onnxruntime", "openvino")
FILES = {"onnxruntime": "model.onnx", "openvino": "model.xml"}
# Triton's datatypes and ONNX's.
ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "STRING": TensorProto.STRING,
}
# Long enough for the last of a batch's requests to arrive, whatever else the machine does.
DELAY_US = 5_000_000


@dataclass(frozen=True)
class Value:
    """An input or output. `axes`: all of them, the batch's too; a name is a free one."""

    name: str
    axes: tuple[int | str, ...]
    datatype: str = "FP32"


@dataclass(frozen=True, kw_only=True)
class Network:
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: Sequence[onnx.NodeProto]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])


# y = x + 1 for items of two values.
ADD = Network(
    inputs=(Value("x", ("batch", 2)),),
    outputs=(Value("y", ("batch", 2)),),
    nodes=[helper.make_node("Add", ["x", "one"], ["y"])],
    constants={"one": np.array([1], np.float32)},
)
# y = x, float32 [batch, 4], on the way in rows of as many values as the largest `width`, int64
# [batch, 1], of the batch: a width that does not divide the batch's values cannot be run.
FOLD_NODES = (
    helper.make_node("ReduceMax", ["width"], ["largest"], axes=[0, 1], keepdims=0),
    helper.make_node("Unsqueeze", ["largest", "zero"], ["columns"]),
    helper.make_node("Concat", ["rest", "columns"], ["fold"], axis=0),
    helper.make_node("Reshape", ["x", "fold"], ["folded"]),
    helper.make_node("Reshape", ["folded", "back"], ["y"]),
)
FOLD_CONSTANTS = {
    "zero": np.array([0], np.int64),
    "rest": np.array([-1], np.int64),
    "back": np.array([-1, 4], np.int64),
}


def onnx_model(network: Network) -> onnx.ModelProto:
    def info(one: Value) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(one.name, ELEMENTS[one.datatype], one.axes)

    inputs, outputs = map(info, network.inputs), map(info, network.outputs)
    return model_of(network.nodes, inputs, outputs, network.constants)


def write_model(
    repository: Path,
    backend: str,
    name: str,
    network: Network,
    *,
    max_batch_size: int = 4,
    tensors: str | None = None,
    more: str = "",
    file: str = "",
    layout: str = "",
) -> Path:
    """Version 1 of a model with its config.pbtxt; gives its folder.

    `tensors`: the config's inputs and outputs, None for all of the network. `more`: what else the
    config says. `layout`: of all inputs, in OpenVINO's words; ONNX has none.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    path = folder / "1" / (file or FILES[backend])
    if backend == "onnxruntime":
        onnx.save(onnx_model(network), path)
    else:
        _save_ir(network, path, layout)
    if tensors is None:
        tensors = described("input", network.inputs, max_batch_size)
        tensors += described("output", network.outputs, max_batch_size)
    text = f'backend: "{backend}"\nmax_batch_size: {max_batch_size}\n{tensors}\n{more}\n'
    if "instance_group" not in more:
        text += "instance_group [{ count: 1 kind: KIND_CPU }]\n"
    (folder / "config.pbtxt").write_text(text)
    return folder


def _save_ir(network: Network, path: Path, layout: str) -> None:
    openvino = load_openvino()
    whole = path.with_suffix(".source.onnx")
    onnx.save(onnx_model(network), whole)
    model = openvino.Core().read_model(whole)
    if layout:
        for port in model.inputs:
            port.node.set_layout(openvino.Layout(layout))
    save_ir(model, path)
    whole.unlink()


def described(field_name: str, values: Sequence[Value], max_batch_size: int) -> str:
    """The config's `input` or `output` for `values`."""
    entries: list[str] = []
    for one in values:
        axes = one.axes[1:] if max_batch_size else one.axes
        dims = ", ".join("-1" if isinstance(size, str) else str(size) for size in axes)
        entries.append(f'{{ name: "{one.name}" data_type: TYPE_{one.datatype} dims: [{dims}] }}')
    return f"{field_name} [{', '.join(entries)}]\n" if entries else ""


def parameters(texts: Mapping[str, str]) -> str:
    return "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{text}" }} }}\n'
        for key, text in texts.items()
    )


def batching(rows: int) -> str:
    """Requests wait until there are `rows` of them."""
    return (
        f"dynamic_batching {{ preferred_batch_size: [{rows}] "
        f"max_queue_delay_microseconds: {DELAY_US} }}\n"
    )


class Caller:
    """Calls models over gRPC by nothing but Triton's own client."""

    def __init__(self, url: str) -> None:
        self.client = InferenceServerClient(url)

    def __call__(
        self, model: str, feed: Arrays, outputs: Sequence[str] = (), **sequence: Any
    ) -> Arrays:
        """The outputs by name. Raises InferenceServerException as the server has it."""
        inputs: list[InferInput] = []
        for name, array in feed.items():
            one = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
            inputs.append(one.set_data_from_numpy(array))
        asked = [InferRequestedOutput(name) for name in outputs] or None
        result = self.client.infer(model, inputs, outputs=asked, client_timeout=60, **sequence)
        return {one.name: result.as_numpy(one.name) for one in result.get_response().outputs}

    def together(self, calls: Sequence[Callable[[], Arrays]]) -> list[Arrays | str]:
        """All calls at once; for each its outputs or the server's error."""

        def outcome(call: Callable[[], Arrays]) -> Arrays | str:
            try:
                return call()
            except InferenceServerException as error:
                return error.message() or ""

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(outcome, calls))

    def all_at_once(self, model: str, feeds: Sequence[Arrays]) -> list[Arrays | str]:
        return self.together([lambda feed=feed: self(model, feed) for feed in feeds])


def rows_of(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
