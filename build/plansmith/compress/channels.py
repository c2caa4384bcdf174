"""Whole channels taken out of a network: what one layer loses, the layers that read it lose too.

Which layers hang together is torch-pruning's to find: G. Fang et al., "DepGraph: Towards Any
Structural Pruning" (2023). Its own importance and pruner classes are not used: in 1.6.0 a group
that begins with a depthwise convolution and ends in a flattened one gets scores of a wrong length,
and nothing is pruned.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import LacksSomething, UnusableInput

if TYPE_CHECKING:
    import torch
    from torch import nn

# Widths that vector units and tensor cores run without a rest: AVX2 has 8 floats, NVIDIA's tensor
# cores want multiples of 8 in FP16 ("Matrix Multiplication Background User's Guide", section 4).
MULTIPLE = 8
# Narrower layers would lose too much by rounding.
WIDE = 2 * MULTIPLE


def layer_widths(module: nn.Module) -> dict[str, int]:
    """The output channels of each convolution and linear layer, by its name in the network."""
    from torch import nn

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = cast("list[tuple[str, Any]]", list(cast("Any", module).named_modules()))
    return {
        name: layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        for name, layer in layers
        if isinstance(layer, kinds)
    }


def pruned_width(width: int, ratio: float) -> int:
    """How many of `width` channels stay: a multiple of 8 where there are enough, at least one."""
    keep = width * (1 - ratio)
    if width < WIDE:
        return max(1, round(keep))
    return max(MULTIPLE, MULTIPLE * round(keep / MULTIPLE))


def without_channels(
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    widths: Mapping[str, int],
    ratio: float,
) -> nn.Module:
    """A copy of `module` whose layers have what `ratio` leaves of `widths`, those of the original.

    Layers that the network's outputs come from keep their width. `example_inputs`: what the
    network takes, [rows, ...]. Raises UnusableInput where the network cannot be traced or would
    answer in another shape, LacksSomething where torch-pruning is not installed.
    """
    pruning = _torch_pruning()
    smaller = copy.deepcopy(module)
    shapes = _output_shapes(smaller, example_inputs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch-pruning's, of parameters outside layers
            _cut(pruning, smaller, example_inputs, widths, ratio)
        kept = _output_shapes(smaller, example_inputs) == shapes
    except Exception as error:  # from the user's own forward(), traced and then run on less
        raise UnusableInput(
            f"the network cannot be pruned ({type(error).__name__}: {error}): "
            "leave [prune] out of the recipe"
        ) from error
    if not kept:
        raise UnusableInput(
            "pruning would change the shape of the network's outputs: "
            "leave [prune] out of the recipe"
        )
    return smaller


def _torch_pruning() -> Any:
    try:
        import torch_pruning  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError as error:
        raise LacksSomething(
            "pruning needs torch-pruning, which is not installed: pip install torch-pruning==1.6.0"
        ) from error
    return torch_pruning


def _output_shapes(
    module: nn.Module, example_inputs: tuple[torch.Tensor, ...]
) -> list[tuple[int, ...]]:
    import torch

    module.eval()
    with torch.no_grad():
        answer: Any = module(*example_inputs)
    parts = cast("tuple[Any, ...]", answer if isinstance(answer, tuple | list) else (answer,))
    return [tuple(part.shape) for part in parts]


def _cut(
    pruning: Any,
    module: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    widths: Mapping[str, int],
    ratio: float,
) -> None:
    import torch

    names = {layer: name for name, layer in cast("Any", module).named_modules()}
    with torch.enable_grad():  # what torch-pruning traces
        graph = pruning.DependencyGraph().build_dependency(module, example_inputs)
    groups = list(graph.get_all_groups(ignored_layers=_output_layers(graph)))
    roots = [group[0].dep for group in groups]
    # All are chosen before the first cut, which changes the weights the others are judged by.
    chosen = [
        _least(graph, group, pruned_width(widths[names[root.target.module]], ratio))
        for group, root in zip(groups, roots, strict=True)
    ]
    for root, channels in zip(roots, chosen, strict=True):
        group = graph.get_pruning_group(root.target.module, root.handler, channels)
        if channels and graph.check_pruning_group(group):
            group.prune()


def _output_layers(graph: Any) -> list[Any]:
    """The layers whose channels come out of the network, as they are or element by element."""
    layers: list[Any] = []
    for group in graph.get_all_groups():
        written = [item.dep.target for item in group if _writes(graph, item)]
        if any(not node.outputs for node in written):
            layers.extend(node.module for node in written)
    return layers


def _writes(graph: Any, item: Any) -> bool:
    """Whether channels of a layer's output go, not only of its input."""
    return graph.is_out_channel_pruning_fn(item.dep.handler)


def _least(graph: Any, group: Any, keep: int) -> list[int]:
    """The least important channels of a group, so many that `keep` stay."""
    scores = _scores(graph, group)
    # Grouped convolutions and norms want as many channels in each of their groups.
    parts = max(_parts(item.dep.target.module) for item in group)
    scores = scores.reshape(parts, -1).mean(axis=0)
    surplus = max(0, len(scores) - max(1, keep // parts))
    lowest = np.argsort(scores, kind="stable")[:surplus]
    return sorted(int(place) + part * len(scores) for part in range(parts) for place in lowest)


def _parts(layer: nn.Module) -> int:
    from torch import nn

    if isinstance(layer, nn.GroupNorm):
        return layer.num_groups
    groups = cast("int", getattr(layer, "groups", 1))
    depthwise = groups == getattr(layer, "out_channels", None)
    return 1 if depthwise else groups


def _scores(graph: Any, group: Any) -> NDArray[np.float64]:
    """Of each channel its share of the squared weights of each layer in the group, added up.

    The norm of what writes a channel (H. Li et al., "Pruning Filters for Efficient ConvNets",
    2017), and of what reads it.
    """
    scores = np.zeros(len(group[0].idxs))
    for item in group:
        layer = item.dep.target.module
        weight = getattr(layer, "weight", None)
        if weight is None:
            continue
        squares = weight.detach().double().square().numpy(force=True)
        reads = not _writes(graph, item)
        # Weights are [out, in, ...], of transposed convolutions [in, out, ...].
        axis = int(reads != getattr(layer, "transposed", False)) if squares.ndim > 1 else 0
        sums = squares.sum(axis=tuple(other for other in range(squares.ndim) if other != axis))
        if axis == 1:
            sums = np.tile(sums, getattr(layer, "groups", 1))
        np.add.at(scores, item.root_idxs, sums[item.idxs] / max(sums.sum(), 1e-30))
    return scores
