"""The search for layers to keep: those that do the harm, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from int8_networks import answers, save
from plansmith.compress.cpu_int8 import Mixed, quantisable_layers, quantise, quantise_and_search
from plansmith.compress.tuning import Tuning

VECTORS = {"x": np.random.default_rng(6).normal(size=(128, 32)).astype(np.float32)}


class Said:
    """A step that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def update(self, done: int, total: int, detail: str = "") -> None:
        self.told.append((done, total, detail))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def guilty(folder: Path) -> Path:
    """first → guilty → last, where channel 0 between the first two is 1000 times the others.

    One scale for all channels of what `guilty` is given rounds the others to zero. Its weights undo
    the factor, so in FP32 all channels count alike.
    """
    random = np.random.default_rng(2)

    def draw(*shape: int) -> NDArray[np.float32]:
        return (random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = {"w1": draw(32, 48), "w2": draw(48, 48), "w3": 4 * draw(48, 6)}
    weights["w1"][:, 0] *= 1000
    weights["w2"][0] /= 1000
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w1"], ["first"], name="first"),
        node("MatMul", ["first", "w2"], ["guilty"], name="guilty"),
        node("Tanh", ["guilty"], ["bent"]),
        node("MatMul", ["bent", "w3"], ["logits"], name="last"),
    ]
    return save(folder / "guilty.onnx", nodes, weights, (32,))


@pytest.fixture(scope="module")
def tuning(guilty: Path) -> Tuning:
    return Tuning(
        feed=VECTORS, output="logits", kind="logits", original=answers(guilty, VECTORS), goal=0.1
    )


@pytest.fixture(scope="module")
def found(guilty: Path, tuning: Tuning, folder: Path) -> tuple[Mixed | None, Path, Said]:
    step = Said()
    to = folder / "mixed.xml"
    plain = folder / "searched.xml"
    found = quantise_and_search(guilty, tuning, plain_to=plain, mixed_to=to, step=step)
    return found.mixed, to, step


def top1_agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def test_plain_int8_loses_the_answers_of_a_model_with_one_large_channel(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    quantise(guilty, VECTORS, tmp_path / "plain.xml")
    assert top1_agreement(tuning.original, answers(tmp_path / "plain.xml", VECTORS)) < 0.7


def test_the_search_keeps_exactly_the_guilty_layer(
    found: tuple[Mixed | None, Path, Said], guilty: Path
) -> None:
    result, _, _ = found
    assert result is not None
    first, second, third = quantisable_layers(guilty)
    assert result.kept == (second,)
    assert result.quantised == (first, third)


def test_the_model_it_writes_has_the_loss_it_tells(
    found: tuple[Mixed | None, Path, Said], tuning: Tuning
) -> None:
    result, to, _ = found
    assert result is not None
    assert result.loss <= 0.1
    assert result.loss == pytest.approx(1 - top1_agreement(tuning.original, answers(to, VECTORS)))


def test_the_guilty_layer_s_harm_stands_out(
    found: tuple[Mixed | None, Path, Said], guilty: Path
) -> None:
    result, _, _ = found
    assert result is not None
    harms = {layer.name: layer.harm for layer in result.ranking}
    first, second, third = quantisable_layers(guilty)
    assert harms[second] > 10 * max(harms[first], harms[third])


def test_progress_is_told_for_each_layer_and_each_try(
    found: tuple[Mixed | None, Path, Said],
) -> None:
    result, _, step = found
    assert result is not None
    assert len(step.told) == 1 + 3 + result.tries
    assert all(0 <= done <= total for done, total, _ in step.told)


def test_a_goal_that_plain_int8_meets_needs_no_mix(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    plain, mixed = tmp_path / "plain.xml", tmp_path / "mixed.xml"
    lax = replace(tuning, goal=1.0)
    found = quantise_and_search(guilty, lax, plain_to=plain, mixed_to=mixed, step=Said())
    assert found.mixed is None
    assert found.quantised == quantisable_layers(guilty)
    assert found.loss == pytest.approx(1 - top1_agreement(tuning.original, answers(plain, VECTORS)))
    assert not mixed.exists()


def test_a_goal_out_of_reach_gives_plain_int8_alone(
    guilty: Path, tuning: Tuning, tmp_path: Path
) -> None:
    plain, mixed = tmp_path / "plain.xml", tmp_path / "mixed.xml"
    other = replace(tuning, original=np.roll(tuning.original, 1, axis=1))
    found = quantise_and_search(guilty, other, plain_to=plain, mixed_to=mixed, step=Said())
    assert found.mixed is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.bin", "plain.xml"]
