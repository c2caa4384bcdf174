"""What a server answers is held against the golden answers of the repository that it serves."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_samples import counted, echoed, keep, ragged, spoilt, summed
from kept_state import write_count, write_sum
from plansmith.golden import file
from plansmith.golden.served import RepositoryCheck, check_repository
from plansmith.infer import connected
from plansmith.server import free_ports
from programs import HANG_S, command, plansmith, refused, started
from python_models import Tensor, write_model
from real_server import Serve, serve_command

pytestmark = pytest.mark.usefixtures("server_files")


class Silent:
    """A step that tells nobody."""

    def update(self, done: int, total: int, detail: str = "") -> None: ...


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


def test_grpc_is_spoken_at_port_8000_too(repository: Path) -> None:
    # An address that nobody else listens at.
    place = ("127.80.0.1", 8000)
    check = command("serve", "--check", f"--repository={repository}", f"--url={place[0]}:8000")
    with socket.create_server(place) as listener, started(check):
        listener.settimeout(HANG_S)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(HANG_S)
            # How HTTP/2 begins, and with it gRPC: RFC 9113, section 3.4.
            assert connection.recv(3, socket.MSG_WAITALL) == b"PRI"


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
