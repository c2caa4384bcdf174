"""What a person gets wrong is one clear error, and leaves the version before as it is."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from plansmith.cache import Cache
from plansmith.errors import PlansmithError, UnusableInput
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.pipeline import Built, build, stage_keys
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder

PLAN = Plan(rounds=1, seconds=0.01)
CLASSES, ROWS = 10, 700


def run(folder: Path, cache: Cache) -> Built:
    built = build(prepare(folder, None, PLAN), cache, PlainProgress())
    for error in built.failures.values():
        raise error
    return built


def published(folder: Path) -> dict[str, bytes]:
    """Every file that a build writes, by its path in the model's folder."""
    found = [*folder.glob("*.pbtxt"), *folder.glob("configs/*"), *folder.glob("[0-9]*/**/*")]
    files = [path for path in found if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def unfinished(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob(".*")]


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "recipe.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture(scope="module")
def first_version(
    digits_folder: Callable[..., Path], of_hard_models: Callable[[str], Any], cache: Cache
) -> Path:
    """A model's folder with version 1, which copies begin with."""
    folder = digits_folder("digits", "cpu", model=of_hard_models("plain"), more_data="")
    run(folder, cache)
    return folder


@pytest.fixture
def folder(first_version: Path, tmp_path: Path) -> Path:
    """The model's folder with version 1 served, to be spoilt."""
    copy = tmp_path / "repository" / first_version.name
    shutil.copytree(first_version, copy)
    return copy


@pytest.fixture
def refused(folder: Path, cache: Cache) -> Callable[..., str]:
    """Builds the spoilt folder: the message, once version 1 was found to be as it was."""

    def refuse(kind: type[PlansmithError] = UnusableInput) -> str:
        before = published(folder)
        assert "config.pbtxt" in before
        with pytest.raises(PlansmithError) as caught:
            run(folder, cache)
        assert type(caught.value) is kind
        assert published(folder) == before
        assert ModelFolder(path=folder).versions() == (1,)
        assert unfinished(folder, cache.root) == []
        return str(caught.value)

    return refuse


def one_node(node: onnx.NodeProto, *, domain: str = "") -> onnx.ModelProto:
    """x [batch, 64] → its first ten columns, "part" → `node` → logits [batch, 10]."""
    first = [
        helper.make_node("Constant", [], ["ends"], value_ints=[CLASSES]),
        helper.make_node("Constant", [], ["starts"], value_ints=[0]),
        helper.make_node("Constant", [], ["axes"], value_ints=[1]),
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["part"], name="part"),
    ]
    graph = helper.make_graph(
        [*first, node],
        "one_node",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
    )
    opsets = [helper.make_opsetid("", 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


# The model


def test_a_file_that_is_no_onnx(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "model.onnx").write_bytes(b"no protobuf at all")
    assert f"{folder / 'model.onnx'}: not a readable ONNX file" in refused()


def test_an_onnx_file_that_was_cut_off(folder: Path, refused: Callable[..., str]) -> None:
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: len(whole) // 2])
    assert f"{folder / 'model.onnx'}: not a readable ONNX file" in refused()


def test_an_empty_onnx_file(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "model.onnx").write_bytes(b"")
    message = refused()
    assert "input: the recipe names x" in message or "not a readable ONNX file" in message


@pytest.mark.parametrize("domain", ["", "my.own"])
def test_an_operator_that_nobody_knows_is_named_with_its_node(
    folder: Path, refused: Callable[..., str], domain: str
) -> None:
    node = helper.make_node("Frobnicate", ["part"], ["logits"], name="odd_one", domain=domain)
    onnx.save(one_node(node, domain=domain), folder / "model.onnx")
    message = refused()
    assert 'node "odd_one"' in message
    assert "Frobnicate" in message


def test_an_operator_that_the_target_does_not_know_is_named(
    folder: Path, refused: Callable[..., str]
) -> None:
    # scikit-learn's converters write it, ONNX Runtime runs it, OpenVINO has no such operator.
    node = helper.make_node(
        "Scaler", ["part"], ["logits"], name="odd_one", domain="ai.onnx.ml", scale=[2.0] * CLASSES
    )
    node.attribute.append(helper.make_attribute("offset", [0.5] * CLASSES))
    onnx.save(one_node(node, domain="ai.onnx.ml"), folder / "model.onnx")
    message = refused()
    assert message.startswith("OpenVINO cannot read the model: ")
    assert "ai.onnx.ml.Scaler" in message


def test_an_operator_of_onnx_runtimes_own_that_it_does_not_have(
    folder: Path, refused: Callable[..., str]
) -> None:
    node = helper.make_node("Frobnicate", ["part"], ["logits"], domain="com.microsoft")
    onnx.save(one_node(node, domain="com.microsoft"), folder / "model.onnx")
    message = refused()
    assert message.startswith("model.onnx: ONNX Runtime cannot run it: ")
    assert "com.microsoft:Frobnicate" in message


def test_an_onnx_graph_that_is_not_valid(folder: Path, refused: Callable[..., str]) -> None:
    node = helper.make_node("Relu", ["nowhere"], ["logits"], name="odd_one")
    onnx.save(one_node(node), folder / "model.onnx")
    assert "not valid ONNX" in refused()


def test_a_model_that_itself_answers_nan(folder: Path, refused: Callable[..., str]) -> None:
    # Pixels of 0: log(0 - 1).
    model = one_node(helper.make_node("Log", ["below"], ["logits"], name="log"))
    below = [
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Sub", ["part", "one"], ["below"], name="below"),
    ]
    for node in reversed(below):
        model.graph.node.insert(4, node)
    onnx.save(model, folder / "model.onnx")
    message = refused()
    assert message.startswith("output.logits: FP32 answers data.evaluation so: ")
    assert "NaN or infinity" in message


# What the recipe names


def test_a_missing_file(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "evaluation.npy").unlink()
    message = refused()
    assert f"{folder / 'evaluation.npy'}: no such file" in message
    assert "'evaluation'" in message


def test_a_missing_function(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "source.py").write_text("def evaluate():\n    return None\n")
    edit(folder, '"evaluation.npy"', '"source.py:evaluation"')
    assert f"{folder / 'source.py'}: has no function 'evaluation'" in refused()


def test_a_function_that_raises_is_told_with_its_line(
    folder: Path, refused: Callable[..., str]
) -> None:
    (folder / "source.py").write_text("def evaluation():\n    return {}['rows']\n")
    edit(folder, '"evaluation.npy"', '"source.py:evaluation"')
    message = refused()
    assert message.startswith(f"{folder / 'source.py'}:2: 'source.py:evaluation' failed with ")
    assert "KeyError: 'rows'" in message


def test_a_function_that_ends_the_process_is_told_too(
    folder: Path, refused: Callable[..., str]
) -> None:
    (folder / "source.py").write_text("import sys\n\nsys.exit(0)\n")
    edit(folder, '"evaluation.npy"', '"source.py:evaluation"')
    assert "'source.py:evaluation' failed with SystemExit: 0" in refused()


def test_a_labels_file_for_another_number_of_classes(
    folder: Path, refused: Callable[..., str]
) -> None:
    (folder / "labels.txt").write_text("zero\none\ntwo\n")
    edit(folder, "shape = [10]", 'shape = [10]\nlabels = "labels.txt"')
    assert refused().endswith("output.logits.labels: labels.txt has 3 lines for 10 classes")


# Data


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
    folder: Path, refused: Callable[..., str], labels: np.ndarray, fault: str
) -> None:
    np.save(folder / "classes.npy", labels)
    edit(folder, "[budget]", 'labels = "classes.npy"\n\n[budget]')
    message = refused()
    assert message.startswith("data.labels: classes.npy")
    assert fault in message


def test_nan_in_the_evaluation_data_is_told_with_its_row(
    folder: Path, refused: Callable[..., str]
) -> None:
    rows = np.load(folder / "evaluation.npy")
    rows[7, 3] = np.nan
    np.save(folder / "evaluation.npy", rows)
    assert "data.evaluation: evaluation.npy: x holds NaN or infinity in row 7" in refused()


def give_calibration(folder: Path, rows: np.ndarray) -> None:
    np.save(folder / "calibration.npy", rows.astype(np.float32))
    edit(folder, "[budget]", 'calibration = "calibration.npy"\n\n[budget]')


def test_calibration_of_one_sample(folder: Path, refused: Callable[..., str]) -> None:
    give_calibration(folder, np.load(folder / "calibration.npy")[:1])
    assert refused().startswith("data.calibration: has 1 rows, 1 of them distinct and 1 not")


def test_calibration_that_overlaps_the_evaluation(
    folder: Path, refused: Callable[..., str]
) -> None:
    seen = np.load(folder / "evaluation.npy")[:5]
    give_calibration(folder, np.concatenate([np.load(folder / "calibration.npy"), seen]))
    assert "data.calibration: 5 of its 261 rows are in data.evaluation too" in refused()


def test_random_calibration(folder: Path, refused: Callable[..., str]) -> None:
    rows = np.load(folder / "evaluation.npy")
    noise = np.random.default_rng(0).normal(rows.mean(), rows.std(), (256, 64))
    give_calibration(folder, noise)
    assert "data.calibration: x looks like noise" in refused()


@pytest.fixture
def pictures(folder: Path) -> Path:
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
    edit(folder, '"evaluation.npy"', '"images/"')
    edit(folder, 'dtype = "float32"\nshape = [64]', 'dtype = "uint8"\nshape = [8, 8, 1]')
    return place


def test_a_file_that_is_no_image_is_named_and_counted(
    pictures: Path, refused: Callable[..., str]
) -> None:
    message = refused()
    assert message.startswith(f"data.evaluation: {pictures}: 1 of 300 files cannot be decoded")
    assert "007.png" in message


@pytest.mark.usefixtures("pictures")
def test_images_that_may_be_missing_are_left_out_and_told(folder: Path, cache: Cache) -> None:
    edit(folder, "[budget]", "max_undecodable = 0.01\n\n[budget]")
    edit(folder, "max_drop = 0.05", "max_drop = 0.05\naccept_not_proven = true")
    found = run(folder, cache).manifest
    assert found is not None
    assert found.version == 2
    assert (found.evaluation.count, found.evaluation.skipped) == (299, ("007.png",))


# A disk that is full


@contextmanager
def files_of_at_most(size_bytes: int) -> Generator[None, None, None]:
    """The kernel lets no file grow beyond: as a full disk, real writes fail half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on stderr: pytest keeps it in a file, which must not grow beyond either."""
    monkeypatch.setattr(PlainProgress, "note", lambda *_: None)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")


@pytest.mark.parametrize("call", ["mkdir", "sendfile", "fsync", "rename"])
def test_a_disk_that_is_full_while_publishing(
    folder: Path,
    refused: Callable[..., str],
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    edit(folder, "p99_ms = 100", "p99_ms = 50")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_space)
        message = refused(PlansmithError)
    assert "No space left on device; nothing was published, the previous version stays" in message
    found = run(folder, cache).manifest
    assert found is not None
    assert found.version == 2


def test_a_disk_that_is_full_before_the_cache_has_a_folder(
    folder: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(folder / "evaluation.npy", np.load(folder / "evaluation.npy")[::-1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", no_space)
        message = refused(PlansmithError)
    assert "cannot write the cache: No space left on device; free space or name another" in message


STAGES = ("data", "export", "clean", "reference", "cpu: quantize", "cpu: compile", "cpu: measure")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_in_the_middle_of_a_stage(
    folder: Path, refused: Callable[..., str], cache: Cache, stage: str
) -> None:
    # Another build, of which the cache has all but this stage.
    edit(folder, "p99_ms = 100", "p99_ms = 50")
    one = next(key for key in stage_keys(prepare(folder, None, PLAN)) if key.stage == stage)
    cache.drop(stage, one.key)
    with files_of_at_most(10):
        message = refused(PlansmithError)
    assert message.startswith(str(cache.root))
    assert message.endswith(
        f" during {stage}; free space and build again: finished stages are kept"
    )
    found = run(folder, cache).manifest
    assert found is not None
    assert found.version == 2
