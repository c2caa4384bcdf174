"""Peak memory: what a process of its own held while it ran one variant, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from plansmith import peak_memory
from plansmith.targets.openvino import MODEL_FILE, Variant, compile_model

VARIANT = Variant(form="fp32", precision="fp32", streams=1, threads=1, batch_size=4, static=True)
STATUS = """\
Name:\tpython
VmPeak:\t  999999 kB
VmHWM:\t    1024 kB
VmRSS:\t     512 kB
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    # Fewer rows than the variant's batch: they are repeated.
    np.savez(tmp_path / "samples.npz", x=np.ones((3, 8), np.float32))
    return tmp_path / "samples.npz"


@pytest.fixture
def ir(tmp_path: Path, tiny_onnx: onnx.ModelProto) -> Path:
    onnx.save(tiny_onnx, tmp_path / "model.onnx")
    (tmp_path / "ir").mkdir()
    compile_model(tmp_path / "model.onnx", tmp_path / "ir")
    return tmp_path / "ir" / MODEL_FILE


def test_a_real_variant_needs_more_than_its_files_and_no_gigabytes(ir: Path, samples: Path) -> None:
    size = sum(file.stat().st_size for file in ir.parent.iterdir())
    found = peak_memory.measure(ir, samples, VARIANT)
    assert found is not None
    # Python and OpenVINO alone hold tens of megabytes.
    assert max(size, 2e7) < found < 2e9


def test_a_variant_that_cannot_be_run_has_none(tmp_path: Path, samples: Path) -> None:
    assert peak_memory.measure(tmp_path / MODEL_FILE, samples, VARIANT) is None


def test_a_variant_that_hangs_has_none(
    ir: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak_memory, "TIMEOUT_S", 0.01)
    assert peak_memory.measure(ir, samples, VARIANT) is None


def test_the_peak_is_the_high_water_mark_of_resident_memory() -> None:
    assert peak_memory.peak_of_this_process(STATUS) == 1024 * 1024
