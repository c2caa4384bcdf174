"""Modules that lie in the folders of the published models, loaded as their versions load them."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

MODELS = Path(__file__).parents[2] / "model_repository"


def module(model: str, file: str) -> ModuleType:
    """`file`.py of `model`, which others import by its name until it is taken from sys.modules."""
    spec = spec_from_file_location(file, MODELS / model / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    sys.modules[file] = loaded  # where lines.py finds text_boxes.py, as in a version's folder
    spec.loader.exec_module(loaded)
    return loaded


def alone(model: str) -> ModuleType:
    """source.py of `model`, which nothing imports by its name."""
    loaded = module(model, "source")
    del sys.modules["source"]
    return loaded
