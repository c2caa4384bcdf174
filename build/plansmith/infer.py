"""Files → one call each to a served model, typed by the model's own metadata."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import LacksSomething, PlansmithError, UnusableInput

if TYPE_CHECKING:
    from PIL.Image import Image

    from plansmith_client import Client, ModelMetadata, Ranked, TensorMetadata

# What a classifier trained on ImageNet is judged on: the middle of the picture, of which the model
# sees seven eighths of the shorter side. Source: "crop_padding = 32" of 256 in
# tensorflow/tpu models/official/efficientnet/preprocessing.py.
MIDDLE_SHARE = 0.875
ARRAY_SUFFIXES = (".npy",)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server said of one file: ranked classes of each item, or the outputs as they are.

    `classes` is empty where the model's output has no labels on the server.
    """

    file: Path
    classes: tuple[tuple[Ranked, ...], ...]
    outputs: dict[str, NDArray[Any]]


def ask(
    model: str, files: Sequence[Path], *, url: str, top: int, timeout_s: float
) -> tuple[Answer, ...]:
    """The answers for `files` in order.

    Raises UnusableInput for a file that cannot be read or that does not fit the model, and for a
    model that is not there; LacksSomething without the client; PlansmithError where the server
    cannot be reached or fails.
    """
    with connected(url, timeout_s) as client:
        served = client.model(model)
        metadata = served.metadata()
        arrays = [read_input(file, metadata) for file in files]
        labelled = _ranks(metadata)
        answers: list[Answer] = []
        for file, array in zip(files, arrays, strict=True):
            classes: tuple[tuple[Ranked, ...], ...] = ()
            if labelled:
                classes = tuple(tuple(item) for item in served.classify(array, top=top))
                # As for the first file, so for all: labels are the model's.
                labelled = any(one.label is not None for item in classes for one in item)
            if labelled:
                answers.append(Answer(file=file, classes=classes, outputs={}))
                continue
            # A model that answers by stream gives any number of them; any other one.
            feed = {metadata.inputs[0].name: array}
            found = served.stream(feed) if metadata.decoupled else [served.infer(feed)]
            answers += [Answer(file=file, classes=(), outputs=outputs) for outputs in found]
        return tuple(answers)


@contextmanager
def connected(url: str, timeout_s: float) -> Generator[Client, None, None]:
    """A client of the server at `url`; the client's errors become this program's."""
    from plansmith_client import (
        Client,
        InvalidInput,
        MissingExtra,
        ModelNotFound,
        PlansmithClientError,
    )

    try:
        with Client(url, timeout_s=timeout_s) as client:
            yield client
    except MissingExtra as error:
        raise LacksSomething(str(error)) from error
    except (InvalidInput, ModelNotFound) as error:
        raise UnusableInput(str(error)) from error
    except PlansmithClientError as error:
        raise PlansmithError(str(error)) from error


def _ranks(metadata: ModelMetadata) -> bool:
    """Whether the only output may be class scores: one row of numbers for each item, at once."""
    from plansmith_client.classification import RANKED_DTYPES

    if metadata.decoupled or len(metadata.outputs) != 1:
        return False
    (output,) = metadata.outputs
    rank = 2 if metadata.max_batch_size else 1
    return output.dtype in RANKED_DTYPES and len(output.shape) == rank


def read_input(file: Path, metadata: ModelMetadata) -> NDArray[Any]:
    """`file` as the array that the model's only input takes, with the batch axis if it batches.

    A picture becomes the middle of it at the model's size, or stays whole where that is free; an
    .npy is sent as it is, one item or a batch of them; any file is a text to a model that takes
    one. Raises UnusableInput.
    """
    if len(metadata.inputs) != 1:
        names = ", ".join(spec.name for spec in metadata.inputs)
        raise UnusableInput(
            f"{metadata.name}: has inputs {names}: use plansmith_client for more than one"
        )
    spec = metadata.inputs[0]
    if not file.is_file():
        raise UnusableInput(f"{file}: no such file")
    if file.suffix in ARRAY_SUFFIXES:
        return _read_array(file, spec)
    item = spec.shape[1:] if metadata.max_batch_size else spec.shape
    if spec.dtype == "BYTES" and item == (1,):
        return _read_text(file, batched=bool(metadata.max_batch_size))
    if spec.dtype != "UINT8" or len(item) != 3 or item[2] != 3:
        raise UnusableInput(
            f"{file}: {metadata.name} takes {spec.dtype} {list(item)}, which is not a picture "
            "(UINT8 [height, width, 3]): give an .npy"
        )
    if -1 in item:
        picture = read_whole_picture(file)
    else:
        picture = read_picture(file, height=item[0], width=item[1])
    return picture[None] if metadata.max_batch_size else picture


def _read_text(file: Path, *, batched: bool) -> NDArray[Any]:
    """The file's bytes as one BYTES item, without the newline that ends a text file."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnusableInput(f"{file}: cannot be read: {error.strerror}") from error
    text = np.empty((1, 1) if batched else (1,), object)
    text[...] = content.removesuffix(b"\n")
    return text


def _read_array(file: Path, spec: TensorMetadata) -> NDArray[Any]:
    try:
        # Not np.load(), which opens archives too. Never unpickles: data must not run code.
        with file.open("rb") as opened:
            array = np.lib.format.read_array(opened, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UnusableInput(f"{file}: not a readable .npy file: {error}") from error
    return array[None] if array.ndim == len(spec.shape) - 1 else array


def read_picture(file: Path, *, height: int, width: int) -> NDArray[np.uint8]:
    """The middle of the picture in `file`, uint8 [height, width, 3] RGB."""
    from PIL import Image

    picture = _open_picture(file)
    scale = min(picture.width / width, picture.height / height) * MIDDLE_SHARE
    across, down = width * scale, height * scale
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    box = (left, top, left + across, top + down)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))


def read_whole_picture(file: Path) -> NDArray[np.uint8]:
    """The picture in `file`, uint8 [height, width, 3] RGB."""
    return np.asarray(_open_picture(file))


def _open_picture(file: Path) -> Image:
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            # A camera notes which way up it was held instead of turning the pixels.
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableInput(f"{file}: not a readable picture: {error}") from error
