"""A folder of image files → pixels as callers would send them, and the classes in their folders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import LacksSomething, UnusableInput
from plansmith.tensors import TensorSpec

MODES = {1: "L", 3: "RGB"}
NAMED_AT_MOST = 5


@dataclass(frozen=True, kw_only=True)
class Images:
    """`pixels`: uint8 [N, height, width, channels]; `files`: the N paths within the folder.

    `skipped` are the files that could not be decoded.
    """

    pixels: NDArray[np.uint8]
    files: tuple[str, ...]
    skipped: tuple[str, ...]


def load_images(
    key: str, place: str, folder: Path, spec: TensorSpec, max_undecodable: float
) -> Images:
    """All images below `folder / place` in the order of their paths, hidden files left out.

    Each is turned the way up that the camera noted, scaled so that it just covers the model's size,
    and cut to the middle. Raises UnusableInput where there is none, where more than the share
    `max_undecodable` (0..1) cannot be decoded, and where `spec` takes no pictures; LacksSomething
    without Pillow.
    """
    _check_spec(key, spec)
    root = folder / place
    if not root.is_dir():
        raise UnusableInput(f"{key}: {root}: no such folder")
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not names:
        raise UnusableInput(f"{key}: {root}: holds no file; expected images")
    pixels = np.empty((len(names), *spec.shape), np.uint8)
    files: list[str] = []
    skipped: list[str] = []
    for name in names:
        picture = _decoded(root / name, spec.shape)
        if picture is None:
            skipped.append(name)
        else:
            pixels[len(files)] = picture
            files.append(name)
    _check_skipped(f"{key}: {root}", skipped, len(names), max_undecodable)
    return Images(pixels=pixels[: len(files)], files=tuple(files), skipped=tuple(skipped))


def folder_classes(files: Sequence[str]) -> list[str] | None:
    """The name of the folder that each of `files` lies in, or None where one lies in none."""
    folders = [name.partition("/")[0] for name in files if "/" in name]
    return folders if len(folders) == len(files) else None


def _check_spec(key: str, spec: TensorSpec) -> None:
    if spec.dtype != "uint8" or spec.shape[2:] not in ((1,), (3,)) or -1 in spec.shape:
        raise UnusableInput(
            f"{key}: a folder of images goes into an input that is uint8 [height, width, 3] or "
            f"[height, width, 1]; {spec.name} is {spec.dtype} {list(spec.shape)}: give arrays"
        )


def _check_skipped(where: str, skipped: Sequence[str], count: int, max_share: float) -> None:
    if len(skipped) <= max_share * count and len(skipped) < count:
        return
    more = ", ..." if len(skipped) > NAMED_AT_MOST else ""
    raise UnusableInput(
        f"{where}: {len(skipped)} of {count} files cannot be decoded as images, "
        f"data.max_undecodable is {max_share:g}: {', '.join(skipped[:NAMED_AT_MOST])}{more}; "
        "remove them, or raise that share"
    )


def _decoded(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """uint8 `shape` ([height, width, channels]), or None where `file` is no readable image."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise LacksSomething("a folder of images needs Pillow: pip install pillow") from error
    height, width, channels = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata and of very large pictures
            with Image.open(file) as opened:
                picture = ImageOps.exif_transpose(opened).convert(MODES[channels])
    except Exception:  # Pillow's decoders raise many kinds on broken files, SyntaxError too
        return None
    fitted = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(fitted, np.uint8).reshape(shape)
