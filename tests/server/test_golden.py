"""Golden answers through a real server: before a version is published, and before it is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import recipes
import small_models
from kept_state import write_count, write_sum
from plansmith import peak_memory, pipeline
from plansmith.cache import Cache
from plansmith.errors import PlansmithError
from plansmith.golden import evaluation, file
from plansmith.golden.admission import Admission
from plansmith.golden.file import GoldenAnswers, column
from plansmith.golden.served import RepositoryCheck, check_repository
from plansmith.infer import connected
from plansmith.job import prepare
from plansmith.measure import Plan
from plansmith.progress import PlainProgress
from plansmith.repository import ModelFolder
from plansmith.server import free_ports
from programs import HANG_S, plansmith, refused, started
from python_models import Tensor, write_model
from real_server import Serve, serve_command

pytestmark = pytest.mark.usefixtures("server_files")

RECIPE = recipes.TINY.replace("max_batch_size = 2", "max_batch_size = 4")
X = small_models.tiny_samples()
WEIGHTS = small_models.tiny_weights()


class Silent:
    """A step that tells nobody."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


# --- before a version is published


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder in a repository, never built: logits = x @ WEIGHTS."""
    folder = tmp_path / "repository" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    onnx.save(small_models.tiny(), folder / "model.onnx")
    np.savez(folder / "evaluation.npz", x=X)
    return folder


Build = Callable[[], pipeline.Built]


@pytest.fixture
def build(model: Path, server_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the model, as quickly as can be, with admission."""
    monkeypatch.setattr(peak_memory, "measure", lambda *_: None)
    cache = Cache(root=server_cache)

    def once() -> pipeline.Built:
        job = prepare(model, None, Plan(rounds=1, seconds=0.01))
        return pipeline.build(job, cache, PlainProgress(), admission=Admission(cache))

    return once


def answers_of(model: Path, version: int) -> GoldenAnswers:
    return file.read(model / str(version) / file.FILE_NAME)


def test_a_version_keeps_golden_answers_and_says_that_they_were_given(
    model: Path, build: Build
) -> None:
    found = build().manifest
    assert found is not None
    kept = answers_of(model, 1)
    assert kept.count == file.MAX_ROWS
    x, logits = np.stack(kept.inputs["x"]), np.stack(kept.outputs["logits"])
    np.testing.assert_allclose(logits, x @ WEIGHTS, rtol=1e-5, atol=1e-5)
    assert found.golden is not None
    assert found.golden.path == file.FILE_NAME
    assert found.golden in found.files
    assert found.on("cpu").served_check == "golden answers given on Triton 2.51.0, embedded"


def test_a_version_whose_answers_are_off_is_not_published(
    model: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build()
    before = (model / "config.pbtxt").read_text()
    (model / "recipe.toml").write_text(RECIPE.replace("p99_ms = 100", "p99_ms = 90"))
    right = evaluation.golden_answers

    def wrong(*arguments: Any) -> GoldenAnswers:
        """As if what is served answered otherwise than what was compared in the build."""
        kept = right(*arguments)
        return GoldenAnswers(
            inputs=kept.inputs,
            outputs={"logits": column(np.stack(kept.outputs["logits"]) + np.float32(0.7))},
            max_deviation=kept.max_deviation,
            scores="logits",
        )

    monkeypatch.setattr(evaluation, "golden_answers", wrong)
    with pytest.raises(PlansmithError) as caught:
        build()
    message = str(caught.value)
    assert message.startswith("tiny version 2 was not published: on cpu its answers are not")
    assert "row 0: logits is off by 0.7" in message
    assert "of 64 rows the largest deviation is 0.7, allowed 0.001" in message
    assert "top-1 agreement 100.0%" in message
    assert ModelFolder(path=model).versions() == (1,)
    assert (model / "config.pbtxt").read_text() == before
    monkeypatch.undo()


def test_a_version_that_does_not_load_is_not_published(
    model: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plansmith import publishing

    right = publishing.render_config
    monkeypatch.setattr(
        publishing,
        "render_config",
        lambda config: right(config).replace('backend: "openvino"', 'backend: "no_such"'),
    )
    with pytest.raises(PlansmithError, match="tiny version 1 was not published: on cpu it cannot"):
        build()
    assert ModelFolder(path=model).versions() == ()
    assert not (model / "config.pbtxt").exists()


def test_without_a_server_it_is_published_with_a_warning(
    model: Path,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLANSMITH_SERVER_ENV", str(tmp_path / "none"))
    found = build().manifest
    assert found is not None
    told = found.on("cpu").served_check
    assert told is not None
    assert told.startswith("not done: ")
    assert str(tmp_path / "none") in told
    assert "WARNING: tiny version 1 is published unchecked" in capsys.readouterr().err
    assert ModelFolder(path=model).serves(1, "config.pbtxt")


# --- before a repository is served


def keep(repository: Path, name: str, answers: GoldenAnswers) -> None:
    file.write(repository / name / "1" / file.FILE_NAME, answers)


def echoed(error: float = 0.0) -> GoldenAnswers:
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    y = x.copy()
    y[7, 1] += error
    return GoldenAnswers(inputs={"x": column(x)}, outputs={"x_out": column(y)}, max_deviation=1e-3)


def ragged() -> GoldenAnswers:
    """Numbers and words, of one to three of each."""
    words = [[b"a"], [b"", b"\0x"], [b"b", "é".encode(), b"c"]] * 3
    rows = [np.array(row, object) for row in words]
    numbers = [np.arange(3, dtype=np.int64)] * len(rows)
    return GoldenAnswers(
        inputs={"words": tuple(rows), "numbers": tuple(numbers)},
        outputs={"words_out": tuple(rows), "numbers_out": tuple(numbers)},
        max_deviation=0.0,
    )


def summed() -> GoldenAnswers:
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    sequence = np.repeat([5, 7, 6], [3, 5, 4])
    sums = [x[sequence == one].cumsum(axis=0) for one in (5, 7, 6)]
    return GoldenAnswers(
        inputs={"x": column(x)},
        outputs={"sum": column(np.concatenate(sums))},
        sequence=sequence,
        max_deviation=0.0,
    )


def counted() -> GoldenAnswers:
    counts = np.array([3, 0, 1])
    left = [np.array([3]), np.array([2]), np.array([1]), np.array([1])]
    return GoldenAnswers(
        inputs={"count": column(counts[:, None])},
        outputs={"left": tuple(left)},
        responses=counts,
        max_deviation=0.0,
    )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of every kind, each with golden answers but for `bare`."""
    folder = tmp_path_factory.mktemp("golden")
    write_model(folder, "bare", [Tensor("x", "FP32", "3")])
    write_model(folder, "echo", [Tensor("x", "FP32", "3")])
    write_model(folder, "pair", [Tensor("words", "STRING", "-1"), Tensor("numbers", "INT64", "3")])
    write_sum(folder, "sum")
    write_count(folder, "count")
    keep(folder, "echo", echoed())
    keep(folder, "pair", ragged())
    keep(folder, "sum", summed())
    keep(folder, "count", counted())
    return folder


@pytest.fixture(scope="module")
def url(original: Path, serve: Serve) -> Iterator[str]:
    with serve(original) as server:
        yield server.grpc_url


@pytest.fixture
def repository(original: Path, tmp_path: Path) -> Path:
    """A copy of what is served, to be spoilt."""
    return shutil.copytree(original, tmp_path / "served")


def checked(url: str, repository: Path) -> RepositoryCheck:
    with connected(url, HANG_S) as client:
        return check_repository(client, url, repository, "cpu", Silent())


def test_models_of_every_kind_are_checked(url: str, repository: Path) -> None:
    found = checked(url, repository)
    assert found.is_fine
    assert {one.model: one.found and one.found.count for one in found.models} == {
        "bare": None,
        "count": 3,
        "echo": 10,
        "pair": 9,
        "sum": 12,
    }
    assert found.models[0].note == "not checked: no golden answers"
    assert found.lines()[-1] == "4 checked, all as they are to be"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("echo", "row 7: x_out is off by 2"),
        ("pair", "row 1: words_out differs"),
        ("sum", "row 4: sum is off by 1"),
        ("count", "row 0: 3 answers instead of 2"),
    ],
)
def test_a_wrong_answer_is_told_with_its_row(
    url: str, repository: Path, name: str, fault: str
) -> None:
    keep(repository, name, spoilt(name))
    found = checked(url, repository)
    assert not found.is_fine
    (failed,) = [one for one in found.models if one.failed]
    assert failed.model == name
    assert failed.found is not None
    assert failed.found.fault == fault
    assert any(f"FAILED: {fault}" in line for line in found.lines())


def spoilt(name: str) -> GoldenAnswers:
    if name == "echo":
        return echoed(2.0)
    if name == "pair":
        right = ragged()
        words = list(right.outputs["words_out"])
        words[1] = np.array([b"", b"\0y"], object)
        outputs = {**right.outputs, "words_out": tuple(words)}
        return GoldenAnswers(inputs=right.inputs, outputs=outputs, max_deviation=0.0)
    if name == "sum":
        right = summed()
        sums = list(right.outputs["sum"])
        sums[4] = sums[4] + 1
        return GoldenAnswers(
            inputs=right.inputs,
            outputs={"sum": tuple(sums)},
            sequence=right.sequence,
            max_deviation=0.0,
        )
    right = counted()
    return GoldenAnswers(
        inputs=right.inputs,
        outputs={"left": right.outputs["left"][:3]},
        responses=np.array([2, 0, 1]),
        max_deviation=0.0,
    )


def test_what_the_server_lacks_or_has_besides_fails(url: str, repository: Path) -> None:
    config = repository / "echo" / "configs" / "cpu.pbtxt"
    (repository / "echo" / "1").rename(repository / "echo" / "2")
    config.write_text(config.read_text() + "version_policy { specific { versions: [ 2 ] } }\n")
    write_model(repository, "later", [Tensor("x", "FP32", "3")])
    found = checked(url, repository)
    notes = {(one.model, one.version): one.note for one in found.models if one.failed}
    assert notes == {
        ("echo", 1): f"not in {repository}",
        ("echo", 2): "not on the server, whose versions are: 1",
        ("later", 1): "not on the server, whose versions are: none",
    }


def test_a_model_that_fails_does_not_keep_the_others_from_being_checked(
    url: str, repository: Path
) -> None:
    keep(repository, "echo", ragged())
    found = checked(url, repository)
    (failed,) = [one for one in found.models if one.failed]
    assert (failed.model, failed.found) == ("echo", None)
    assert "no output 'words_out'" in failed.note or "no input 'words'" in failed.note
    assert sum(one.found is not None for one in found.models) == 3


def test_serve_checks_and_goes_on(repository: Path, server_cache: Path) -> None:
    command = serve_command(repository, server_cache, free_ports())
    with started([*command, "--check", "--json"]) as process:
        assert process.stdout is not None
        check, ready = (json.loads(process.stdout.readline()) for _ in range(2))
        failed = {one["model"]: one["failed"] for one in check["models"]}
        assert failed == dict.fromkeys(("bare", "count", "echo", "pair", "sum"), False)
        assert check["url"] == ready["grpc"]
        # The same of a server that runs.
        again = ("serve", f"--repository={repository}", "--check", f"--url={ready['grpc']}")
        assert plansmith(*again).returncode == 0
        keep(repository, "echo", echoed(2.0))
        spoilt = plansmith(*again)
        assert spoilt.returncode == 1
        assert "FAILED: row 7: x_out is off by 2" in spoilt.stdout
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=HANG_S) == 0


def test_serve_does_not_go_on_with_a_spoilt_repository(
    repository: Path, server_cache: Path
) -> None:
    keep(repository, "echo", echoed(2.0))
    command = serve_command(repository, server_cache, free_ports())
    with started([*command, "--check"]) as process:
        out, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    table = out.splitlines()
    assert table[0].split() == ["MODEL", "VERSION", "ROWS", "DEVIATION", "ALLOWED", "TOP-1"]
    assert table[3].split()[:5] == ["echo", "1", "10", "2", "0.001"]
    assert table[-1] == "1 of 5 failed"


def test_a_server_that_is_not_there_is_one_clear_error(
    repository: Path, dead_url: str, tmp_path: Path
) -> None:
    where = (f"--repository={repository}", f"--cache={tmp_path}")
    message = refused_last("serve", *where, "--check", f"--url={dead_url}", exit_code=1)
    assert f"{dead_url}: no server is ready there" in message
    assert "--url is for --check" in refused("serve", *where, f"--url={dead_url}")


def test_a_repository_without_golden_answers_cannot_be_checked(url: str, repository: Path) -> None:
    for name in ("echo", "pair", "sum", "count"):
        (repository / name / "1" / file.FILE_NAME).unlink()
    where = (f"--repository={repository}", "--check", f"--url={url}")
    assert "no served version has golden answers" in refused_last("serve", *where)


def refused_last(*arguments: str, exit_code: int = 2) -> str:
    """The message of a command that comes to nothing, after the progress that it tells."""
    done = plansmith(*arguments)
    assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"plansmith {arguments[0]}: ")
    return last
