"""Pictures as models take them: the middle at the model's size, or whole where that is free."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plansmith.errors import UnusableInput

if TYPE_CHECKING:
    from PIL.Image import Image

# What a classifier trained on ImageNet is judged on: the middle of the picture, of which the model
# sees seven eighths of the shorter side. Source: "crop_padding = 32" of 256 in
# tensorflow/tpu models/official/efficientnet/preprocessing.py.
MIDDLE_SHARE = 0.875


def read_picture(content: bytes, source: str, item: tuple[int, ...]) -> NDArray[np.uint8]:
    """The picture as uint8 `item`: [height, width, 3] RGB or [height, width, 1] grey.

    A side of -1 is free: then it stays whole. Raises UnusableInput.
    """
    height, width, channels = item
    picture = _opened(content, source, "RGB" if channels == 3 else "L")
    if -1 not in (height, width):
        picture = _middle(picture, height, width)
    pixels: NDArray[Any] = np.asarray(picture)
    return pixels.reshape(picture.height, picture.width, channels)


def _middle(picture: Image, height: int, width: int) -> Image:
    from PIL import Image

    scale = min(picture.width / width, picture.height / height) * MIDDLE_SHARE
    across, down = width * scale, height * scale
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    box = (left, top, left + across, top + down)
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _opened(content: bytes, source: str, mode: str) -> Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as opened:
            # A camera notes which way up it was held instead of turning the pixels.
            return ImageOps.exif_transpose(opened).convert(mode)
    except UnidentifiedImageError as error:
        # Its text has the address of the bytes.
        raise UnusableInput(f"{source}: not a readable picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableInput(f"{source}: not a readable picture: {error}") from error
