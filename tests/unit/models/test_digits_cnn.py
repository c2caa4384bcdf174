"""The sample net for digits: its parts share nothing, stay the same, and teach it its trade."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

SOURCE = Path(__file__).parents[3] / "model_repository" / "digits_cnn" / "source.py"
PARTS = {"training": 260, "calibration": 40, "evaluation": 200}


@pytest.fixture(scope="module")
def source() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_cnn_source", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images(source: ModuleType) -> dict[str, np.ndarray]:
    return {
        # The other half are moved copies of the first.
        "training": source.training()["image"][:2600],
        "calibration": source.calibration()["image"],
        "evaluation": source.evaluation()["image"],
    }


def digests(rows: np.ndarray) -> set[str]:
    return {hashlib.sha256(row.tobytes()).hexdigest() for row in rows}


def test_no_digit_is_in_two_parts(images: dict[str, np.ndarray]) -> None:
    every = set.union(*(digests(rows) for rows in images.values()))
    assert [len(rows) for rows in images.values()] == [2600, 400, 2000]
    assert len(every) == 5000


def test_callers_send_bytes(images: dict[str, np.ndarray]) -> None:
    for rows in images.values():
        assert rows.dtype == np.uint8
        assert rows.shape[1:] == (28, 28, 1)


def test_every_class_is_equally_often_in_each_part(source: ModuleType) -> None:
    for part, count in PARTS.items():
        labels = source._part(part)[1]
        assert np.bincount(labels).tolist() == [count] * 10
    for part in ("calibration", "evaluation"):
        labels = getattr(source, part)()["labels"]
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, source._part(part)[1])


def test_a_moved_copy_has_its_digits_label_and_is_not_the_digit(source: ModuleType) -> None:
    given = source.training()
    assert given["image"].shape == (5200, 28, 28, 1)
    assert given["image"].dtype == np.uint8
    np.testing.assert_array_equal(given["labels"][:2600], given["labels"][2600:])
    same = (given["image"][:2600] == given["image"][2600:]).all(axis=(1, 2, 3))
    assert same.sum() == 0
    # As much ink, moved: the sums of one digit and its copy go together.
    ink = given["image"].sum(axis=(1, 2, 3), dtype=np.int64)
    assert np.corrcoef(ink[:2600], ink[2600:])[0, 1] > 0.8


def test_the_evaluation_digits_are_always_the_same_ones(source: ModuleType) -> None:
    given = source.evaluation()
    digest = hashlib.sha256(given["image"].tobytes())
    digest.update(given["labels"].tobytes())
    assert digest.hexdigest()[:16] == "5efc26a5521d5ea2"


def test_the_recipe_normalises_as_training_did(source: ModuleType) -> None:
    text = SOURCE.with_name("recipe.toml").read_text()
    assert f"mean = [{source.MEAN}], scale = {source.SCALE}" in text
    pixels = source._part("training")[0]
    np.testing.assert_allclose(source.MEAN, pixels.mean(), atol=0.1)
    np.testing.assert_allclose(source.SCALE, 1 / pixels.std(), rtol=0.01)


def test_the_trained_net_reads_digits_it_has_not_seen(source: ModuleType) -> None:
    state = torch.random.get_rng_state()
    net = source.load()
    assert torch.equal(torch.random.get_rng_state(), state)
    given = source.evaluation()
    pixels = torch.from_numpy(given["image"]).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        batches = [net(batch) for batch in ((pixels - source.MEAN) * source.SCALE).split(250)]
    found = torch.cat(batches).argmax(dim=1).numpy()
    assert (found == given["labels"]).mean() >= 0.975


def test_the_weights_are_trained_once(
    source: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the training counted, not run: it takes a minute."""
    trained: list[torch.nn.Module] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(source, "_train", trained.append)
    first, again = source.load(), source.load()
    assert len(trained) == 1
    assert [path.suffix for path in (tmp_path / "plansmith-samples").iterdir()] == [".pt"]
    pairs = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_cache_folder_that_cannot_be_written_costs_only_time(
    source: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a-file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(source, "_train", lambda _net: None)
    assert source.load()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
