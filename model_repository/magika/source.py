"""Where Magika's trained model is, and the real files of known type that it is judged on.

Files come from installed packages and from Python itself, and are made by real programs from those:
all of one machine's builds find the same ones, as long as no package changes. A file's type is
known by its suffix, where only one type has it, or by the program that wrote it.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib.metadata
import io
import json
import lzma
import pickle
import py_compile
import sqlite3
import sysconfig
import tarfile
import tempfile
import wave
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import magika
import numpy as np
from magika import Magika
from magika.types import Seekable

if TYPE_CHECKING:
    from PIL import Image

MODEL = Path(magika.__file__).parent / "models" / "standard_v3_3"
GROUPS = Path(magika.__file__).parent / "config" / "content_types_kb.min.json"
# Any of them that is installed; together they hold files of all the types below.
PACKAGES = (
    "certifi",
    "locust",
    "matplotlib",
    "networkx",
    "nncf",
    "numpy",
    "nvidia-modelopt",
    "onnx",
    "openvino",
    "pandas",
    "pip",
    "playwright",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "setuptools",
    "torch",
)
TYPES = {
    ".c": "c",
    ".cc": "cpp",
    ".cmake": "cmake",
    ".cpp": "cpp",
    ".css": "css",
    ".csv": "csv",
    ".exe": "pebin",
    ".f90": "fortran",
    ".gif": "gif",
    ".hpp": "cpp",
    ".html": "html",
    ".ini": "ini",
    ".jpg": "jpeg",
    ".js": "javascript",
    ".json": "json",
    ".md": "markdown",
    ".npy": "npy",
    ".npz": "npz",
    ".onnx": "onnx",
    ".pdf": "pdf",
    ".pem": "pem",
    ".png": "png",
    ".proto": "proto",
    ".ps1": "powershell",
    ".py": "python",
    ".pyx": "python",
    ".rst": "rst",
    ".sh": "shell",
    ".so": "elf",
    ".svg": "svg",
    ".toml": "toml",
    ".ttf": "ttf",
    ".yaml": "yaml",
}
AT_MOST_OF_TYPE = 32
AT_MOST_OF_PACKAGE = 12  # of one type
AT_MOST_BYTES = 1_000_000
MADE_OF_TYPE = 32
# Every fourth file of a type goes to calibration.
CALIBRATION_EVERY = 4


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """A file of known type: `features` are what the model takes of it, int32 [2048]."""

    name: str
    content: bytes
    label: str
    features: np.ndarray


def model_file() -> Path:
    """The trained model in the package: bytes int32 [N, 2048] → target_label float32 [N, 214]."""
    return MODEL / "model.onnx"


def evaluation() -> dict[str, np.ndarray]:
    """`bytes` int32 [N, 2048], N >= 600: a byte each, or 256 where a short file has none.

    `labels` int64 [N]: the type of each file, as its line in labels.txt. `slices` str [N]: what
    kind of type that is: code, image, archive and so on.
    """
    lines = {label: number for number, label in enumerate(target_labels())}
    kinds = json.loads(GROUPS.read_text(encoding="utf-8"))
    files = split()[0]
    return {
        "bytes": np.stack([file.features for file in files]),
        "labels": np.array([lines[file.label] for file in files], np.int64),
        "slices": np.array([kinds[file.label]["group"] for file in files]),
    }


def calibration() -> np.ndarray:
    """int32 [N, 2048], N >= 150: none of them among the evaluation's."""
    return np.stack([file.features for file in split()[1]])


def target_labels() -> list[str]:
    """The 214 types that the model tells apart, in the order of its output."""
    config = json.loads((MODEL / "config.min.json").read_text(encoding="utf-8"))
    return config["target_labels_space"]


@cache
def split() -> tuple[list[KnownFile], list[KnownFile]]:
    """The files of the evaluation, and those of calibration, type by type in a fixed order."""
    types: defaultdict[str, list[KnownFile]] = defaultdict(list)
    for file in known_files():
        types[file.label].append(file)
    evaluation: list[KnownFile] = []
    calibration: list[KnownFile] = []
    for label in sorted(types):
        for number, file in enumerate(types[label]):
            of_calibration = number % CALIBRATION_EVERY == CALIBRATION_EVERY - 1
            (calibration if of_calibration else evaluation).append(file)
    return evaluation, calibration


def known_files() -> Iterator[KnownFile]:
    """Files that are told apart by what the model sees of them; too short ones it never sees."""
    identify = Magika()
    seen: set[bytes] = set()
    counts: defaultdict[str, int] = defaultdict(int)
    for name, label, content in (*found_files(), *made_files()):
        if counts[label] >= AT_MOST_OF_TYPE:
            continue
        # Not public, but Magika's own: what the model is asked is then exactly what Magika asks.
        _, found = identify._get_result_or_features_from_seekable(Seekable(io.BytesIO(content)))
        if found is None:
            continue
        features = np.array([*found.beg, *found.end], np.int32)
        if features.tobytes() not in seen:
            seen.add(features.tobytes())
            counts[label] += 1
            yield KnownFile(name=name, content=content, label=label, features=features)


def found_files() -> Iterator[tuple[str, str, bytes]]:
    """(name, type, content) of files in packages, and of Python's own modules."""
    for package in PACKAGES:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        taken: defaultdict[str, int] = defaultdict(int)
        for file in sorted(files, key=str):
            label = TYPES.get(file.suffix)
            if label is None or taken[label] >= AT_MOST_OF_PACKAGE or _is_odd(file):
                continue
            path = Path(str(file.locate()))
            if path.is_file() and path.stat().st_size <= AT_MOST_BYTES:
                taken[label] += 1
                yield str(file), label, path.read_bytes()
    for path in python_modules():
        yield path.name, "python", path.read_bytes()


def _is_odd(file: PurePath) -> bool:
    """Broken on purpose, filled in later, or plain text whatever its suffix says."""
    return (
        "tests" in file.parts
        or any("template" in part for part in file.parts)
        or file.stem.upper() in {"LICENSE", "NOTICE", "COPYING"}
    )


def python_modules() -> list[Path]:
    """Modules that come with Python, the same ones wherever it is installed."""
    return sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py"))


def made_files() -> Iterator[tuple[str, str, bytes]]:
    """(name, type, content) of files that real programs make of Python's own modules and photos."""
    modules = python_modules()
    parts = [modules[start::MADE_OF_TYPE] for start in range(MADE_OF_TYPE)]
    for label, write in WRITERS.items():
        for number, part in enumerate(parts):
            yield f"{label} {number}", label, write(part)
    for number, picture in enumerate(pictures()):
        for label, form in PICTURE_FORMS.items():
            buffer = io.BytesIO()
            picture.save(buffer, form)
            yield f"{label} {number}", label, buffer.getvalue()


def _zip(modules: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in modules[:5]:
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return buffer.getvalue()


def _tar(modules: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in modules[:5]:
            member = tarfile.TarInfo(path.name)
            member.size = path.stat().st_size
            archive.addfile(member, io.BytesIO(path.read_bytes()))
    return buffer.getvalue()


def _sqlite(modules: list[Path]) -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE {modules[0].stem} (name TEXT, lines INTEGER, body TEXT)")
        for path in modules:
            text = path.read_text(encoding="utf-8")
            row = (path.name, text.count("\n"), text)
            database.execute(f"INSERT INTO {modules[0].stem} VALUES (?, ?, ?)", row)
        database.commit()
        return database.serialize()


def _wav(modules: list[Path]) -> bytes:
    """Half a second of a falling tone, as high as the module is long."""
    seconds = np.arange(4000) / 8000
    pitch_hz = 100 + modules[0].stat().st_size % 1000
    tone = np.sin(2 * np.pi * pitch_hz * seconds) * np.exp(-4 * seconds)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes((tone * 20_000).astype("<i2").tobytes())
    return buffer.getvalue()


def _bytecode(modules: list[Path]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "module.pyc"
        # By hash, not by time: the same module gives the same bytes everywhere.
        how = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(
            str(modules[0]), str(file), modules[0].name, doraise=True, invalidation_mode=how
        )
        return file.read_bytes()


def _lines(modules: list[Path]) -> list[dict[str, str | int]]:
    text = modules[0].read_text(encoding="utf-8")
    return [
        {"line": number, "words": len(line.split()), "text": line.strip()}
        for number, line in enumerate(text.splitlines())
        if line.strip()
    ][:60]


def _csv(modules: list[Path]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["module", "line", "words", "characters"])
    for row in _lines(modules):
        writer.writerow([modules[0].stem, row["line"], row["words"], len(str(row["text"]))])
    return buffer.getvalue().encode()


def _xml(modules: list[Path]) -> bytes:
    from xml.etree import ElementTree

    root = ElementTree.Element("module", name=modules[0].stem)
    for row in _lines(modules):
        line = ElementTree.SubElement(root, "line", number=str(row["line"]))
        line.text = str(row["text"])
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _html(modules: list[Path]) -> bytes:
    rows = "".join(
        f"<tr><td>{row['line']}</td><td>{escape(str(row['text']))}</td></tr>\n"
        for row in _lines(modules)
    )
    title = modules[0].stem
    return (
        f"<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
        f"<table>\n{rows}</table>\n</body>\n</html>\n"
    ).encode()


WRITERS: dict[str, Callable[[list[Path]], bytes]] = {
    "bzip": lambda modules: bz2.compress(modules[0].read_bytes()),
    "csv": _csv,
    "gzip": lambda modules: gzip.compress(modules[0].read_bytes(), mtime=0),
    "html": _html,
    "json": lambda modules: json.dumps(_lines(modules), indent=1).encode(),
    "pickle": lambda modules: pickle.dumps(_lines(modules), protocol=4),
    "pythonbytecode": _bytecode,
    "sqlite": _sqlite,
    "tar": _tar,
    "wav": _wav,
    "xml": _xml,
    "xz": lambda modules: lzma.compress(modules[0].read_bytes()),
    "zip": _zip,
}
PICTURE_FORMS = {
    "bmp": "BMP",
    "gif": "GIF",
    "ico": "ICO",
    "jpeg": "JPEG",
    "png": "PNG",
    "tiff": "TIFF",
    "webp": "WEBP",
}


def pictures() -> list[Image.Image]:
    """24 crops of photos that ship with scikit-image, for Pillow to write."""
    from PIL import Image
    from skimage import data

    photos = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    return [
        Image.fromarray(photo[top : top + 120, left : left + 160])
        for photo in photos
        for top in (0, 140)
        for left in (0, 120, 240)
    ]
