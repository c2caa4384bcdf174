"""One model's configuration, as Triton's own message, from what it is served with. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from plansmith.config.message import ModelConfig, Path, ServingConfig
from plansmith.config.scheduling import add_scheduler
from plansmith.config.served import ENSEMBLE, WARM_UP_FOLDER, ServedModel
from plansmith.errors import UnusableInput
from plansmith.tensors import TRITON_DTYPES

WRITTEN_BY = "Written by plansmith: a change here is lost with the next build; see recipe.toml."
NO_DELAY = "No delay: where the queue is empty waiting only costs, else there is company already."
_CAPABILITY = re.compile(r"\d+\.\d")


def compose(model: ServedModel, reasons: Mapping[Path, str] | None = None) -> ServingConfig:
    """The configuration of `model`; `reasons` become comments above the fields at their paths.

    Raises UnusableInput for a name with a dot, from which the server would guess a backend, and
    ValueError for files that are not one for each compute capability.
    """
    _check(model)
    config = ModelConfig(name=model.name, max_batch_size=model.max_batch_size)
    if model.ensemble is None:
        config.backend = model.backend
    else:
        config.platform = ENSEMBLE
    _add_tensors(config, model)
    if model.versions:
        config.version_policy.specific.versions.extend(sorted(model.versions))
    if model.default_model_filename is not None:
        config.default_model_filename = model.default_model_filename
    config.cc_model_filenames.update(dict(model.cc_model_filenames))
    config.metric_tags.update(dict(model.serving.metric_tags))
    for key, value in model.parameters:
        config.parameters[key].string_value = value
    if model.serving.response_cache:
        config.response_cache.enable = True
    if model.decoupled:
        config.model_transaction_policy.decoupled = True
    add_scheduler(config, model)
    files: dict[str, bytes] = {}
    if model.ensemble is None:
        _add_instances(config, model)
        _add_optimization(config, model)
        files = _add_warm_up(config, model)
    return ServingConfig(message=config, comments=_comments(config, reasons or {}), files=files)


def _check(model: ServedModel) -> None:
    if not model.name or "." in model.name:
        raise UnusableInput(
            f"model name {model.name!r}: has a dot, after which the server looks for the name of a "
            "backend; rename the model's folder"
        )
    capabilities = [capability for capability, _ in model.cc_model_filenames]
    if len(set(capabilities)) != len(capabilities):
        raise ValueError("two files are for one compute capability")
    if not all(_CAPABILITY.fullmatch(capability) for capability in capabilities):
        raise ValueError('a compute capability is not like "8.6"')


def _add_tensors(config: ModelConfig, model: ServedModel) -> None:
    labels = dict(model.labels)
    for spec in model.inputs:
        config.input.add(name=spec.name, data_type=TRITON_DTYPES[spec.dtype], dims=spec.shape)
    for spec in model.outputs:
        config.output.add(
            name=spec.name,
            data_type=TRITON_DTYPES[spec.dtype],
            dims=spec.shape,
            label_filename=labels.get(spec.name),
        )


def _add_instances(config: ModelConfig, model: ServedModel) -> None:
    limiter = model.serving.rate_limiter
    for group in model.instances:
        added = config.instance_group.add(count=group.count, kind=group.kind)
        # A group that is the last among its model's own stays so among all models'.
        added.rate_limiter.priority = max(group.priority, limiter.priority)
        for name, count in limiter.resources:
            added.rate_limiter.resources.add(name=name, count=count)


def _add_optimization(config: ModelConfig, model: ServedModel) -> None:
    """What only TensorRT's backend knows; other targets of the recipe go without."""
    serving = model.serving
    if not any(group.kind == "KIND_GPU" for group in model.instances):
        return
    if serving.eager_batching:
        config.optimization.eager_batching = True
    if serving.busy_wait_events:
        config.optimization.cuda.busy_wait_events = True
    if serving.output_copy_stream:
        config.optimization.cuda.output_copy_stream = True
    if serving.cuda_graphs:
        cuda = config.optimization.cuda
        cuda.graphs = True
        for size in sorted(model.graph_batch_sizes):
            # No lower bound: a graph of another size would run on what its padding holds.
            graph = cuda.graph_spec.add(batch_size=size if model.max_batch_size else 0)
            for spec in model.inputs:
                graph.input[spec.name].dim.extend(spec.shape)


def _add_warm_up(config: ModelConfig, model: ServedModel) -> dict[str, bytes]:
    """Every row in every batch size; the files that they are read from, by path in the folder."""
    files: dict[str, bytes] = {}
    if model.serving.warm_up == "none" or model.sequence is not None:
        return files
    several = len(model.warm_up_rows) > 1
    for index, row in enumerate(model.warm_up_rows, start=1):
        for size in sorted(set(model.warm_up_batch_sizes)):
            what = f"row {index}, batch {size}" if several else f"batch {size}"
            warm_up = config.model_warmup.add(name=what, batch_size=size)
            for tensor in row.tensors:
                content = tensor.content if model.serving.warm_up == "samples" else None
                to = warm_up.inputs[tensor.spec.name]
                to.data_type = TRITON_DTYPES[tensor.spec.dtype]
                to.dims.extend(tensor.shape)
                if content is None:
                    to.zero_data = True
                    continue
                # Named by what is in it: what an older configuration names stays as it is.
                to.input_data_file = f"{hashlib.sha256(content).hexdigest()[:32]}.bin"
                files[f"{WARM_UP_FOLDER}/{to.input_data_file}"] = content
    return files


def _comments(config: ModelConfig, reasons: Mapping[Path, str]) -> dict[Path, str]:
    comments: dict[Path, str] = {("name",): WRITTEN_BY}
    batches = config.max_batch_size and config.HasField("dynamic_batching")
    if batches and not config.dynamic_batching.max_queue_delay_microseconds:
        comments["dynamic_batching", "max_queue_delay_microseconds"] = NO_DELAY
    return comments | dict(reasons)
