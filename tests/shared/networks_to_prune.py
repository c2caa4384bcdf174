"""Networks of a few layers that lose channels, and what goes into them."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

SIZE = 8


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """Networks this small gain nothing from a second one, and wait for it on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fresh(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).eval()


def convolutions() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return fresh(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 16, 10),
        )


def example(channels: int = 1) -> tuple[torch.Tensor, ...]:
    return (torch.zeros(2, channels, SIZE, SIZE),)
