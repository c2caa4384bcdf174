"""The first bytes of an engine file: which library wrote it, for which GPUs, and is it whole.

TensorRT: NVIDIA/TensorRT samples/common/sampleEngines.cpp (`printPlanVersion`) reads the tag
"ftrt", a serialization version 0 and, at byte 24, the library's version. It documents no more, and
no such file could be examined here: whether one is whole shows only in its digest.

TensorRT-RTX: found by comparing files that 1.7.1.116 wrote for each compute capability. The same
layout with the tag "vtrt", the file's length at byte 16, and one bit a compute capability at byte
32. Runtime.engine_header_size says 64 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from plansmith.engines.passport import LibraryName
from plansmith.errors import UnusableInput

HEADER_BYTES = 64
_TAGS: dict[bytes, LibraryName] = {b"ftrt": "tensorrt", b"vtrt": "tensorrt-rtx"}
_CAPABILITY_BITS = {
    0x01: "7.5",
    0x02: "8.0",
    0x04: "8.6",
    0x08: "8.9",
    0x10: "12.0",
    0x20: "12.1",
}
# What other files begin with: https://en.wikipedia.org/wiki/List_of_file_signatures for ZIP and
# gzip; protobuf's first field of an ONNX ModelProto is ir_version, a varint.
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive, perhaps a PyTorch model"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<?xml", "XML, perhaps an OpenVINO model"),
    (b"\x08", "perhaps an ONNX model"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"),
)


@dataclass(frozen=True, kw_only=True)
class PlanHeader:
    """What an engine file says of itself.

    `declared_bytes` is the file's length as the header has it, and `compute_capabilities` are the
    GPUs it was compiled for; both are known for TensorRT-RTX only: None and empty for TensorRT.
    """

    library: LibraryName
    version: str
    declared_bytes: int | None
    compute_capabilities: tuple[str, ...]


def read_header(plan: Path, expect: LibraryName | None = None) -> PlanHeader:
    """The header of the engine file at `plan`.

    Raises UnusableInput where it cannot be read, is no engine, is not of the library `expect`, or
    is shorter or longer than its header says.
    """
    try:
        with plan.open("rb") as file:
            head = file.read(HEADER_BYTES)
        size = plan.stat().st_size
    except OSError as error:
        raise UnusableInput(f"{plan}: cannot be read: {error.strerror}") from error
    return parse_header(head, size, str(plan), expect)


def parse_header(
    head: bytes, size_bytes: int, name: str, expect: LibraryName | None = None
) -> PlanHeader:
    """The header in the first 64 bytes of an engine file of `size_bytes`; see `read_header`."""
    library = _TAGS.get(head[:4])
    if library is None:
        looks = next((says for tag, says in _OTHERS if head.startswith(tag)), "of an unknown kind")
        what = "is empty" if not head else f"is no TensorRT engine but {looks}"
        raise UnusableInput(f"{name}: {what}; build it again")
    if len(head) < HEADER_BYTES:
        raise UnusableInput(f"{name}: is cut off after {size_bytes} bytes; build or copy it again")
    (serialization,) = struct.unpack_from("<I", head, 4)
    if serialization != 0:
        raise UnusableInput(
            f"{name}: has serialization version {serialization}, of which nothing is known here"
        )
    if expect is not None and library != expect:
        raise UnusableInput(f"{name}: is an engine of {library}, not of {expect}")
    version = ".".join(str(part) for part in head[24:28])
    if library == "tensorrt":
        return PlanHeader(
            library=library, version=version, declared_bytes=None, compute_capabilities=()
        )
    (declared,) = struct.unpack_from("<Q", head, 16)
    if declared != size_bytes:
        fault = "is cut off" if size_bytes < declared else "has something appended"
        raise UnusableInput(
            f"{name}: {fault}: {size_bytes} bytes, its header says {declared}; "
            "build or copy it again"
        )
    (mask,) = struct.unpack_from("<Q", head, 32)
    return PlanHeader(
        library=library,
        version=version,
        declared_bytes=declared,
        compute_capabilities=tuple(cc for bit, cc in _CAPABILITY_BITS.items() if mask & bit),
    )
