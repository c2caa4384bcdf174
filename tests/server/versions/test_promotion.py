"""Versions on a running server: none is ever missing, none half there, none that failed is met."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from plansmith.errors import LacksSomething, PlansmithError
from plansmith.integrity.version import Demand
from plansmith.repository import ModelFolder
from plansmith.server import Server, free_ports, serving
from plansmith.server_files import ServerFiles
from plansmith.versions import events, promotion
from plansmith.versions.control import LoadRefused, ModelControl
from plansmith.versions.promotion import Promoted
from plansmith_client import Client
from programs import plansmith, refused
from python_models import CONFIG_NAME
from traffic import ask, traffic
from versioned import MODEL, publish_counter

PUBLISHES = 5
# The five publishes and the rollback are spread evenly over so many seconds of traffic.
TRAFFIC_S = 15
# As dense as the model can bear, which works 5 ms on each.
RATE_PER_S = 100


def make_served(folder: ModelFolder, version: int, control: ModelControl) -> Promoted:
    texts = promotion.check(folder, version, Demand())
    return promotion.promote(folder, version, texts, control, kind="served")


@pytest.mark.alone
def test_no_request_fails_and_no_version_answers_but_the_published_ones(
    repository: Path, folder: ModelFolder, server: Server, control: ModelControl
) -> None:
    step_s = TRAFFIC_S / (PUBLISHES + 2)
    begun = {1: 0.0}
    ended: dict[int, float] = {}
    with traffic(server.grpc_url, RATE_PER_S) as found:
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
        serving(server_files, repository, CONFIG_NAME, ports, logs, drain=False) as running,
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
