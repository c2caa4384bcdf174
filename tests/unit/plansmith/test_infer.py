"""Files as a served model's only input: texts, pictures of any size, arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plansmith.errors import UnusableInput
from plansmith.infer import read_input
from plansmith_client import ModelMetadata, TensorMetadata


def model(dtype: str, shape: tuple[int, ...], max_batch_size: int = 0) -> ModelMetadata:
    """A model with one input; `shape` has the batch axis in front if it batches."""
    tensor = TensorMetadata(name="x", dtype=dtype, shape=shape)
    return ModelMetadata(
        name="m",
        version=None,
        versions=(1,),
        inputs=(tensor,),
        outputs=(tensor,),
        max_batch_size=max_batch_size,
    )


def test_a_files_bytes_are_the_text_without_the_newline_that_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes("zwei\nZeilen ä\n".encode())
    text = read_input(file, model("BYTES", (-1, 1), max_batch_size=4))
    assert (text.shape, text.item()) == ((1, 1), "zwei\nZeilen ä".encode())
    assert read_input(file, model("BYTES", (1,))).shape == (1,)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """6 wide, 4 high."""
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(path)
    return path


def test_a_picture_stays_whole_where_its_size_is_free(picture: Path) -> None:
    found = read_input(picture, model("UINT8", (-1, -1, 3)))
    assert found.shape == (4, 6, 3)
    assert (found == 7).all()


def test_a_picture_is_cut_to_the_models_size_where_it_has_one(picture: Path) -> None:
    found = read_input(picture, model("UINT8", (-1, 2, 2, 3), max_batch_size=8))
    assert found.shape == (1, 2, 2, 3)


def test_what_is_neither_text_nor_picture_has_to_be_an_array(picture: Path) -> None:
    with pytest.raises(UnusableInput, match=r"m takes FP32 \[3\], which is not a picture"):
        read_input(picture, model("FP32", (3,)))
