"""The functions that a recipe names: a person's own code, whose failures are told as its own."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from plansmith.errors import UnusableInput


def call_function(location: str, folder: Path) -> Any:
    """What the function named by `file.py:function`, the file beside the recipe in `folder`, gives.

    Raises UnusableInput where there is none, and where the function or its file fails: with what
    it raised and the line of it, not our own.
    """
    file, _, name = location.rpartition(":")
    path = folder / file
    if not path.is_file():
        raise UnusableInput(f"{path}: no such file; the recipe names {location!r}")
    spec = importlib.util.spec_from_file_location(f"recipe_{folder.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses and pickle look for the module that a class is of.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        function = getattr(module, name, None)
        if callable(function):
            return function()
    except (Exception, SystemExit) as error:
        line = _last_line(error, spec.origin)
        what = f"{type(error).__name__}: {error}"
        raise UnusableInput(f"{path}:{line}: {location!r} failed with {what}") from error
    raise UnusableInput(f"{path}: has no function {name!r}; the recipe names {location!r}")


def _last_line(error: BaseException, origin: str | None) -> int:
    """The innermost line of the module of `origin` that `error` came through."""
    frames = traceback.extract_tb(error.__traceback__)
    # Absolute, wherever the folder was named from.
    lines = [frame.lineno for frame in frames if frame.filename == origin]
    if isinstance(error, SyntaxError) and error.lineno is not None:
        lines.append(error.lineno)
    return lines[-1] if lines and lines[-1] is not None else 1
