"""Distillation: a student becomes like its teacher, the same way each time; nothing else moves."""

import copy
from collections.abc import Generator

import numpy as np
import pytest
import torch
from torch import nn

from plansmith.compress.recover import Training, answers, distil
from plansmith.errors import UnusableInput

ROWS, FEATURES, CLASSES = 256, 12, 4


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None, None, None]:
    """Networks this small gain nothing from a second one, and wait for it on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed: int) -> nn.Module:
    """Dropout draws from torch's random state; batch norm cannot learn from a single row."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(FEATURES, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, CLASSES),
        ).eval()


def samples(labels: bool = False, rows: int = ROWS) -> Training:
    inputs = np.random.default_rng(0).normal(size=(rows, FEATURES)).astype(np.float32)
    inputs.setflags(write=False)  # as memory-mapped samples are
    known = inputs[:, :CLASSES].argmax(axis=1).astype(np.int64) if labels else None
    return Training(inputs=(inputs,), labels=known)


def unheard(done: int, total: int) -> None:
    """Nobody looks at the progress."""


def divergence(student: nn.Module, teacher: nn.Module, training: Training) -> float:
    """Mean KL of the student's softmax from the teacher's, in nats, by numpy."""
    logits = [answers(module, training).numpy().astype(np.float64) for module in (teacher, student)]
    shares = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]
    return float((shares[0] * np.log(shares[0] / shares[1])).sum(axis=1).mean())


def differing(student: nn.Module, teacher: nn.Module, training: Training) -> float:
    """The share of top-1 answers that are not the teacher's."""
    classes = [answers(module, training).numpy().argmax(axis=1) for module in (student, teacher)]
    return float((classes[0] != classes[1]).mean())


def weights(module: nn.Module) -> list[np.ndarray]:
    return [value.detach().numpy().copy() for value in module.state_dict().values()]


@pytest.mark.parametrize("labels", [True, False])
def test_a_damaged_student_comes_nearer_to_its_teacher(labels: bool) -> None:
    teacher = network(0)
    with torch.no_grad():
        teacher[-1].weight *= 5  # sure of its answers
    training = samples()
    if labels:
        classes = answers(teacher, training).argmax(dim=1).numpy()
        training = Training(inputs=training.inputs, labels=classes)
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        student[0].weight[:16] = 0
    before = differing(student, teacher, training)
    distil(student, teacher, training, epochs=30, seed=0, tick=unheard)
    assert differing(student, teacher, training) < before / 2


def test_labels_are_learnt_where_the_teacher_knows_nothing() -> None:
    teacher, student, training = network(0), network(1), samples(labels=True)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
    distil(student, teacher, training, epochs=60, seed=0, tick=unheard)
    found = answers(student, training).numpy().argmax(axis=1)
    assert (found == training.labels).mean() > 0.9


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    students = [network(1) for _ in range(3)]
    for student, seed in zip(students, (5, 5, 6), strict=True):
        distil(student, network(0), samples(), epochs=2, seed=seed, tick=unheard)
    first, again, other = (weights(student) for student in students)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_random_state_and_the_teacher_stay_as_they_were() -> None:
    teacher = network(0).train()
    before, state = weights(teacher), torch.random.get_rng_state()
    distil(network(1), teacher, samples(), epochs=1, seed=0, tick=unheard)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(teacher), strict=True))


def test_the_number_of_threads_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    distil(network(1), network(0), samples(rows=8), epochs=1, seed=0, tick=unheard)
    assert set_to == [1, 2, 1, 2]  # for the teacher's answers, then for the lessons


def test_the_student_is_left_ready_to_answer() -> None:
    student = network(1).train()
    distil(student, network(0), samples(), epochs=1, seed=0, tick=unheard)
    assert not any(module.training for module in student.modules())


def test_every_step_is_told_and_the_last_one_ends_the_count() -> None:
    told: list[tuple[int, int]] = []
    distil(
        network(1),
        network(0),
        samples(rows=130),
        epochs=3,
        seed=0,
        tick=lambda done, total: told.append((done, total)),
    )
    # Four batches of 32 in 130 rows; the two rows left over wait for another epoch.
    assert told == [(step, 12) for step in range(1, 13)]


def test_fewer_rows_than_a_batch_still_teach() -> None:
    student = network(1)
    before = weights(student)
    distil(student, network(0), samples(rows=5), epochs=1, seed=0, tick=unheard)
    assert not all(np.array_equal(a, b) for a, b in zip(before, weights(student), strict=True))


def test_it_learns_where_the_caller_has_gradients_switched_off() -> None:
    student = network(1)
    before = divergence(student, network(0), samples())
    with torch.no_grad():
        distil(student, network(0), samples(), epochs=5, seed=0, tick=unheard)
    assert divergence(student, network(0), samples()) < before


def test_several_inputs_are_given_in_their_order() -> None:
    class Difference(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left - right

    left, right = np.ones((3, 2), np.float32), np.full((3, 2), 5, np.float32)
    found = answers(Difference(), Training(inputs=(left, right), labels=None))
    np.testing.assert_array_equal(found.numpy(), np.full((3, 2), -4))


def test_the_first_of_several_outputs_counts() -> None:
    class Twice(nn.Module):
        def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return rows, rows * 2

    rows = np.ones((3, 2), np.float32)
    found = answers(Twice(), Training(inputs=(rows,), labels=None))
    np.testing.assert_array_equal(found.numpy(), rows)


def test_an_answer_that_is_not_a_row_of_classes_is_told() -> None:
    pictures = Training(inputs=(np.zeros((3, 1, 4, 4), np.float32),), labels=None)
    with pytest.raises(
        UnusableInput, match=r"3 rows with \[3, 1, 4, 4\].*logits \[rows, classes\]"
    ):
        answers(nn.ReLU(), pictures)


@pytest.mark.parametrize(
    ("rows", "labels"), [((3, 4), None), ((3,), 2), ((0,), None)], ids=["inputs", "labels", "none"]
)
def test_rows_that_do_not_match_are_told(rows: tuple[int, ...], labels: int | None) -> None:
    inputs = tuple(np.zeros((count, 2), np.float32) for count in rows)
    classes = None if labels is None else np.zeros(labels, np.int64)
    with pytest.raises(UnusableInput, match="give as many of each"):
        Training(inputs=inputs, labels=classes)
