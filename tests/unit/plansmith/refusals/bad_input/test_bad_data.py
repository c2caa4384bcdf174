"""Data that cannot be used is one clear error, which says where; what may be missing is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from plansmith.manifest import Manifest

Edit = Callable[[str, str], None]
Refuse = Callable[..., str]

CLASSES, ROWS = 10, 700


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (np.zeros(ROWS - 1, np.int64), f"has {ROWS - 1} values, for {ROWS} samples"),
        (np.full(ROWS, CLASSES), "row 0 (counted from 0): is class 10; the output's classes are"),
        (np.full(ROWS, -1), "row 0 (counted from 0): is class -1; the output's classes are 0 to 9"),
    ],
    ids=["wrong count", "beyond the last class", "below the first"],
)
def test_labels_that_do_not_fit(
    folder: Path, refused: Refuse, labels: np.ndarray, fault: str, edit: Edit
) -> None:
    np.save(folder / "classes.npy", labels)
    edit("[budget]", 'labels = "classes.npy"\n\n[budget]')
    message = refused()
    assert message.startswith("data.labels: classes.npy")
    assert fault in message


def test_nan_in_the_evaluation_data_is_told_with_its_row(folder: Path, refused: Refuse) -> None:
    rows = np.load(folder / "evaluation.npy")
    rows[7, 3] = np.nan
    np.save(folder / "evaluation.npy", rows)
    assert "data.evaluation: evaluation.npy: x holds NaN or infinity in row 7" in refused()


@pytest.fixture
def give_calibration(folder: Path, edit: Edit) -> Callable[[np.ndarray], None]:
    """Has the recipe name these rows as calibration data."""

    def give(rows: np.ndarray) -> None:
        np.save(folder / "calibration.npy", rows.astype(np.float32))
        edit("[budget]", 'calibration = "calibration.npy"\n\n[budget]')

    return give


def test_calibration_of_one_sample(
    folder: Path, refused: Refuse, give_calibration: Callable[[np.ndarray], None]
) -> None:
    give_calibration(np.load(folder / "calibration.npy")[:1])
    assert refused().startswith("data.calibration: has 1 rows, 1 of them distinct and 1 not")


def test_calibration_that_overlaps_the_evaluation(
    folder: Path, refused: Refuse, give_calibration: Callable[[np.ndarray], None]
) -> None:
    seen = np.load(folder / "evaluation.npy")[:5]
    give_calibration(np.concatenate([np.load(folder / "calibration.npy"), seen]))
    assert "data.calibration: 5 of its 261 rows are in data.evaluation too" in refused()


def test_random_calibration(
    folder: Path, refused: Refuse, give_calibration: Callable[[np.ndarray], None]
) -> None:
    rows = np.load(folder / "evaluation.npy")
    noise = np.random.default_rng(0).normal(rows.mean(), rows.std(), (256, 64))
    give_calibration(noise)
    assert "data.calibration: x looks like noise" in refused()


@pytest.fixture
def pictures(folder: Path, edit: Edit) -> Path:
    """The model reads 300 gradients as images, one of which is no image."""
    place = folder / "images"
    place.mkdir()
    ramp = np.add.outer(np.arange(8), np.arange(8)) * 8
    for index in range(300):
        pixels = np.roll(ramp + index % 100, index % 8, axis=index % 2).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{index:03}.png")
    (place / "007.png").write_bytes(b"no picture")
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x", TensorProto.UINT8, ["batch", 8, 8, 1])
    )
    graph.node[0].input[0] = "flat"
    for node in (
        helper.make_node("Flatten", ["float"], ["flat"], name="flat"),
        helper.make_node("Cast", ["x"], ["float"], name="float", to=TensorProto.FLOAT),
    ):
        graph.node.insert(0, node)
    onnx.save(model, folder / "model.onnx")
    edit('"evaluation.npy"', '"images/"')
    edit('dtype = "float32"\nshape = [64]', 'dtype = "uint8"\nshape = [8, 8, 1]')
    return place


def test_a_file_that_is_no_image_is_named_and_counted(pictures: Path, refused: Refuse) -> None:
    message = refused()
    assert message.startswith(f"data.evaluation: {pictures}: 1 of 300 files cannot be decoded")
    assert "007.png" in message


@pytest.mark.usefixtures("pictures")
def test_images_that_may_be_missing_are_left_out_and_told(
    edit: Edit, build_again: Callable[[], Manifest]
) -> None:
    edit("[budget]", "max_undecodable = 0.01\n\n[budget]")
    edit("max_drop = 0.05", "max_drop = 0.05\naccept_not_proven = true")
    found = build_again()
    assert found.version == 2
    assert (found.evaluation.count, found.evaluation.skipped) == (299, ("007.png",))
