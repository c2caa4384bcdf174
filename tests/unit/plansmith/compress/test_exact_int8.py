"""Whether a CPU sums INT8 products without overflow, and what is done where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest

from int8_networks import IMAGES, save_convolutions
from plansmith.compress.cpu_int8 import quantise
from plansmith.compress.exact_int8 import has_exact_int8


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_convolutions(tmp_path_factory.mktemp("models") / "convolutions.onnx")


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("flags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: avx_vnni avx2\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("model name\t: avx512_vnni\n", False),
    ],
)
def test_exact_products_are_told_from_the_cpu_s_flags(
    tmp_path: Path, text: str, exact: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_exact_int8(tmp_path / "cpuinfo") is exact


def test_a_cpu_that_tells_nothing_is_not_trusted(tmp_path: Path) -> None:
    assert has_exact_int8(tmp_path / "missing") is False


def largest_weight(path: Path) -> int:
    model = openvino.Core().read_model(path)
    stored = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
    int8 = [op.data for op in stored if op.get_element_type() == openvino.Type.i8]
    # A depthwise layer, of one product per channel and tap, has no pairs that could overflow.
    paired = [array.astype(np.int64) for array in int8 if array.ndim < 5]
    return max(int(np.abs(array).max()) for array in paired)


@pytest.mark.parametrize(("exact", "largest"), [(False, 64), (True, 128)])
def test_half_the_range_is_used_where_products_would_overflow(
    convolutions: Path, tmp_path: Path, exact: bool, largest: int
) -> None:
    quantise(convolutions, IMAGES, tmp_path / "model.xml", exact_int8=exact)
    assert largest / 2 < largest_weight(tmp_path / "model.xml") <= largest
