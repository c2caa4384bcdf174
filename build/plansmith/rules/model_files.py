"""Rules of the files that a config names: model files, weights, labels. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plansmith.rules import backends
from plansmith.rules.case import ConfigCase
from plansmith.rules.findings import ERROR, WARNING, Hit, Rule


def _model_file_missing(case: ConfigCase) -> Iterator[Hit]:
    if not case.serving.backend or case.serving.backend not in backends.DEFAULT_FILES:
        return
    capable = {str(name) for name in case.message.cc_model_filenames.values()}
    for path in case.model_files:
        version, _, name = path.partition("/")
        as_folder = any(file.startswith(f"{path}/") for file in case.model.files)
        others = any(f"{version}/{one}" in case.model.files for one in capable)
        if path in case.model.files or as_folder or others:
            continue
        field = "default_model_filename" if case.message.default_model_filename else "backend"
        message = f"version {version} has no {name}, which {case.serving.backend} loads"
        fix = "add the file, or name the right one: default_model_filename"
        yield Hit(path=(field,), message=message, fix=fix)


def _model_file_empty(case: ConfigCase) -> Iterator[Hit]:
    for path in case.model_files:
        found = case.model.files.get(path)
        if found is not None and not found.size_bytes and not found.why_unreadable:
            fix = "copy it again: what was written was cut off"
            yield Hit(file=path, message="the model file is empty", fix=fix)


def _model_file_folder(case: ConfigCase) -> Iterator[Hit]:
    # ONNX alone may be a folder, with its weights beside it. Source: core's AutoComplete.
    if case.serving.backend in (backends.ONNXRUNTIME, ""):
        return
    if case.serving.backend not in backends.DEFAULT_FILES:
        return
    for path in case.model_files:
        if any(name.startswith(f"{path}/") for name in case.model.files):
            fix = "put the file itself into the version's folder"
            yield Hit(file=path, message="is a folder, not the model file", fix=fix)


def _outside_missing(case: ConfigCase) -> Iterator[Hit]:
    for path in case.model_files:
        graph = case.model.graphs.get(path)
        for name in graph.outside if graph is not None else ():
            folder = path.rpartition("/")[0]
            # Of an IR only the ending is known: its weights are beside it under the same name.
            weights = path.removesuffix(".xml") + name if name == ".bin" else f"{folder}/{name}"
            if weights not in case.model.files:
                told = weights.rpartition("/")[2]
                message = f"its weights are in {told}, which is not there"
                yield Hit(file=path, message=message, fix=f"copy {told} beside it")


def _model_file_wrong(case: ConfigCase) -> Iterator[Hit]:
    for path in case.model_files:
        graph = case.model.graphs.get(path)
        if graph is not None and graph.problem and case.model.files[path].size_bytes:
            yield Hit(file=path, message=graph.problem, fix="export the model again")


def _label_missing(case: ConfigCase) -> Iterator[Hit]:
    for index, output in enumerate(case.message.output):
        name = str(output.label_filename)
        if name and name not in case.model.files:
            message = f"output '{output.name}': there is no file {name} in the model's folder"
            path = ("output", index, "label_filename")
            yield Hit(path=path, message=message, fix="add it, one label a line")


def _label_count(case: ConfigCase) -> Iterator[Hit]:
    for index, output in enumerate(case.message.output):
        labels = case.model.labels.get(output.label_filename)
        classes = output.dims[-1] if output.dims else 0
        if labels is not None and classes > 0 and labels != classes:
            message = (
                f"output '{output.name}' has {classes} classes, {output.label_filename} has "
                f"{labels} labels"
            )
            path = ("output", index, "label_filename")
            yield Hit(path=path, message=message, fix="give one label a line, as many as classes")


def _capability_file(case: ConfigCase) -> Iterator[Hit]:
    for key in sorted(case.message.cc_model_filenames):
        name = case.message.cc_model_filenames[key]
        for version in case.served:
            if f"{version}/{name}" not in case.model.files:
                message = f"version {version} has no {name}, named for GPUs of {key}"
                path = ("cc_model_filenames", key)
                yield Hit(path=path, message=message, fix="add the file, or take the entry out")


def _capability(case: ConfigCase) -> Iterator[Hit]:
    for key in sorted(case.message.cc_model_filenames):
        major, dot, minor = str(key).partition(".")
        if not (major.isdecimal() and dot and minor.isdecimal()):
            message = f"'{key}' is not a compute capability"
            path = ("cc_model_filenames", key)
            yield Hit(path=path, message=message, fix='write it as "8.6": major, dot, minor')


RULES = (
    Rule(
        id="model-file-missing",
        severity=ERROR,
        about="Each served version has the file that its backend loads.",
        source="core:src/constants.h",
        of_config=_model_file_missing,
    ),
    Rule(
        id="model-file-empty",
        severity=ERROR,
        about="A model file is not empty.",
        source="the backends",
        of_config=_model_file_empty,
    ),
    Rule(
        id="model-file-folder",
        severity=ERROR,
        about="A model file is a file; only ONNX may be a folder.",
        source="core:src/model_config_utils.cc",
        of_config=_model_file_folder,
    ),
    Rule(
        id="model-file-wrong",
        severity=ERROR,
        about="model.onnx is ONNX, model.xml is an OpenVINO model without entities.",
        source="the backends",
        of_config=_model_file_wrong,
    ),
    Rule(
        id="weights-missing",
        severity=ERROR,
        about="Weights that a model file keeps beside it are there (model.bin, external data).",
        source="openvino_backend and onnxruntime_backend",
        of_config=_outside_missing,
    ),
    Rule(
        id="label-file-missing",
        severity=ERROR,
        about="A `label_filename` is there, relative to the model's folder.",
        source="common:protobuf/model_config.proto",
        of_config=_label_missing,
    ),
    Rule(
        id="label-count",
        severity=WARNING,
        about="There are as many labels as the output's last dimension.",
        source="server:docs/protocol/extension_classification.md",
        of_config=_label_count,
    ),
    Rule(
        id="capability-file-missing",
        severity=ERROR,
        about="Every file in `cc_model_filenames` is in each served version.",
        source="common:protobuf/model_config.proto",
        of_config=_capability_file,
    ),
    Rule(
        id="capability",
        severity=ERROR,
        about="Keys of `cc_model_filenames` are compute capabilities like 8.6.",
        source="common:protobuf/model_config.proto",
        of_config=_capability,
    ),
)
