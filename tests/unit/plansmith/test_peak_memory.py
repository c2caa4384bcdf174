"""Peak memory: what a process of its own held while it ran one variant, or nothing."""

from __future__ import annotations

import mmap
from dataclasses import replace
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


def request(ir: Path, samples: Path, variant: Variant = VARIANT) -> peak_memory.Request:
    return peak_memory.Request(path=str(ir), samples=str(samples), variant=variant)


def test_a_real_variant_needs_more_than_its_files_and_no_gigabytes(ir: Path, samples: Path) -> None:
    size = sum(file.stat().st_size for file in ir.parent.iterdir())
    (found,) = peak_memory.measure([request(ir, samples)])
    assert found is not None
    # Python and OpenVINO alone hold tens of megabytes.
    assert max(size, 2e7) < found < 2e9


def test_what_one_variant_needs_is_not_counted_to_the_next(ir: Path, samples: Path) -> None:
    rows = 1 << 19  # of 8 numbers in FP32: 16 MiB more of input alone
    large = request(ir, samples, replace(VARIANT, batch_size=rows))
    small = request(ir, samples)
    before, between, after = peak_memory.measure([small, large, small])
    assert before is not None
    assert between is not None
    assert after is not None
    assert between > max(before, after) + rows * 8 * 4


def test_a_variant_that_cannot_be_run_has_none_and_the_others_go_on(
    ir: Path, tmp_path: Path, samples: Path
) -> None:
    missing = request(tmp_path / MODEL_FILE, samples)
    found = peak_memory.measure([missing, request(ir, samples)])
    assert found[0] is None
    assert found[1] is not None


def test_a_variant_that_hangs_has_none(
    ir: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak_memory, "TIMEOUT_S", 0.001)
    assert peak_memory.measure([request(ir, samples)]) == [None]


def test_the_peak_is_the_high_water_mark_of_resident_memory() -> None:
    assert peak_memory.peak_of_this_process(STATUS) == 1024 * 1024


def test_pages_of_a_file_are_this_processs_once_it_touches_them(tmp_path: Path) -> None:
    pages = 64
    (tmp_path / "file").write_bytes(bytes(pages * peak_memory.PAGE_BYTES))
    with (tmp_path / "file").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    before = set(peak_memory.file_pages().tolist())
    assert sum(mapped[:: peak_memory.PAGE_BYTES]) == 0
    assert len(set(peak_memory.file_pages().tolist()) - before) >= pages
