"""Files whose reading would run code, known without reading them so; and none is read so here."""

from __future__ import annotations

import ast
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from plansmith import places
from plansmith.integrity.pickles import pickle_like

# Of the standard library and beside it: what turns bytes into any object they ask for.
UNPICKLERS = {"pickle", "_pickle", "shelve", "marshal", "joblib", "dill", "cloudpickle"}
SOURCES = sorted(
    path
    for folder in ("build/plansmith", "client/plansmith_client", "loadtests", "deploy")
    for path in (places.PROJECT / folder).rglob("*.py")
)


@pytest.mark.parametrize("name", ["weights.pkl", "weights.PICKLE", "scaler.joblib"])
def test_a_pickle_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert pickle_like(tmp_path / name) is not None


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_pytorchs_archive_of_a_pickle_is_known(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"")
        archive.writestr("model/data/0", bytes(8))
    assert pickle_like(path) == "holds model/data.pkl"


def test_what_pytorch_saves_is_known_in_both_its_formats(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs pip install torch")
    for name, is_new in (("new.pt", True), ("old.pt", False)):
        path = tmp_path / name
        torch.save({"w": torch.zeros(2)}, path, _use_new_zipfile_serialization=is_new)
        assert pickle_like(path) is not None, name


def test_arrays_of_python_objects_are_known(tmp_path: Path) -> None:
    objects = np.array([b"a", None], dtype=object)
    np.save(tmp_path / "a.npy", objects)
    np.savez(tmp_path / "b.npz", x=np.zeros(3), y=objects)
    assert pickle_like(tmp_path / "a.npy") == "is an array of Python objects"
    assert pickle_like(tmp_path / "b.npz") == "holds Python objects in y.npy"


def test_what_holds_no_pickle_is_let_through(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "golden.npz", x=np.zeros(3))
    (tmp_path / "model.bin").write_bytes(b"\x80\x02 weights that begin like a pickle")
    (tmp_path / "empty.bin").touch()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("weights", bytes(8))
    (tmp_path / "other.bin").write_bytes(archive.getvalue())
    assert [path for path in tmp_path.iterdir() if pickle_like(path)] == []


def test_nothing_is_unpickled_to_find_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.array([None], dtype=object))
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.delattr(pickle, name)
    assert pickle_like(tmp_path / "a.npy") is not None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(places.PROJECT)))
def test_no_module_of_ours_can_load_a_pickle(path: Path) -> None:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in UNPICKLERS else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += _unsafe(node, node.func)
    assert found == []


def _unsafe(call: ast.Call, function: ast.Attribute) -> list[str]:
    """numpy.load and the like, and torch.load, unless they are told not to unpickle."""
    said = {one.arg: getattr(one.value, "value", None) for one in call.keywords}
    of = ast.unparse(function.value)
    name = f"{of}.{function.attr}, line {call.lineno}"
    if of in ("np", "numpy", "np.lib.format") and function.attr in ("load", "read_array"):
        return [] if said.get("allow_pickle") is False else [name]
    if of == "torch" and function.attr == "load":
        return [] if said.get("weights_only") is True else [name]
    return []
