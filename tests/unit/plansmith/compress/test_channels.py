"""Channels: gone for real, from every layer that shares them, the useless ones first."""

from collections.abc import Generator

import numpy as np
import pytest
import torch
from torch import nn

from networks_to_prune import SIZE, convolutions, example, fresh, one_thread
from plansmith.compress.channels import layer_widths, pruned_width, without_channels
from plansmith.errors import UnusableInput


@pytest.fixture(autouse=True)
def without_threads() -> Generator[None, None, None]:
    with one_thread():
        yield


@pytest.mark.parametrize(
    ("width", "ratio", "kept"),
    [(64, 0.5, 32), (64, 0.3, 48), (64, 0.95, 8), (16, 0.5, 8), (10, 0.5, 5), (3, 0.9, 1)],
)
def test_wide_layers_keep_multiples_of_eight(width: int, ratio: float, kept: int) -> None:
    assert pruned_width(width, ratio) == kept


def test_residual_and_depthwise_layers_lose_the_same_channels() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 32, 3, padding=1)
            self.branch = nn.Conv2d(32, 32, 3, padding=1)
            self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
            self.head = nn.Linear(32 * SIZE * SIZE, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            stem = self.stem(images)
            return self.head(self.depthwise(stem + self.branch(stem).relu()).flatten(1)).relu()

    net = Residual().eval()
    smaller = without_channels(net, example(), layer_widths(net), 0.5)
    assert layer_widths(smaller) == {"stem": 16, "branch": 16, "depthwise": 16, "head": 10}
    assert smaller(*example()).shape == (2, 10)


def test_grouped_layers_lose_as_many_channels_in_each_group() -> None:
    net = fresh(
        nn.Conv2d(1, 32, 3),
        nn.GroupNorm(4, 32),
        nn.Conv2d(32, 32, 3, groups=2),
        nn.Flatten(),
        nn.Linear(32 * 16, 10),
    )
    smaller = without_channels(net, example(), layer_widths(net), 0.5)
    assert layer_widths(smaller) == {"0": 16, "2": 16, "4": 10}
    assert smaller(*example()).shape == (2, 10)


def test_the_channels_that_do_nothing_go_first() -> None:
    net = fresh(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        net[0].weight[::2] = 0
        net[0].bias[::2] = 0
        net[2].weight[:, ::2] = 0
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    smaller = without_channels(net, (rows,), layer_widths(net), 0.5)
    assert layer_widths(smaller) == {"0": 8, "2": 3}
    # The sum over half as many terms may round otherwise in its last digits.
    torch.testing.assert_close(smaller(rows), net(rows))


def test_a_network_that_fixes_its_own_widths_is_told() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 16)
            self.last = nn.Linear(16, 3)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(rows) + torch.ones(16))

    net = Fixed().eval()
    with pytest.raises(UnusableInput, match=r"cannot be pruned \(.*leave \[prune\] out"):
        without_channels(net, (torch.zeros(2, 4),), layer_widths(net), 0.5)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    net = convolutions()
    without_channels(net, example(), layer_widths(net), 0.5)
    assert capfd.readouterr() == ("", "")
