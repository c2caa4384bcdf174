"""How long each layer of an OpenVINO model takes, layer by layer, on one core of this CPU."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plansmith.errors import UnusableInput
from plansmith.measure import Feed, rows
from plansmith.openvino_runtime import load_openvino

# Layers by which a fused node is called: what is fused into them (bias, activation) is small.
MAIN_TYPES = frozenset({"Convolution", "GroupConvolution", "MatMul"})
# The engine's own names for them, in the runtime model's "layerType" (OpenVINO 2026.4).
MAIN_EXECUTED = frozenset({"Convolution", "FullyConnected", "MatMul"})


def layer_times_ms(xml: Path, feed: Feed, *, rounds: int = 5) -> dict[str, float]:
    """Median time in ms of every layer that is executed, by its name in the IR at `xml`.

    `feed`: rows by input name, at least one; each of the `rounds` runs one of them alone, on one
    core, in FP32 where the model does not say otherwise; a first run does not count. Where the
    engine runs several layers as one, the time stands under the convolution or matrix product among
    them, else under the first; what the engine itself puts in, a change of layout for instance,
    stands under its own name. Raises UnusableInput without rows.
    """
    openvino = load_openvino()
    count = min((len(array) for array in feed.values()), default=0)
    if count == 0:
        raise UnusableInput("no rows to time the layers with: the data set is empty")
    core = openvino.Core()
    model = core.read_model(xml)
    layers = {op.friendly_name: op for op in model.get_ops()}
    model.reshape({port: [1, *list(port.partial_shape)[1:]] for port in model.inputs})
    settings = {
        "PERF_COUNT": True,
        "NUM_STREAMS": 1,
        # Threads wait for each other at every layer, so other programs would stall all of them.
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(model, "CPU", settings)
    executed = compiled.get_runtime_model().get_ops()
    origins = {node.friendly_name: _origin(node, layers) for node in executed}
    request = compiled.create_infer_request()
    times: defaultdict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        place = turn % count
        request.start_async(rows(feed, place, place + 1))
        request.wait()
        if turn > 0:
            for name, time_ms in _one_run(request, origins).items():
                times[name].append(time_ms)
    return {name: statistics.median(found) for name, found in times.items()}


def _origin(executed: Any, layers: Mapping[str, Any]) -> str:
    """The layer of the IR that stands for an executed node, else the node's own name."""
    info = executed.get_rt_info()
    listed = str(info["originalLayersNames"].value) if "originalLayersNames" in info else ""
    names = [name for name in listed.split(",") if name]
    known = [layers[name] for name in names if name in layers]
    main: Any = next((op for op in known if op.get_type_name() in MAIN_TYPES), None)
    if main is None and str(info["layerType"].value) in MAIN_EXECUTED:
        # The engine may tell only what it merged into the product: its scale or bias.
        before = [_main_before(op) for op in known]
        main = next((op for op in before if op is not None), None)
    return str(main.friendly_name) if main is not None else (names or [executed.friendly_name])[0]


def _main_before(op: Any) -> Any:
    """The nearest convolution or matrix product whose result reaches `op`, if there is one."""
    queue, seen = [op], {op.friendly_name}
    while queue:
        current = queue.pop(0)
        if current.get_type_name() in MAIN_TYPES:
            return current
        sources = [port.get_source_output().get_node() for port in current.inputs()]
        fresh = [source for source in sources if source.friendly_name not in seen]
        seen.update(source.friendly_name for source in fresh)
        queue.extend(fresh)
    return None


def _one_run(request: Any, origins: dict[str, str]) -> dict[str, float]:
    """Times of the last run by original layer; what was optimised away takes none and is left out.

    A layer may be executed in several nodes, a split convolution for instance: they are added up.
    """
    executed = load_openvino().ProfilingInfo.Status.EXECUTED
    found: defaultdict[str, float] = defaultdict(float)
    for node in request.profiling_info:
        if node.status == executed:
            time_ms = node.real_time.total_seconds() * 1000
            name = str(node.node_name)
            found[origins.get(name, name)] += time_ms
    return {name: time_ms for name, time_ms in found.items() if time_ms > 0}
