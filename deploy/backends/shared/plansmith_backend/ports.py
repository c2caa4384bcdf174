"""A network's own inputs and outputs: against the configuration, and as a configuration's start."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from plansmith_backend.config import BadConfig, ServedConfig, TensorConfig

# What the C++ backends take where the server's --backend-config=default-max-batch-size is not
# given; Triton hands that option to no Python model.
DEFAULT_MAX_BATCH_SIZE = 4


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of a network, under all its names.

    `datatype` is Triton's name, or the network's own where Triton has none for it. `dims` has all
    axes, -1 for free ones; None where the rank itself is free.
    """

    names: tuple[str, ...]
    datatype: str
    dims: tuple[int, ...] | None
    optional: bool = False

    @property
    def has_free_first_axis(self) -> bool:
        return bool(self.dims) and self.dims[0] == -1


@dataclass(frozen=True, kw_only=True)
class Ports:
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def needed(self) -> frozenset[str]:
        """The names of the inputs without which the network does not run."""
        return frozenset(name for port in self.inputs if not port.optional for name in port.names)

    @property
    def can_batch(self) -> bool:
        """Whether the first axis of every tensor is free."""
        return all(port.has_free_first_axis for port in self.inputs + self.outputs)


def check_ports(config: ServedConfig, ports: Ports, *, fixed_batch: int | None = None) -> None:
    """Raises BadConfig where `config` and the network do not fit, with every misfit in it.

    `fixed_batch`: the first axis may be that long instead of free.
    """
    outputs = (*config.outputs, *(state.output for state in config.states))
    misfits = [
        *_misfits("input", config.fed, ports.inputs, config.is_batched, fixed_batch),
        *_misfits("output", outputs, ports.outputs, config.is_batched, fixed_batch),
    ]
    fed = {tensor.name for tensor in config.fed}
    misfits += [
        f'the model\'s input "{port.names[0]}" is not in the configuration'
        for port in ports.inputs
        if not port.optional and not fed.intersection(port.names)
    ]
    if misfits:
        raise BadConfig("; ".join(dict.fromkeys(misfits)))


def _misfits(
    kind: str,
    tensors: Sequence[TensorConfig],
    ports: Sequence[Port],
    is_batched: bool,
    fixed_batch: int | None,
) -> list[str]:
    by_name = {name: port for port in ports for name in port.names}
    found: list[str] = []
    for tensor in tensors:
        port = by_name.get(tensor.name)
        if port is None:
            known = ", ".join(f'"{one.names[0]}"' for one in ports)
            found.append(f'{kind} "{tensor.name}": the model has none of that name, only {known}')
            continue
        if port.datatype != tensor.datatype:
            found.append(
                f'{kind} "{tensor.name}": {tensor.datatype} in the configuration, '
                f"{port.datatype} in the model"
            )
        dims = (fixed_batch or -1, *tensor.dims) if is_batched else tensor.dims
        if not _fits(dims, port.dims, is_batched, fixed_batch):
            found.append(
                f'{kind} "{tensor.name}": {list(dims)} in the configuration'
                f"{' (with the batch axis)' if is_batched else ''}, {list(port.dims or ())} "
                "in the model"
            )
    return found


def _fits(
    dims: tuple[int, ...], port: tuple[int, ...] | None, is_batched: bool, fixed_batch: int | None
) -> bool:
    """Whether the two agree; a free axis agrees with any size, but for the batch axis."""
    if not port:
        return True
    if len(dims) != len(port):
        return False
    if is_batched and port[0] not in (-1, fixed_batch):
        return False
    return all(one == other or -1 in (one, other) for one, other in zip(dims, port, strict=True))


def is_complete(config: Mapping[str, Any]) -> bool:
    """Whether inputs and outputs are there: then nothing is filled in, as in the C++ backends."""
    return bool(config.get("input")) and bool(config.get("output"))


def complete(config: MutableMapping[str, Any], ports: Ports, *, can_batch: bool) -> None:
    """Fills in what `config`, Triton's JSON, leaves out, by the rules of the C++ backends.

    Nothing where inputs and outputs are there. Otherwise those missing; `max_batch_size`
    DEFAULT_MAX_BATCH_SIZE where it is 0 and the network can batch, with the dynamic batcher where
    no other is named. (README.md of triton-inference-server/onnxruntime_backend, "Default Max
    Batch Size"; of openvino_backend, "Auto-Complete Model Configuration".)
    Raises BadConfig where `max_batch_size` is above 0 and the first axis of a tensor is not free.
    """
    if is_complete(config):
        return
    if can_batch and config["max_batch_size"] == 0:
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
    is_batched = config["max_batch_size"] > 0
    if is_batched and not ports.can_batch:
        raise BadConfig(
            f"max_batch_size is {config['max_batch_size']}: the model cannot batch, not all its "
            "tensors have a free first axis; set it to 0"
        )
    if config["max_batch_size"] > 1 and "sequence_batching" not in config:
        config.setdefault("dynamic_batching", {})
    # A state or a control is nothing that a caller sends: sequence_batching brings it.
    inner = _inner_names(config)
    if not config.get("input"):
        config["input"] = _described(ports.inputs, inner, is_batched)
    if not config.get("output"):
        config["output"] = _described(ports.outputs, inner, is_batched)


def _inner_names(config: MutableMapping[str, Any]) -> set[str]:
    sequences = config.get("sequence_batching", {})
    names = {one["name"] for one in sequences.get("control_input", ())}
    for state in sequences.get("state", ()):
        names.update((state["input_name"], state["output_name"]))
    return names


def _described(ports: Sequence[Port], inner: set[str], is_batched: bool) -> list[dict[str, Any]]:
    return [
        _describe(port, is_batched)
        for port in ports
        if not port.optional and not inner.intersection(port.names)
    ]


def _describe(port: Port, is_batched: bool) -> dict[str, Any]:
    dims = list(port.dims or ())[1 if is_batched else 0 :]
    described: dict[str, Any] = {"name": port.names[0], "data_type": port.datatype}
    if dims:
        return described | {"dims": dims}
    # Triton has no empty dims: one value for each item, which the network sees without an axis.
    return described | {"dims": [1]} | ({"reshape": {"shape": []}} if is_batched else {})
