"""Pruning: the answers come back within the budget, and what does not is said."""

import copy
from collections.abc import Generator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from networks_to_prune import SIZE, convolutions, example, fresh, one_thread
from plansmith.compress.channels import layer_widths
from plansmith.compress.prune import NotRecovered, Pruned, count_macs, prune
from plansmith.compress.recover import Training
from plansmith.errors import UnusableInput


@pytest.fixture(autouse=True)
def without_threads() -> Generator[None, None, None]:
    with one_thread():
        yield


def unheard(done: int, total: int, detail: str) -> None:
    """Nobody looks at the progress."""


def digits(start: int, stop: int, labels: bool = True) -> Training:
    bunch = load_digits()
    images = (bunch.images[start:stop, None] / 16 - 0.3).astype(np.float32)
    known = bunch.target[start:stop].astype(np.int64) if labels else None
    return Training(inputs=(images,), labels=known)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """Answers nearly all of scikit-learn's digits rightly."""
    net, rows = convolutions().train(), digits(0, 1200)
    assert rows.labels is not None
    images, labels = torch.from_numpy(rows.inputs[0]), torch.from_numpy(rows.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    with one_thread():
        for _ in range(4):
            for start in range(0, 1200, 40):
                optimizer.zero_grad()
                here = slice(start, start + 40)
                functional.cross_entropy(net(images[here]), labels[here]).backward()
                optimizer.step()
    return net.eval()


def found_by(
    net: nn.Module, goal: float, labels: bool = True, max_attempts: int = 2
) -> Pruned | NotRecovered:
    return prune(
        net,
        example(),
        digits(0, 640, labels),
        digits(1200, 1797, labels),
        goal=goal,
        epochs=2,
        max_attempts=max_attempts,
        tick=unheard,
    )


def test_the_count_of_multiplications_is_that_of_the_layers_formulas() -> None:
    # A pixel of an output channel: nine products for each input channel. 64 and 16 pixels.
    want = 32 * 9 * 64 + 64 * 32 * 9 * 16 + 64 * 16 * 10
    assert count_macs(convolutions(), example()) == want


def test_channels_are_gone_and_the_counts_say_so(trained: nn.Module) -> None:
    result = found_by(trained, goal=0.02, max_attempts=1)
    assert isinstance(result, Pruned)
    # sqrt(1/2) of 32 and 64 is 22.6 and 45.3: to the next multiples of 8.
    assert layer_widths(result.module) == {"0": 24, "4": 48, "7": 10}
    weights = 24 * 9 + 24 + 2 * 24 + 48 * 24 * 9 + 48 + 48 * 16 * 10 + 10
    assert result.parameters_after == weights
    assert result.macs_after == 24 * 9 * 64 + 48 * 24 * 9 * 16 + 48 * 16 * 10
    assert result.ratio == pytest.approx(1 - 0.5**0.5)


def test_a_pruned_network_answers_as_well_as_the_budget_says(trained: nn.Module) -> None:
    rows = digits(1200, 1797)
    images = torch.from_numpy(rows.inputs[0])
    result = found_by(trained, goal=0.02)
    assert isinstance(result, Pruned)
    with torch.no_grad():
        right = [
            (net(images).numpy().argmax(axis=1) == rows.labels).mean()
            for net in (trained, result.module)
        ]
    last = [attempt for attempt in result.attempts if attempt.kept_budget][-1]
    assert last.loss == pytest.approx(right[0] - right[1])
    assert right[0] - right[1] <= 0.02
    assert last.macs == result.macs_after < result.macs_before / 2


def test_the_next_larger_network_that_recovered_is_there_to_fall_back_on(
    trained: nn.Module,
) -> None:
    one = found_by(trained, goal=0.02, max_attempts=1)
    two = found_by(trained, goal=0.03, max_attempts=2)
    assert isinstance(one, Pruned)
    assert one.milder is None
    assert isinstance(two, Pruned)
    kept = [attempt.macs for attempt in two.attempts if attempt.kept_budget]
    assert len(kept) == 2
    assert two.milder is not None
    assert [count_macs(net, example()) for net in (two.milder, two.module)] == kept


def test_without_labels_the_original_is_what_counts(trained: nn.Module) -> None:
    images = torch.from_numpy(digits(1200, 1797).inputs[0])
    result = found_by(trained, goal=0.05, labels=False, max_attempts=1)
    assert isinstance(result, Pruned)
    with torch.no_grad():
        differ = (trained(images).argmax(1) != result.module(images).argmax(1)).float().mean()
    assert result.attempts[0].loss == pytest.approx(float(differ))


def test_the_given_network_is_left_alone(trained: nn.Module) -> None:
    before = copy.deepcopy(trained.state_dict())
    found_by(trained, goal=0.02, max_attempts=1)
    after = trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_same_seed_prunes_the_same(trained: nn.Module) -> None:
    first, again = (found_by(trained, goal=0.02, max_attempts=1) for _ in range(2))
    assert isinstance(first, Pruned)
    assert isinstance(again, Pruned)
    assert first.attempts == again.attempts
    pairs = zip(first.module.parameters(), again.module.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_search_goes_back_half_way_after_a_failure(trained: nn.Module) -> None:
    result = found_by(trained, goal=0.01, max_attempts=5)
    assert isinstance(result, Pruned)
    kept = [attempt.macs for attempt in result.attempts if attempt.kept_budget]
    lost = [attempt.macs for attempt in result.attempts if not attempt.kept_budget]
    assert result.macs_after == min(kept)
    assert lost == [] or max(lost) < min(kept)


def test_labels_that_are_noise_are_not_recovered() -> None:
    """The original knows each noise row by heart; there is nothing to learn for new ones."""
    chance = np.random.default_rng(0)
    rows = chance.normal(size=(300, 1, SIZE, SIZE)).astype(np.float32)
    training = Training(inputs=(rows[:200],), labels=None)
    tuning = Training(inputs=(rows[200:],), labels=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = fresh(nn.Flatten(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 50))
    result = prune(net, example(), training, tuning, goal=0.02, epochs=1, tick=unheard)
    assert isinstance(result, NotRecovered)
    assert [attempt.kept_budget for attempt in result.attempts] == [False] * len(result.attempts)
    assert result.attempts[0].loss > 0.02
    # Milder and milder, until even what is left of the search is not worth a training.
    ratios = [attempt.ratio for attempt in result.attempts]
    assert ratios == sorted(ratios, reverse=True)


def test_a_goal_that_asks_for_more_than_the_original_is_not_recovered(trained: nn.Module) -> None:
    result = found_by(trained, goal=-0.5, max_attempts=1)
    assert isinstance(result, NotRecovered)
    assert len(result.attempts) == 1


def test_answers_that_are_not_numbers_lose_everything() -> None:
    class Broken(nn.Module):
        """Divides by the channels that are missing: infinite once any is."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 16)
            self.last = nn.Linear(16, 3)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            hidden = self.first(rows)
            return self.last(hidden) / float(hidden.shape[1] == 16 or "nan")

    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    data = Training(inputs=(rows,), labels=None)
    result = prune(
        Broken().eval(),
        (torch.zeros(2, 4),),
        data,
        data,
        goal=0.5,
        epochs=1,
        max_attempts=1,
        tick=unheard,
    )
    assert isinstance(result, NotRecovered)
    assert result.attempts[0].loss == 1.0


@pytest.mark.parametrize(("goal", "kept"), [(0.26, True), (0.24, False)])
def test_the_loss_has_to_pass_by_its_standard_error(goal: float, kept: bool) -> None:
    """Labels that each pruned network gets wrong in 4 of 24 rows: 4/24 + sqrt(4)/24 is 0.25."""

    class Turned(nn.Module):
        """Once a channel is missing, answers 1 wherever the first number of a row is positive."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(1, 16)
            self.last = nn.Linear(16, 2)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            hidden = self.first(rows)
            turned = rows.clamp(min=0) * (hidden.shape[1] < 16)
            sure = torch.tensor([0.5, 0.0]) + torch.cat([torch.zeros_like(turned), turned], dim=1)
            return sure + 0 * self.last(hidden)

    rows = np.repeat(np.array([[-1.0], [1.0]], np.float32), [20, 4], axis=0)
    data = Training(inputs=(rows,), labels=np.zeros(24, np.int64))
    result = prune(
        Turned().eval(),
        (torch.zeros(2, 1),),
        data,
        data,
        goal=goal,
        epochs=1,
        max_attempts=1,
        tick=unheard,
    )
    attempts = result.attempts
    assert attempts[0].loss == pytest.approx(4 / 24)
    assert attempts[0].kept_budget is kept


def test_progress_counts_over_all_attempts(trained: nn.Module) -> None:
    told: list[tuple[int, int, str]] = []
    rows = digits(0, 128)
    prune(
        trained,
        example(),
        rows,
        rows,
        goal=1.0,
        epochs=1,
        max_attempts=2,
        tick=lambda done, total, detail: told.append((done, total, detail)),
    )
    assert [step[:2] for step in told] == [(step, 8) for step in range(1, 9)]
    # 187,392 of 323,584, by the formulas above.
    assert told[0][2] == "58% of the MACs"


def test_a_network_of_its_output_layer_alone_has_nothing_to_prune() -> None:
    rows = Training(inputs=(np.zeros((4, 4), np.float32),), labels=None)
    with pytest.raises(UnusableInput, match=r"no layer that pruning could make narrower"):
        prune(
            fresh(nn.Linear(4, 3)),
            (torch.zeros(2, 4),),
            rows,
            rows,
            goal=0.1,
            epochs=1,
            tick=unheard,
        )
