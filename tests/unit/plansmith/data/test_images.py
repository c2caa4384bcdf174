"""A folder of images: what callers would send, in a fixed order, and what could not be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plansmith.data.images import folder_classes, load_images
from plansmith.data.samples import load_evaluation, load_pictures
from plansmith.errors import UnusableInput
from plansmith.recipe.parser import parse_recipe
from plansmith.tensors import TensorSpec

KEY, PLACE = "data.evaluation", "photos/"
RGB = TensorSpec(name="x", dtype="uint8", shape=(4, 4, 3))
GREY = TensorSpec(name="x", dtype="uint8", shape=(4, 4, 1))


def save(folder: Path, name: str, pixels: np.ndarray, **how: object) -> None:
    file = folder / PLACE / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **how)


def plain(value: int, height: int = 4, width: int = 4) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_images_of_all_folders_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for value, name in ((3, "b/1.png"), (1, "a/2.png"), (2, "a/x/1.bmp"), (4, "c.png")):
        save(tmp_path, name, plain(value))
    found = load_images(KEY, PLACE, tmp_path, RGB, 0.0)
    assert found.files == ("a/2.png", "a/x/1.bmp", "b/1.png", "c.png")
    assert found.pixels.shape == (4, 4, 4, 3)
    assert found.pixels.dtype == np.uint8
    assert found.pixels[:, 0, 0, 0].tolist() == [1, 2, 3, 4]


def test_pixels_of_the_right_size_come_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    save(tmp_path, "a.png", pixels)
    np.testing.assert_array_equal(load_images(KEY, PLACE, tmp_path, RGB, 0.0).pixels[0], pixels)


def test_the_shorter_side_is_fitted_and_the_longer_cut_to_the_middle(tmp_path: Path) -> None:
    wide = plain(0, height=8, width=24)
    # The middle third is left. The bicubic filter looks two pixels (of the small picture) further.
    wide[:, 4:20] = 200
    save(tmp_path, "wide.png", wide)
    save(tmp_path, "tall.png", np.ascontiguousarray(wide.transpose(1, 0, 2)))
    found = load_images(KEY, PLACE, tmp_path, RGB, 0.0)
    np.testing.assert_array_equal(found.pixels, np.full((2, 4, 4, 3), 200))


def test_a_picture_is_turned_the_way_up_that_the_camera_noted(tmp_path: Path) -> None:
    pixels = plain(0)
    pixels[0] = 255  # the top row
    exif = Image.Exif()
    exif[0x0112] = 3  # Orientation: turned by 180 degrees
    save(tmp_path, "a.png", pixels, exif=exif)
    found = load_images(KEY, PLACE, tmp_path, RGB, 0.0).pixels[0]
    assert found[:, 0, 0].tolist() == [0, 0, 0, 255]


def test_a_model_of_one_channel_gets_grey(tmp_path: Path) -> None:
    save(tmp_path, "a.png", np.broadcast_to(np.uint8([255, 0, 0]), (4, 4, 3)).copy())
    found = load_images(KEY, PLACE, tmp_path, GREY, 0.0).pixels
    # ITU-R BT.601: 0.299 of red.
    np.testing.assert_array_equal(found, np.full((1, 4, 4, 1), round(255 * 0.299)))


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "L", "1", "I;16", "CMYK"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, mode: str) -> None:
    (tmp_path / PLACE).mkdir()
    Image.new(mode, (6, 6)).save(tmp_path / PLACE / "a.tif")
    assert load_images(KEY, PLACE, tmp_path, RGB, 0.0).pixels.shape == (1, 4, 4, 3)


def folder_with_broken_files(folder: Path, good: int) -> None:
    for number in range(good):
        save(folder, f"{number}.png", plain(number))
    save(folder, "cut.png", np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    cut = folder / PLACE / "cut.png"
    cut.write_bytes(cut.read_bytes()[:80])
    (folder / PLACE / "note.txt").write_text("no picture")
    (folder / PLACE / "void.jpg").touch()


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path) -> None:
    folder_with_broken_files(tmp_path, good=3)
    says = (
        r"^data\.evaluation: .*photos: 3 of 6 files cannot be decoded as images, "
        r"data\.max_undecodable is 0\.4: cut\.png, note\.txt, void\.jpg; remove them"
    )
    with pytest.raises(UnusableInput, match=says):
        load_images(KEY, PLACE, tmp_path, RGB, 0.4)


def test_as_many_as_the_recipe_allows_are_left_out_and_named(tmp_path: Path) -> None:
    folder_with_broken_files(tmp_path, good=3)
    found = load_images(KEY, PLACE, tmp_path, RGB, 0.5)
    assert found.files == ("0.png", "1.png", "2.png")
    assert found.skipped == ("cut.png", "note.txt", "void.jpg")
    assert found.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_only_the_first_of_many_are_named(tmp_path: Path) -> None:
    (tmp_path / PLACE).mkdir()
    for number in range(7):
        (tmp_path / PLACE / f"{number}.png").touch()
    with pytest.raises(UnusableInput, match=r"7 of 7 files .*: 0\.png, .*, 4\.png, \.\.\.; remove"):
        load_images(KEY, PLACE, tmp_path, RGB, 0.99)


def test_hidden_files_are_no_part_of_the_data(tmp_path: Path) -> None:
    save(tmp_path, "a.png", plain(1))
    (tmp_path / PLACE / ".DS_Store").write_bytes(b"x")
    (tmp_path / PLACE / ".cache").mkdir()
    (tmp_path / PLACE / ".cache" / "b.png").write_bytes(b"x")
    found = load_images(KEY, PLACE, tmp_path, RGB, 0.0)
    assert (found.files, found.skipped) == (("a.png",), ())


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"photos: no such folder"):
        load_images(KEY, PLACE, tmp_path, RGB, 0.0)
    (tmp_path / PLACE).mkdir()
    with pytest.raises(UnusableInput, match=r"photos: holds no file; expected images"):
        load_images(KEY, PLACE, tmp_path, RGB, 0.0)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("float32", (4, 4, 3)), ("uint8", (3, 4, 4)), ("uint8", (-1, 4, 3)), ("uint8", (4,))],
)
def test_an_input_that_takes_no_pictures_is_refused(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    spec = TensorSpec(name="x", dtype=dtype, shape=shape)
    with pytest.raises(UnusableInput, match=rf"x is {dtype} .*: give arrays"):
        load_images(KEY, PLACE, tmp_path, spec, 0.0)


def test_the_folder_of_a_file_is_the_first_of_its_path() -> None:
    assert folder_classes(["cat/a.png", "cup/x/b.png"]) == ["cat", "cup"]
    assert folder_classes(["cat/a.png", "b.png"]) is None


IMAGE_INPUT = ('"float32"\nshape = [8]', '"uint8"\nshape = [4, 4, 3]')


def image_recipe(recipe: str) -> str:
    text = recipe.replace(*IMAGE_INPUT).replace("evaluation.npz", PLACE)
    return text.replace("[data]", 'labels = "labels.txt"\n\n[data]')


def test_evaluation_images_in_folders_of_class_names_bring_labels(
    tmp_path: Path, tiny_recipe: str
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ncup\ndog\nlynx\n")
    for name in ("dog/a.png", "cat/b.png", "cup/c.png"):
        save(tmp_path, name, plain(len(name)))
    (tmp_path / PLACE / "cat" / "broken.png").touch()
    text = image_recipe(tiny_recipe).replace("[budget]", "max_undecodable = 0.3\n\n[budget]")
    found = load_evaluation(parse_recipe(text.replace("top1_agreement", "top1")), tmp_path)
    assert found.samples.count == 3
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2]
    assert found.skipped == ("cat/broken.png",)


def test_labels_that_the_recipe_names_go_before_folders(tmp_path: Path, tiny_recipe: str) -> None:
    (tmp_path / "labels.txt").write_text("cat\ncup\ndog\nlynx\n")
    save(tmp_path, "dog/a.png", plain(1))
    np.save(tmp_path / "l.npy", np.array([3]))
    text = image_recipe(tiny_recipe).replace("[budget]", 'labels = "l.npy"\n\n[budget]')
    labels = load_evaluation(parse_recipe(text), tmp_path).labels
    assert labels is not None
    assert labels.tolist() == [3]


def test_pictures_of_a_folder_are_called_like_their_files(tmp_path: Path, tiny_recipe: str) -> None:
    save(tmp_path, "cat.png", plain(7))
    text = tiny_recipe.replace(*IMAGE_INPUT)
    recipe = parse_recipe(text.replace("[budget]", f'pictures = "{PLACE}"\n\n[budget]'))
    found = load_pictures(recipe, tmp_path)
    assert list(found) == ["cat.png"]
    np.testing.assert_array_equal(found["cat.png"], plain(7))
