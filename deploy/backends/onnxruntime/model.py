"""Triton's "onnxruntime" backend on top of its Python backend, for servers without the C++ one.

It reads the files (`model.onnx`, or a folder of that name with one in it, and external data beside
it) and the parameters of the C++ backend, with the same meaning, so a model repository runs
unchanged on both (README.md of triton-inference-server/onnxruntime_backend, "Model Config
Options"):

  intra_op_thread_count, inter_op_thread_count   threads of each instance; 0: all cores
  execution_mode                                 0 sequential, 1 parallel
  enable_mem_arena, enable_mem_pattern           memory kept between runs
  memory.enable_memory_arena_shrinkage           which devices' arenas shrink after a run
  session.use_device_allocator_for_initializers  1: weights outside the arena
  optimization.graph.level                       -1 basic, 0 all, 1 extended, 2 none

`share_session_between_instances` changes nothing here: each instance is a process of its own.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.append(str(Path(__file__).resolve().parents[1] / "shared"))

from plansmith_backend.batches import Arrays, Runner
from plansmith_backend.config import BadConfig, ServedConfig
from plansmith_backend.ports import Port, Ports, check_ports
from plansmith_backend.service import Service, complete_config, model_path, read_config

BACKEND = "onnxruntime"
MODEL_FILE = "model.onnx"
_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
# Triton's names for ONNX Runtime's types of tensors.
_DATATYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
    "tensor(bfloat16)": "TYPE_BF16",
}


class TritonPythonModel:
    """One instance of one model; Triton calls the methods, one call at a time."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        return complete_config(auto_complete_model_config, MODEL_FILE, _read_ports)

    def initialize(self, args):
        config = read_config(args)
        path = _file_of(model_path(config, args, MODEL_FILE))
        session = _Session(path, config)
        check_ports(config, session.ports)
        self._runner = Runner(session.infer)
        self._service = Service(BACKEND, config, session.ports)

    def execute(self, requests):
        """One response for each request, in order; a request that cannot be run gets an error."""
        return self._service.respond(requests, self._runner)

    def finalize(self):
        self._runner = None


class _Session:
    """An inference session, with the outputs that the configuration asks for."""

    def __init__(self, path: Path, config: ServedConfig) -> None:
        options, self._run_options = _options(config), _run_options(config)
        self._session = _open(path, options)
        self._outputs = config.taken
        self.ports = _ports(self._session)

    def infer(self, arrays: Arrays, _size: int | None) -> Arrays:
        feed = {
            name: _texts(name, array) if array.dtype == object else array
            for name, array in arrays.items()
        }
        found = self._session.run(self._outputs, feed, self._run_options)
        return dict(zip(self._outputs, found, strict=True))


def _open(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no class of their own in common
        raise BadConfig(f"{path}: ONNX Runtime does not take it: {error}") from error


def _file_of(path: Path) -> Path:
    return path / MODEL_FILE if path.is_dir() else path


def _options(config: ServedConfig) -> onnxruntime.SessionOptions:
    parameters = config.parameters
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = parameters.whole("intra_op_thread_count", 0)
    options.inter_op_num_threads = parameters.whole("inter_op_thread_count", 0)
    mode = parameters.whole("execution_mode", 0)
    if mode > 1:
        raise parameters.bad("execution_mode", "0 (sequential) or 1 (parallel)")
    options.execution_mode = (
        onnxruntime.ExecutionMode.ORT_PARALLEL if mode else onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    )
    if config.graph_level not in _LEVELS:
        raise BadConfig(f"optimization.graph.level is {config.graph_level}: it takes -1, 0, 1 or 2")
    options.graph_optimization_level = _LEVELS[config.graph_level]
    options.enable_cpu_mem_arena = parameters.flag("enable_mem_arena", default=True)
    options.enable_mem_pattern = parameters.flag("enable_mem_pattern", default=True)
    initializers = "session.use_device_allocator_for_initializers"
    options.add_session_config_entry(initializers, str(int(parameters.flag(initializers))))
    parameters.flag("share_session_between_instances")
    if config.cpu_accelerators:
        raise BadConfig(
            f'cpu_execution_accelerator "{config.cpu_accelerators[0]}": the ONNX Runtime here has '
            "none but its own CPU provider; take it out"
        )
    return options


def _run_options(config: ServedConfig) -> onnxruntime.RunOptions | None:
    key = "memory.enable_memory_arena_shrinkage"
    arenas = config.parameters.text(key)
    if not arenas:
        return None
    if arenas != "cpu:0":
        raise config.parameters.bad(key, '"cpu:0", the one arena here')
    if not config.parameters.flag("enable_mem_arena", default=True):
        raise config.parameters.bad(key, "no value beside enable_mem_arena: 0")
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(key, arenas)
    return options


def _read_ports(path: Path) -> tuple[Ports, bool]:
    options = onnxruntime.SessionOptions()
    # Only its inputs and outputs are asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    ports = _ports(_open(_file_of(path), options))
    return ports, ports.can_batch


def _ports(session: onnxruntime.InferenceSession) -> Ports:
    required = [_port(one) for one in session.get_inputs()]
    # Weights that a request may bring as well.
    optional = [_port(one, optional=True) for one in session.get_overridable_initializers()]
    return Ports(
        inputs=(*required, *optional), outputs=tuple(_port(one) for one in session.get_outputs())
    )


def _port(argument: onnxruntime.NodeArg, *, optional: bool = False) -> Port:
    dims = argument.shape
    return Port(
        names=(argument.name,),
        datatype=_DATATYPES.get(argument.type, argument.type),
        # A free axis is a name or None; ONNX Runtime has [] for a scalar and for any rank.
        dims=tuple(size if isinstance(size, int) else -1 for size in dims) if dims else None,
        optional=optional,
    )


def _texts(name: str, array: np.ndarray) -> np.ndarray:
    """Triton's bytes as ONNX Runtime takes them: of bytes it would run their Python notation."""
    try:
        texts = [text if isinstance(text, str) else text.decode() for text in array.flat]
    except UnicodeDecodeError as error:
        raise ValueError(f'input "{name}": a text that is not UTF-8: {error}') from error
    made = np.empty(array.size, object)
    made[:] = texts
    return made.reshape(array.shape)
