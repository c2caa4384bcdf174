"""OpenVINO and NNCF without the reports that they send about their use; and IR files, whole."""

from __future__ import annotations

import errno
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plansmith.errors import LacksSomething

TELEMETRY = "openvino_telemetry"


def load_openvino() -> Any:
    """The module `openvino`. Raises LacksSomething where it is not installed."""
    with _untracked():
        try:
            import openvino
        except ImportError as error:
            raise LacksSomething("OpenVINO is not installed: pip install openvino") from error
    return openvino


def load_nncf() -> Any:
    """The module `nncf`. Raises LacksSomething where it is not installed."""
    load_openvino()
    with _untracked():
        try:
            import nncf  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as error:
            raise LacksSomething("NNCF is not installed: pip install nncf") from error
    return nncf


def save_ir(model: Any, to: Path) -> None:
    """Writes `model` to `to`, an .xml, and the .bin beside it; weights keep their precision.

    Raises OSError where they cannot be written whole. Half-precision weights would change the FP32
    variant; an engine chooses its precision.
    """
    try:
        load_openvino().save_model(model, to, compress_to_fp16=False)
    except RuntimeError as error:  # its streams' own, which do not say why
        raise OSError(errno.EIO, "cannot be written whole", str(to)) from error


@contextmanager
def _untracked() -> Generator[None, None, None]:
    """While it lasts the package for telemetry cannot be imported: both then do without for good.

    OpenVINO 2026.4 sends an event and writes an identity into the home folder when it is imported,
    NNCF 3.4 whenever it is used; only a choice the person made on this machine keeps them from it.
    """
    before = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # pyright: ignore[reportArgumentType]  # bars the module
    try:
        yield
    finally:
        del sys.modules[TELEMETRY]
        if before is not None:
            sys.modules[TELEMETRY] = before
