"""What one word of the command line holds, a file's content or a value, as the model's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput
from plansmith.infer import audio
from plansmith.infer.arrays import array_of, arrays_of, is_inputs, parsed, read_npy, read_npz
from plansmith.infer.inputs import Input
from plansmith.infer.pictures import read_picture

STDIN = "-"


@dataclass(frozen=True, kw_only=True)
class Content:
    """Bytes and where they are from; `suffix` is the file's or, of stdin, what they look like."""

    source: str
    data: bytes
    suffix: str


class Reader:
    """Reads for one model, whose inputs are `known`. `rate_hz`: of the sound that it takes."""

    def __init__(self, known: tuple[Input, ...], *, rate_hz: int, stdin: BinaryIO) -> None:
        self.known = known
        self._rate_hz = rate_hz
        self._stdin: BinaryIO | None = stdin

    def content(self, word: str) -> Content:
        """What the file, or stdin for "-", holds. Raises UnusableInput."""
        if word == STDIN:
            if self._stdin is None:
                raise UnusableInput("-: stdin can be read once only: save it to a file")
            data, self._stdin = self._stdin.read(), None
            return Content(source=word, data=data, suffix=_looks_like(data))
        file = Path(word)
        if not file.is_file():
            raise UnusableInput(f"{word}: no such file")
        try:
            return Content(source=word, data=file.read_bytes(), suffix=file.suffix.lower())
        except OSError as error:
            raise UnusableInput(f"{word}: cannot be read: {error.strerror}") from error

    def several(self, content: Content) -> dict[str, NDArray[Any]] | None:
        """The inputs by name in an .npz or JSON of them; None for what is a single input."""
        if content.suffix == ".npz":
            arrays = read_npz(content.data, content.source)
            if not arrays.keys() <= {one.name for one in self.known} and len(arrays) == 1:
                # Saved without a name.
                return None
            by_name = {one.name: one for one in self.known}
            # A name that the model lacks is refused by the client, which says the nearest.
            return {
                name: by_name[name].with_all_axes(_texts(array, by_name[name]))
                if name in by_name
                else array
                for name, array in arrays.items()
            }
        if content.suffix == ".json":
            value = parsed(content.data, content.source)
            if is_inputs(value, self.known):
                return arrays_of(value, content.source, self.known)
        return None

    def single(self, content: Content, wanted: Input) -> NDArray[Any]:
        """The content as `wanted` takes it, with the batch axis. Raises UnusableInput.

        An array is sent as it is, one item or a batch of them; a picture becomes the middle of it
        at the model's size, or stays whole where that is free; a clip of sound one channel of it;
        any file is a text to an input that takes one.
        """
        data, source = content.data, content.source
        if content.suffix == ".npy":
            return wanted.with_all_axes(_texts(read_npy(data, source), wanted))
        if content.suffix == ".npz":
            (array,) = read_npz(data, source).values()
            return wanted.with_all_axes(_texts(array, wanted))
        if wanted.is_text:
            return text(_without_newline(data), wanted)
        if content.suffix == ".json":
            return array_of(parsed(data, source), source, wanted)
        if wanted.is_audio and content.suffix in audio.SUFFIXES:
            return audio.read_audio(data, source, wanted, self._rate_hz)
        if wanted.is_picture:
            return wanted.with_batch_axis(read_picture(data, source, wanted.item))
        raise UnusableInput(f"{source}: {wanted}, {_fitting(wanted)}")

    def value(self, written: str, wanted: Input) -> NDArray[Any]:
        """What NAME=`written` gives `wanted`: a file's content, stdin's, a text, or JSON."""
        if written == STDIN or Path(written).is_file():
            return self.single(self.content(written), wanted)
        if wanted.dtype == "BYTES":
            return text(written.encode(), wanted)
        source = f"{wanted.name}={written}"
        try:
            return array_of(parsed(written.encode(), source), source, wanted)
        except UnusableInput as error:
            raise UnusableInput(f"{error}; nor is there a file {written}") from error


def text(content: bytes, wanted: Input) -> NDArray[Any]:
    """One item of an input that takes texts, with its axes. Raises UnusableInput for another."""
    if not wanted.is_text:
        raise UnusableInput(f"{wanted}, which is no text: {_fitting(wanted)}")
    array = np.empty((1,) * len(wanted.item), object)
    array[...] = content
    return wanted.with_batch_axis(array)


def _texts(array: NDArray[Any], wanted: Input) -> NDArray[Any]:
    """NumPy's own texts, which can be in a file without pickles, as BYTES holds them."""
    return array.astype(object) if wanted.dtype == "BYTES" and array.dtype.kind in "SU" else array


def _without_newline(content: bytes) -> bytes:
    """A text without the newline that ends a text file; of what is no text every byte counts."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return content
    return content.removesuffix(b"\n")


def _looks_like(data: bytes) -> str:
    """The suffix that a file with this content would have; empty where its beginning tells none."""
    begins: Sequence[tuple[bytes, str]] = (
        (b"\x93NUMPY", ".npy"),
        (b"PK\x03\x04", ".npz"),
        (b"RIFF", ".wav"),
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
    )
    start = data.lstrip(b" \t\r\n")[:8]
    # WebP pictures are RIFF too.
    if data[8:12] == b"WEBP":
        return ".webp"
    if start.startswith((b"{", b"[")) and _is_json(data):
        return ".json"
    return next((suffix for mark, suffix in begins if start.startswith(mark)), "")


def _is_json(data: bytes) -> bool:
    try:
        parsed(data, STDIN)
    except UnusableInput:
        return False
    return True


def _fitting(wanted: Input) -> str:
    """What to give instead, for an input that cannot take what was given."""
    if wanted.is_audio:
        return "which a .wav, .npy or .json fits"
    if wanted.is_picture:
        return "which a picture, .npy or .json fits"
    return "which is neither picture (UINT8 [height, width, 3]) nor sound: give an .npy or .json"
