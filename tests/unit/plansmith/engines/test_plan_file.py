"""Headers of engine files: a real one of TensorRT-RTX, cut off, foreign, and TensorRT's tag."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plansmith.engines.passport import EnginePassport
from plansmith.engines.plan_file import HEADER_BYTES, parse_header, read_header
from plansmith.errors import UnusableInput

Engine = tuple[Path, EnginePassport]
# What NVIDIA's printPlanVersion would take for an engine of TensorRT 10.16.1.11; no real file.
TENSORRT_HEAD = struct.pack("<4sI16s4B", b"ftrt", 0, bytes(16), 10, 16, 1, 11).ljust(64, b"\0")


def test_a_real_engine_tells_library_version_length_and_gpu(engine: Engine) -> None:
    import tensorrt_rtx

    plan, _ = engine
    header = read_header(plan)
    assert (header.library, header.version) == ("tensorrt-rtx", tensorrt_rtx.__version__)
    assert header.declared_bytes == plan.stat().st_size
    assert header.compute_capabilities == ("8.6",)


def test_the_header_is_as_long_as_the_library_says(engine: Engine) -> None:
    del engine  # skips where the library is missing
    import tensorrt_rtx

    quiet = tensorrt_rtx.Logger(tensorrt_rtx.Logger.INTERNAL_ERROR)
    assert tensorrt_rtx.Runtime(quiet).engine_header_size == HEADER_BYTES


@given(st.data())
def test_an_engine_cut_off_anywhere_is_found(engine: Engine, data: st.DataObject) -> None:
    whole = engine[0].read_bytes()
    left = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UnusableInput, match=r"is cut off|is empty|no TensorRT engine"):
        parse_header(whole[:left][:HEADER_BYTES], left, "model.plan")


@given(st.integers(1, 2**40))
def test_an_engine_with_something_appended_is_found(engine: Engine, more: int) -> None:
    whole = engine[0].read_bytes()
    with pytest.raises(UnusableInput, match="has something appended"):
        parse_header(whole[:HEADER_BYTES], len(whole) + more, "model.plan")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\x08\x08\x12\x04test".ljust(64), "ONNX"),
        (b"PK\x03\x04".ljust(64), "ZIP"),
        (b"<?xml version".ljust(64), "OpenVINO"),
        (b"version https://git-lfs.github.com/spec/v1".ljust(64), "git lfs pull"),
        (b"\xff" * 64, "unknown kind"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "model.plan").write_bytes(content)
    with pytest.raises(UnusableInput, match=says):
        read_header(tmp_path / "model.plan")


def test_a_real_onnx_file_is_no_engine(engine: Engine) -> None:
    with pytest.raises(UnusableInput, match="ONNX"):
        read_header(engine[0].with_name("model.onnx"))


def test_an_engine_of_the_other_library_is_found(engine: Engine) -> None:
    with pytest.raises(UnusableInput, match="of tensorrt-rtx, not of tensorrt"):
        read_header(engine[0], "tensorrt")


def test_tensorrt_tells_its_version_and_no_more() -> None:
    header = parse_header(TENSORRT_HEAD, 10**6, "model.plan")
    assert (header.library, header.version) == ("tensorrt", "10.16.1.11")
    assert (header.declared_bytes, header.compute_capabilities) == (None, ())


def test_a_serialization_nobody_knows_is_refused() -> None:
    head = TENSORRT_HEAD[:4] + struct.pack("<I", 7) + TENSORRT_HEAD[8:]
    with pytest.raises(UnusableInput, match="serialization version 7"):
        parse_header(head, 10**6, "model.plan")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="cannot be read"):
        read_header(tmp_path / "model.plan")
