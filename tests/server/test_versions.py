"""Versions on a running server: none is ever missing, none half there, none that failed is met."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from plansmith.errors import LacksSomething, PlansmithError
from plansmith.integrity.version import Demand
from plansmith.repository import ModelFolder
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.versions import candidate, events, promotion
from plansmith.versions.control import LoadRefused, ModelControl
from plansmith.versions.promotion import Promoted
from plansmith_client import Client
from programs import command, plansmith, refused, started
from python_models import CONFIG_NAME
from versioned import MODEL, publish_counter

pytestmark = pytest.mark.alone

RATE_PER_S = 50
PUBLISHES = 5
# The five publishes and the rollback are spread evenly over so many seconds of traffic.
TRAFFIC_S = 30
ROWS = 400


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With version 1 of the model."""
    publish_counter(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def folder(repository: Path) -> ModelFolder:
    return ModelFolder(path=repository / MODEL)


@pytest.fixture
def server(repository: Path, server_files: ServerFiles, tmp_path: Path) -> Iterator[Server]:
    """Lets its callers load models."""
    logs = tmp_path / "logs"
    with serving(
        server_files, repository, CONFIG_NAME, free_ports(), logs, control=True
    ) as running:
        yield running


@pytest.fixture
def control(server: Server) -> Iterator[ModelControl]:
    with ModelControl(server.grpc_url) as one:
        yield one


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Requests: 400 rows, each another number."""
    path = tmp_path / "requests.npz"
    np.savez(path, x=np.arange(ROWS, dtype=np.float32).reshape(-1, 1))
    return path


def make_served(folder: ModelFolder, version: int, control: ModelControl) -> Promoted:
    texts = promotion.check(folder, version, Demand())
    return promotion.promote(folder, version, texts, control, kind="served")


def ask(client: Client, version: int | None = None) -> float:
    """Which version answers."""
    x = np.ones((1, 1), np.float32)
    return float(client.model(MODEL, version).infer({"x": x}, ["y"])["y"][0, 0])


@dataclass
class Traffic:
    """What a client at a constant rate saw: when each request was sent and answered, and by whom.

    A request that failed has its error in place of a version. `begun` is when the first was due.
    """

    seen: list[tuple[float, float, float | str]] = field(
        default_factory=list[tuple[float, float, float | str]]
    )
    begun: float = field(default_factory=time.monotonic)

    def wait_until(self, after_s: float) -> None:
        """Until `after_s` seconds of traffic are over."""
        time.sleep(max(0.0, self.begun + after_s - time.monotonic()))


@contextmanager
def traffic(url: str) -> Iterator[Traffic]:
    """RATE_PER_S requests a second until the block is left, whatever becomes of them.

    Each is due at a time of its own, however long the answers before it take; one that cannot be
    sent then is sent as soon as it can.
    """
    found, stop = Traffic(), threading.Event()
    with Client(url, timeout_s=10) as client, ThreadPoolExecutor(16) as pool:

        def send() -> None:
            start = time.monotonic()
            try:
                answer: float | str = ask(client)
            except Exception as error:
                answer = repr(error)
            found.seen.append((start, time.monotonic(), answer))

        def pace() -> None:
            for number in itertools.count():
                found.wait_until(number / RATE_PER_S)
                if stop.is_set():
                    break
                pool.submit(send)

        thread = threading.Thread(target=pace)
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()


def test_no_request_fails_and_no_version_answers_but_the_published_ones(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    step_s = TRAFFIC_S / (PUBLISHES + 2)
    begun = {1: 0.0}
    ended: dict[int, float] = {}
    with traffic(server.grpc_url) as found:
        for publish in range(1, PUBLISHES + 1):
            found.wait_until(publish * step_s)
            version = publish_counter(repository, delay_s=0.005)
            begun[version], before = time.monotonic(), version - 1
            make_served(folder, version, control)
            # The server lets the old one go a moment after the new one is ready.
            ended[before] = time.monotonic() + 1
        found.wait_until((PUBLISHES + 1) * step_s)
        rolled_back = time.monotonic()
        texts = promotion.check(folder, PUBLISHES, Demand())
        promotion.promote(folder, PUBLISHES, texts, control, kind="rolled back")
        ended[PUBLISHES + 1] = time.monotonic() + 1
        found.wait_until(TRAFFIC_S)
    by_sending = sorted(found.seen, key=lambda one: one[0])
    answers = [answer for _, _, answer in by_sending]
    assert [one for one in answers if isinstance(one, str)] == []
    # Each had its time; a busy machine may stop before it has sent the last of them.
    assert len(answers) >= RATE_PER_S * TRAFFIC_S - 100
    assert list(dict.fromkeys(answers)) == [float(one) for one in range(1, PUBLISHES + 2)]
    for sent, answered, version in by_sending:
        number = int(version)
        is_back = number == PUBLISHES and answered > rolled_back
        assert is_back or begun[number] <= answered, "not before it was published"
        assert is_back or sent <= ended.get(number, answered), "not after it was replaced"
    assert answers[-1] == float(PUBLISHES)


def test_a_version_that_does_not_load_leaves_the_one_before_answering(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    broken = publish_counter(repository, -1)
    assert folder.current == broken, "a build only writes configs"
    with traffic(server.grpc_url) as found:
        with pytest.raises(LoadRefused, match=r"out of cheese.*version 1 answers at"):
            make_served(folder, broken, control)
        time.sleep(0.3)
    assert {answer for _, _, answer in found.seen} == {1.0}
    assert set(folder.served().values()) == {(1,)}
    assert events.held(events.read(folder.path)) == {broken}


def test_a_config_that_does_not_load_leaves_the_one_before_answering(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    version = publish_counter(repository, stage=True)
    texts = {name: "nonsense: 3\n" for name in promotion.check(folder, version, Demand())}
    with pytest.raises(LoadRefused, match="version 1 answers at"):
        promotion.promote(folder, version, texts, control, kind="served")
    assert set(folder.served().values()) == {(1,)}
    with Client(server.grpc_url) as client:
        assert ask(client) == 1


def test_a_server_without_model_control_is_told_by_name(
    folder: ModelFolder, repository: Path, server_files: ServerFiles, tmp_path: Path
) -> None:
    ports, logs = free_ports(), tmp_path / "logs"
    with (
        serving(server_files, repository, CONFIG_NAME, ports, logs) as running,
        ModelControl(running.grpc_url) as control,
        pytest.raises(LacksSomething, match="start it with `plansmith serve --control`"),
    ):
        make_served(folder, 1, control)


def test_a_server_that_does_not_answer_changes_nothing(
    repository: Path, folder: ModelFolder, dead_url: str
) -> None:
    staged = publish_counter(repository, stage=True)
    with (
        ModelControl(dead_url) as control,
        pytest.raises(PlansmithError, match="failed to connect"),
    ):
        make_served(folder, staged, control)
    assert set(folder.served().values()) == {(1,)}


def test_a_candidate_answers_under_its_own_name_alone_and_leaves_nothing(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    staged = publish_counter(repository, stage=True)
    before = sorted(repository.rglob("*"))
    with Client(server.grpc_url) as client:
        with candidate.loaded(control, folder, staged, CONFIG_NAME) as name:
            x = np.ones((1, 1), np.float32)
            assert float(client.model(name).infer({"x": x})["y"][0, 0]) == staged
            assert ask(client) == 1
            assert control.versions(MODEL) == (1,)
        assert control.versions(name) == ()
        assert ask(client) == 1
    assert sorted(repository.rglob("*")) == before


def compared(repository: Path, server: Server, recorded: Path, *way: str) -> list[str]:
    return [
        *("publish", MODEL, f"--repository={repository}", f"--url={server.grpc_url}"),
        *(f"--requests={recorded}", *way),
    ]


@pytest.mark.parametrize("way", [("--shadow",), ("--canary=0.2",)], ids=["shadow", "canary"])
def test_a_candidate_as_good_as_the_served_version_is_published(
    repository: Path, folder: ModelFolder, server: Server, recorded: Path, way: tuple[str, ...]
) -> None:
    staged = publish_counter(repository, 1, stage=True)
    # Two of a kind on a busy machine: a generous limit on how much slower one may seem.
    done = plansmith(*compared(repository, server, recorded, *way, "--max-slowdown=3", "--json"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["published"]["version"] == staged
    assert [one["verdict"] for one in found["comparison"]["criteria"]] == ["pass"] * 3
    with Client(server.grpc_url) as client:
        assert ask(client, staged) == 1
    assert folder.current == staged
    assert any("answers: pass" in line for line in events.read(folder.path)[-1].figures)


@pytest.mark.parametrize("way", ["--shadow", "--canary=0.2"])
@pytest.mark.parametrize(
    ("answer", "delay_s", "why"),
    [(60, 0.0, "answers: fail"), (1, 0.05, "latency: fail"), (101, 0.0, "errors: fail")],
    ids=["other answers", "slower", "failing"],
)
def test_a_candidate_that_is_worse_is_not_published_and_nobody_meets_it(
    repository: Path,
    folder: ModelFolder,
    server: Server,
    recorded: Path,
    way: str,
    answer: float,
    delay_s: float,
    why: str,
) -> None:
    staged = publish_counter(repository, answer, delay_s=delay_s, stage=True)
    with traffic(server.grpc_url) as found:
        done = plansmith(*compared(repository, server, recorded, way, "--count=60"))
    assert done.returncode == 1, done.stderr
    assert why in done.stdout
    assert f"version {staged} is not published, version 1 goes on answering" in done.stderr
    assert {seen for _, _, seen in found.seen} == {1.0}
    assert set(folder.served().values()) == {(1,)}
    (refusal,) = [one for one in events.read(folder.path) if one.kind == "refused"]
    assert any(why in line for line in refusal.figures)


def test_a_candidate_that_was_built_into_the_configs_leaves_them_when_it_fails(
    repository: Path, folder: ModelFolder, server: Server, recorded: Path
) -> None:
    worse = publish_counter(repository, 60)
    assert folder.current == worse
    refused_now = plansmith(*compared(repository, server, recorded, "--shadow", "--count=60"))
    assert refused_now.returncode == 1
    assert set(folder.served().values()) == {(1,)}


def test_a_killed_comparison_leaves_the_served_version_and_the_next_clears_up(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl, recorded: Path
) -> None:
    publish_counter(repository, 1, stage=True)
    name = candidate.name_of(MODEL)
    way = compared(repository, server, recorded, "--shadow", "--max-slowdown=100")
    with started(command(*way, "--count=1000000")) as process:
        while not control.versions(name):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
    assert control.versions(MODEL) == (1,)
    assert set(folder.served().values()) == {(1,)}
    done = plansmith(*way, "--count=320")
    assert done.returncode == 0, done.stderr
    assert (control.versions(name), control.versions(MODEL)) == ((), (2,))


def test_too_few_requests_prove_nothing_unless_that_is_accepted(
    repository: Path, folder: ModelFolder, server: Server, recorded: Path
) -> None:
    publish_counter(repository, 1, stage=True)
    way = ("--shadow", "--count=20", "--max-slowdown=100", "--version=2")
    done = plansmith(*compared(repository, server, recorded, *way))
    assert done.returncode == 1
    assert "errors: not proven" in done.stdout
    assert "--accept-not-proven publishes it" in done.stderr
    assert folder.current == 1
    done = plansmith(*compared(repository, server, recorded, *way, "--accept-not-proven"))
    assert done.returncode == 0, done.stderr
    assert folder.current == 2


def test_a_rollback_reaches_the_running_server(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    make_served(folder, publish_counter(repository), control)
    arguments = ("rollback", MODEL, f"--repository={repository}", f"--url={server.grpc_url}")
    done = plansmith(*arguments, "--reason=too bold")
    assert (done.returncode, done.stderr) == (0, "")
    line = f"{MODEL}: version 1 is served instead of version 2; ready at {server.grpc_url}\n"
    assert done.stdout == line
    assert control.versions(MODEL) == (1,)
    again = refused("publish", MODEL, f"--repository={repository}")
    assert "version 2 was rolled back to 1" in again
    assert "(too bold; loaded at " in again
