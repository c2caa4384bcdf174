"""`plansmith load` as a program: its exit codes, and the result that it writes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from classifier import CLASSIFIER, LABELS
from openvino_models import variant, write_version
from plansmith import load_result
from plansmith.data.samples import save_arrays
from plansmith.golden.file import GoldenAnswers, column
from plansmith.plain.answers import samples_of
from programs import HANG_S, command, plansmith, refused, started
from python_models import Tensor, write_model
from real_server import Serve, survivors

# Far from what any machine takes for so small a model, on either side.
EASY_MS, IMPOSSIBLE_MS = "10000", "0.001"
# The first byte of each item says how long it is: one that has lost its end is refused.
WHOLE_ITEMS = """
        for item in pb_utils.get_input_tensor_by_name(request, "item").as_numpy().ravel():
            assert item[0] == len(item), item
"""


@pytest.fixture(scope="module")
def url(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("cli_load")
    write_version(repository, "tiny", CLASSIFIER, variant(), labels=LABELS)
    write_model(repository, "whole", [Tensor("item", "STRING", "1")], before=WHOLE_ITEMS)
    with serve(repository) as server:
        yield server.grpc_url


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
    np.save(tmp_path / "samples.npy", images)
    return tmp_path / "samples.npy"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "result.json"


def short(url: str, samples: Path, result: Path) -> tuple[str, ...]:
    return ("--url", url, "--duration-s", "2", "--input", str(samples), "--json", str(result))


@pytest.mark.alone
def test_a_pass_exits_0(url: str, samples: Path, result: Path) -> None:
    arguments = (*short(url, samples, result), "--concurrency", "2", "--p99-ms", EASY_MS)
    done = plansmith("load", "tiny", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("PASS: ")
    assert load_result.read(result).verdict == "pass"


@pytest.mark.alone
def test_a_fail_exits_1(url: str, samples: Path, result: Path) -> None:
    arguments = (*short(url, samples, result), "--concurrency", "2", "--p99-ms", IMPOSSIBLE_MS)
    done = plansmith("load", "tiny", *arguments)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].startswith("FAIL: ")
    assert load_result.read(result).verdict == "fail"


@pytest.mark.alone
def test_the_result_says_what_was_asked_for(url: str, samples: Path, result: Path) -> None:
    arguments = (*short(url, samples, result), "--rate", "100", "--p99-ms", EASY_MS)
    plansmith("load", "tiny", *arguments)
    written = load_result.read(result)
    assert (written.model, written.url, written.slo) == (
        "tiny",
        url,
        load_result.Slo(p99_ms=float(EASY_MS)),
    )
    assert written.arrivals == load_result.Arrivals(kind="open", concurrency=None, rate_per_s=100)
    assert (written.sent, written.succeeded) == (200, 200)


def test_samples_that_do_not_fit_are_refused(url: str, tmp_path: Path, result: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((4, 32, 32, 3), np.float32))
    arguments = (*short(url, tmp_path / "wrong.npy", result), "--p99-ms", EASY_MS)
    assert "the model takes uint8 [32, 32, 3]" in refused("load", "tiny", *arguments)
    assert not result.exists()


@pytest.mark.alone
def test_the_samples_of_a_build_reach_a_model_of_bytes_whole(
    url: str, tmp_path: Path, result: Path
) -> None:
    items = column(np.array([[b"\x05text"], [b"\x04\0\0\0"], ["\x04☃".encode()]], object))
    answers = GoldenAnswers(inputs={"item": items}, outputs={"item_out": items}, max_deviation=0)
    save_arrays(tmp_path / "samples.npz", samples_of(answers))
    arguments = ("--duration-s", "1", "--input", tmp_path / "samples.npz", "--json", result)
    done = plansmith("load", "whole", "--url", url, *arguments, "--p99-ms", EASY_MS)
    assert done.returncode == 0, done.stderr
    written = load_result.read(result)
    assert written.sent == written.succeeded
    assert written.sent >= len(items)


@pytest.mark.parametrize("content", [b"", b"this is no array", b"PK\x03\x04 a broken zip"])
def test_samples_that_cannot_be_read_are_refused(
    url: str, tmp_path: Path, result: Path, content: bytes
) -> None:
    path = tmp_path / "samples.npy"
    path.write_bytes(content)
    arguments = (*short(url, path, result), "--p99-ms", EASY_MS)
    assert str(path) in refused("load", "tiny", *arguments)


def test_without_recipe_and_slo_there_is_no_run(url: str, samples: Path, tmp_path: Path) -> None:
    arguments = ("--url", url, "--input", samples, "--repository", tmp_path)
    message = refused("load", "tiny", *arguments)
    assert f"{tmp_path / 'tiny' / 'recipe.toml'}: no such recipe" in message


def test_an_unknown_model_fails(url: str, samples: Path, result: Path) -> None:
    arguments = (*short(url, samples, result), "--p99-ms", EASY_MS)
    assert "tinny" in refused("load", "tinny", *arguments, exit_code=1)
    assert not result.exists()


def test_no_server_fails_with_its_address(dead_url: str, samples: Path, result: Path) -> None:
    arguments = (*short(dead_url, samples, result), "--p99-ms", EASY_MS)
    assert dead_url in refused("load", "tiny", *arguments, exit_code=1)
    assert not result.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_locust_without_a_result(
    url: str, samples: Path, result: Path, number: signal.Signals
) -> None:
    arguments = ("--url", url, "--input", samples, "--json", result)
    with started(
        command("load", "tiny", *arguments, "--duration-s", "600", "--p99-ms", EASY_MS)
    ) as process:
        assert process.stderr is not None
        # The first progress: the run is under way.
        process.stderr.readline()
        children = tuple(psutil.Process(process.pid).children(recursive=True))
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("plansmith load: interrupted")
    assert "Traceback" not in err
    assert not result.exists()
    assert children
    assert not survivors(children)
