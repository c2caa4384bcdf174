"""What to install for a module that is missing."""

from __future__ import annotations

from plansmith.errors import LacksSomething

# Which of this package's extras brings a module.
EXTRAS = {
    "torch": "torch",
    "torch_pruning": "torch",
    "safetensors": "torch",
    "openvino": "openvino",
    "onnxruntime": "openvino",
    "nncf": "openvino",
    "modelopt": "modelopt",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
    "polygraphy": "tensorrt-rtx",
    "model_signing": "signing",
    "OpenSSL": "signing",
    "pyarrow": "parquet",
    "magika": "samples",
    "mlxtend": "samples",
    "skimage": "samples",
    "sklearn": "samples",
    "plansmith_client": "client",
    "PIL": "client",
    "locust": "load",
    "jinja2": "report",
    "matplotlib": "report",
}
# Modules that the package itself brings, without an extra.
BASE = ("numpy", "onnx", "onnxslim", "msgspec", "rich")


def missing_module(error: ModuleNotFoundError) -> LacksSomething | None:
    """What to install for the module; None for one that is not of ours to bring."""
    module = (error.name or "").partition(".")[0]
    if module in BASE:
        package = "plansmith"
    elif module in EXTRAS:
        package = f'"plansmith[{EXTRAS[module]}]"'
    else:
        return None
    return LacksSomething(f"no module {error.name}: pip install {package}")
