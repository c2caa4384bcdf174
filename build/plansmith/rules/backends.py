"""Which backend serves a model, and which file it loads: what Triton fills in by itself. Pure.

Source: AutoCompleteBackendFields and GetBackendTypeFromPlatform in core:src/model_config_utils.cc;
the names are in core:src/constants.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

ENSEMBLE = "ensemble"
TENSORRT = "tensorrt"
ONNXRUNTIME = "onnxruntime"
OPENVINO = "openvino"
PYTORCH = "pytorch"
PYTHON = "python"
TENSORFLOW = "tensorflow"

PLATFORMS: Mapping[str, str] = MappingProxyType(
    {
        "tensorrt_plan": TENSORRT,
        "onnxruntime_onnx": ONNXRUNTIME,
        "pytorch_libtorch": PYTORCH,
        "pytorch_aoti": PYTORCH,
        "torch_aoti": PYTORCH,
        "tensorflow_savedmodel": TENSORFLOW,
        "tensorflow_graphdef": TENSORFLOW,
    }
)
# In the order in which Triton looks for them in the first version's folder.
FILES: Mapping[str, str] = MappingProxyType(
    {
        "model.savedmodel": TENSORFLOW,
        "model.graphdef": TENSORFLOW,
        "model.plan": TENSORRT,
        "model.onnx": ONNXRUNTIME,
        "model.xml": OPENVINO,
        "model.pt": PYTORCH,
        "model.pt2": PYTORCH,
        "model.py": PYTHON,
    }
)
DEFAULT_FILES: Mapping[str, str] = MappingProxyType(
    {
        TENSORRT: "model.plan",
        ONNXRUNTIME: "model.onnx",
        OPENVINO: "model.xml",
        PYTORCH: "model.pt",
        PYTHON: "model.py",
    }
)
# These fill in inputs and outputs from the model file where auto-complete is on.
COMPLETING = frozenset({TENSORRT, ONNXRUNTIME, OPENVINO, TENSORFLOW, PYTHON})


@dataclass(frozen=True, kw_only=True)
class Serving:
    """`backend` is "" where none can be told, and for an ensemble; `file` "" where none is known.

    `guessed`: the backend is taken from the text after a dot in the model's name.
    """

    backend: str
    platform: str
    file: str
    guessed: bool = False

    @property
    def is_ensemble(self) -> bool:
        return self.platform == ENSEMBLE and not self.backend


def serving_of(message: Any, name: str, first_version: frozenset[str]) -> Serving:
    """What serves the model `name` with this configuration.

    `first_version` are the names in the folder that sorts first among its versions.
    """
    platform, backend = str(message.platform), str(message.backend)
    file = str(message.default_model_filename)
    if platform == ENSEMBLE:
        return Serving(backend=backend, platform=platform, file=file)
    guessed = False
    if not backend:
        backend = PLATFORMS.get(platform, "") or FILES.get(file, "")
    if not backend and not platform and not file:
        backend = next((FILES[known] for known in FILES if known in first_version), "")
        guessed = not backend and "." in name
        if guessed:
            backend = name.split(".", 1)[1]
            file = f"model.{backend}"
    default = DEFAULT_FILES.get(backend, "")
    if backend == PYTORCH and platform in ("pytorch_aoti", "torch_aoti"):
        default = "model.pt2"
    return Serving(backend=backend, platform=platform, file=file or default, guessed=guessed)
