"""Triton's "openvino" backend on top of its Python backend, for servers without the C++ one.

It reads the files (`model.xml` with `model.bin`, or what else default_model_filename names) and the
parameters of the C++ backend, with the same meaning, so a model repository runs unchanged on both
(README.md of triton-inference-server/openvino_backend, "Parameters"):

  NUM_STREAMS                requests that run side by side, over all instances of the model;
                             AUTO and NUMA: as many as there are instances
  INFERENCE_NUM_THREADS      threads of the model, over all its instances
  COMPILATION_NUM_THREADS    changes nothing: the CPU plugin of OpenVINO 2026 has no such property
  PERFORMANCE_HINT           LATENCY or THROUGHPUT; changes nothing beside the two above
  HINT_BF16                  YES: bfloat16 arithmetic where the CPU has it
  SKIP_OV_DYNAMIC_BATCHSIZE  YES: an engine of the fixed batch size `max_batch_size`
  ENABLE_BATCH_PADDING       YES: smaller batches are filled up to that size, else refused
  RESHAPE_IO_LAYERS          YES: inputs get the configuration's dims in place of the model's

and one of its own, which the C++ backend ignores:

  STATIC_BATCH_SIZES         descending to 1, for instance "4,2,1": batches are cut into pieces of
                             these sizes, each with an engine of that fixed shape. Absent: dynamic
                             shape.

Each instance is a process of its own (Triton's Python backend works so) and owns its share of the
threads. An instance that gets a request while the others are idle runs it on all threads instead:
single requests keep the latency of a whole machine, load gets the throughput of streams.
"""

import os
import sys
from pathlib import Path

import openvino
from busy_flag import BusyFlag

sys.path.append(str(Path(__file__).resolve().parents[1] / "shared"))

from plansmith_backend.batches import Arrays, Runner
from plansmith_backend.config import BadConfig, Parameters, ServedConfig
from plansmith_backend.ports import Port, Ports, check_ports
from plansmith_backend.service import Service, complete_config, model_path, read_config

BACKEND = "openvino"
MODEL_FILE = "model.xml"
# Triton's names for OpenVINO's element types.
_DATATYPES = {
    "boolean": "TYPE_BOOL",
    "u8": "TYPE_UINT8",
    "u16": "TYPE_UINT16",
    "u32": "TYPE_UINT32",
    "u64": "TYPE_UINT64",
    "i8": "TYPE_INT8",
    "i16": "TYPE_INT16",
    "i32": "TYPE_INT32",
    "i64": "TYPE_INT64",
    "f16": "TYPE_FP16",
    "f32": "TYPE_FP32",
    "f64": "TYPE_FP64",
    "bf16": "TYPE_BF16",
}


class TritonPythonModel:
    """One instance of one model; Triton calls the methods, one call at a time."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        return complete_config(auto_complete_model_config, MODEL_FILE, _read_ports)

    def initialize(self, args):
        config = read_config(args)
        parameters = config.parameters
        instances = config.instances
        threads = parameters.whole("INFERENCE_NUM_THREADS", 0) or os.cpu_count() or 1
        engines = _Engines(model_path(config, args, MODEL_FILE), config)
        sizes = () if _streams(parameters, instances) > 1 else _static_batch_sizes(config)
        self._share = engines.compile(sizes, max(1, threads // instances))
        self._whole = self._share
        if instances > 1:
            # Only two sizes: a lone request is mostly of one row, and each engine costs memory.
            whole_sizes = tuple(sorted({*sizes[:1], *sizes[-1:]}, reverse=True))
            self._whole = engines.compile(whole_sizes, threads)
        self._busy = BusyFlag(args, config.instance_groups)
        self._service = Service(BACKEND, config, engines.ports)

    def execute(self, requests):
        """One response for each request, in order; a request that cannot be run gets an error."""
        with self._busy:
            runner = self._share
            if len(requests) == 1 and not self._busy.others_are():
                runner = self._whole
            return self._service.respond(requests, runner)

    def finalize(self):
        self._share = self._whole = None
        self._busy.close()


class _Engines:
    """Compiles one model file into runners."""

    def __init__(self, path: Path, config: ServedConfig) -> None:
        self._config = config
        self._core = openvino.Core()
        self._model = _read(self._core, path)
        self._set_shapes()
        parameters = config.parameters
        if parameters.text("CPU_EXTENSION_PATH"):
            raise BadConfig("parameter CPU_EXTENSION_PATH: no foreign code is loaded here")
        hint = parameters.text("PERFORMANCE_HINT")
        if hint.upper() not in ("", "LATENCY", "THROUGHPUT"):
            raise parameters.bad("PERFORMANCE_HINT", "LATENCY or THROUGHPUT")
        self._precision = "bf16" if parameters.flag("HINT_BF16") else "f32"
        parameters.whole("COMPILATION_NUM_THREADS", 0)
        self._pads = parameters.flag("ENABLE_BATCH_PADDING")

    def _set_shapes(self) -> None:
        """Reshapes the model as the configuration wants it, and sees whether the two fit."""
        config, model = self._config, self._model
        reshapes = config.parameters.flag("RESHAPE_IO_LAYERS")
        batch = config.max_batch_size
        self._fixed_batch = batch if config.parameters.flag("SKIP_OV_DYNAMIC_BATCHSIZE") else None
        if reshapes:
            axis = [self._fixed_batch or -1] if config.is_batched else []
            _reshape(model, {tensor.name: [*axis, *tensor.dims] for tensor in config.fed})
        elif self._fixed_batch:
            _set_batch(model, batch)
        elif config.is_batched and not all(
            port.has_free_first_axis for port in _ports(model).inputs
        ):
            _set_batch(model, -1)
        self.ports = _ports(model)
        check_ports(config, self.ports, fixed_batch=self._fixed_batch)

    def compile(self, sizes: tuple[int, ...], threads: int) -> Runner:
        """A runner for batches of each of `sizes` (dynamic shape if empty) on `threads` threads."""
        if self._fixed_batch:
            sizes = (self._fixed_batch,)
        requests = {size: self._request(size, threads) for size in sizes or (None,)}
        places = _places(requests[sizes[0] if sizes else None].get_compiled_model().outputs)
        outputs = [(name, places[name]) for name in self._config.taken]

        def infer(arrays: Arrays, size: int | None) -> Arrays:
            request = requests[size]
            # Not infer(): on one thread it loses the plugin's errors and leaves the answer before
            # this one, as if it were this one's (OpenVINO 2026.4.1). This costs 20 microseconds
            # more.
            request.start_async(arrays, share_inputs=True)
            request.wait()
            return {name: request.get_output_tensor(place).data for name, place in outputs}

        return Runner(infer, sizes, pads=self._pads, reuses_buffers=True)

    def _request(self, size: int | None, threads: int) -> openvino.InferRequest:
        model = self._model
        if size not in (None, self._fixed_batch):
            model = model.clone()
            _set_batch(model, size)
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Instances know nothing of each other's cores: pinned, they would meet on the same.
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(model, "CPU", settings).create_infer_request()


def _streams(parameters: Parameters, instances: int) -> int:
    """Streams of one instance."""
    if parameters.text("NUM_STREAMS").upper() in ("AUTO", "NUMA"):
        return 1
    return max(1, parameters.whole("NUM_STREAMS", instances, least=1) // instances)


def _static_batch_sizes(config: ServedConfig) -> tuple[int, ...]:
    name = "STATIC_BATCH_SIZES"
    parts = [part.strip() for part in config.parameters.text(name).split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise config.parameters.bad(name, 'whole numbers, for instance "4,2,1"')
    sizes = tuple(int(part) for part in parts)
    if sizes and (sizes[-1] != 1 or list(sizes) != sorted(set(sizes), reverse=True)):
        raise config.parameters.bad(name, 'sizes that descend to 1, for instance "4,2,1"')
    return sizes if config.is_batched else ()


def _read(core: openvino.Core, path: Path) -> openvino.Model:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise BadConfig(f"{path}: OpenVINO cannot read it: {error}") from error


def _set_batch(model: openvino.Model, size: int) -> None:
    _reshape(model, {port: [size, *list(port.partial_shape)[1:]] for port in model.inputs})


def _reshape(model: openvino.Model, shapes: dict) -> None:
    try:
        model.reshape(shapes)
    except RuntimeError as error:
        wanted = ", ".join(str(shape) for shape in shapes.values())
        raise BadConfig(f"the model cannot be reshaped to {wanted}: {error}") from error


def _read_ports(path: Path) -> tuple[Ports, bool]:
    model = _read(openvino.Core(), path)
    ports = _ports(model)
    # As the C++ backend does it: only a layout says that the first axis is the batch.
    layouts = [openvino.layout_helpers.get_layout(port) for port in model.inputs]
    batches = bool(layouts) and all(
        openvino.layout_helpers.has_batch(layout) and openvino.layout_helpers.batch_idx(layout) == 0
        for layout in layouts
    )
    return ports, batches and ports.can_batch


def _ports(model: openvino.Model) -> Ports:
    return Ports(
        inputs=tuple(_port(port) for port in model.inputs),
        outputs=tuple(_port(port) for port in model.outputs),
    )


def _port(port: openvino.Output) -> Port:
    element, shape = port.element_type.get_type_name(), port.partial_shape
    return Port(
        names=_names(port),
        datatype=_DATATYPES.get(element, element),
        dims=tuple(size.get_length() if size.is_static else -1 for size in shape)
        if shape.rank.is_static
        else None,
    )


def _names(port: openvino.Output) -> tuple[str, ...]:
    return tuple(sorted(port.names)) or (port.node.friendly_name,)


def _places(ports: list[openvino.ConstOutput]) -> dict[str, int]:
    return {name: place for place, port in enumerate(ports) for name in _names(port)}
