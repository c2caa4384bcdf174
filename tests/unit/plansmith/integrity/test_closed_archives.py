"""Archives of weights and arrays that cannot be looked into, and what hides behind another start.

Such a file may hold a pickle: whoever reads it need not be as strict as Python's zipfile.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plansmith.integrity.pickles import pickle_like

CLOSED = "cannot be looked into: "


def archive_of(compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("model/weights", bytes(range(256)))
    return file.getvalue()


def in_directory(archive: bytes, at: int, value: int) -> bytes:
    """`archive` of one member with another 16-bit number in its entry of the directory."""
    place = archive.index(b"PK\x01\x02") + at
    return archive[:place] + struct.pack("<H", value) + archive[place + 2 :]


BROKEN = {
    "cut off": b"PK\x03\x04 cut off",
    "without a directory": archive_of()[:-30],
    "of an unknown compression": in_directory(archive_of(), 10, 99),
    "encrypted": in_directory(archive_of(), 8, 1),
    "of a later ZIP": in_directory(archive_of(), 6, 99),
    "of damaged bytes": archive_of().replace(bytes(range(256)), bytes(256)),
    "of damaged compressed bytes": archive_of(zipfile.ZIP_DEFLATED).replace(b"\x63", b"\xff", 1),
    "of damaged bzip2": archive_of(zipfile.ZIP_BZIP2).replace(b"BZh", b"xxx"),
    "of damaged LZMA": in_directory(archive_of(), 10, zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".npz"])
@pytest.mark.parametrize("what", BROKEN)
def test_an_archive_that_cannot_be_looked_into_may_hold_a_pickle(
    tmp_path: Path, what: str, suffix: str
) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(BROKEN[what])
    assert (pickle_like(path) or "").startswith(CLOSED)


def test_the_message_tells_what_kept_it_from_being_looked_into(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(BROKEN["cut off"])
    found = pickle_like(tmp_path / "model.pt")
    assert found == "cannot be looked into: File is not a zip file; it may hold a pickle"


def test_a_pickles_name_is_told_though_nothing_can_be_read_of_it(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    (tmp_path / "model.pt").write_bytes(in_directory(file.getvalue(), 8, 1))
    assert pickle_like(tmp_path / "model.pt") == "holds model/data.pkl"


@pytest.mark.parametrize("name", ["model.bin", "scores.npy"])
def test_numbers_that_end_as_an_archive_does_by_chance_are_let_through(
    tmp_path: Path, name: str
) -> None:
    start = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1'" if name.endswith(".npy") else b"\x01\x02"
    (tmp_path / name).write_bytes(start + bytes(64) + b"PK\x05\x06" + b"\xff" * 40)
    assert pickle_like(tmp_path / name) is None


def test_an_archive_at_the_end_hides_nothing_that_stands_at_the_start(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([None], dtype=object))
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"w": 1}, protocol=2))
    for name in ("a.npy", "b.pt"):
        with (tmp_path / name).open("ab") as file:
            file.write(archive_of())
    assert pickle_like(tmp_path / "a.npy") == "is an array of Python objects"
    assert pickle_like(tmp_path / "b.pt") == "begins as a pickle"


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "array.npy", "arrays.npz"])
def test_a_bare_pickle_is_known_under_the_names_of_what_would_unpickle_it(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps([1, 2], protocol=4))
    assert pickle_like(tmp_path / name) == "begins as a pickle"


def test_records_with_a_python_object_are_an_array_of_them(tmp_path: Path) -> None:
    records = np.array([(1, None)], dtype=[("number", "<i8"), ("other", object)])
    np.save(tmp_path / "a.npy", records)
    assert pickle_like(tmp_path / "a.npy") == "is an array of Python objects"


def test_a_member_of_another_name_is_an_array_by_how_it_begins(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([None], dtype=object))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("y", file.getvalue())
    assert pickle_like(tmp_path / "a.npz") == "holds Python objects in y"


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_an_archive_is_damaged_by_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 12, 14]))
    content = bytearray(archive_of(method))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "model.pt"
    path.write_bytes(content)
    found = pickle_like(path)
    assert found is None or found.startswith((CLOSED, "holds "))
