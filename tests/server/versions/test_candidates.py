"""A candidate is compared on a running server: published if as good, and met by nobody if not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from plansmith.repository import ModelFolder
from plansmith.server import Server
from plansmith.versions import candidate, events
from plansmith.versions.control import ModelControl
from plansmith_client import Client
from programs import command, plansmith, started
from python_models import CONFIG_NAME
from traffic import ask, traffic
from versioned import MODEL, publish_counter


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


@pytest.mark.alone
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
    [
        pytest.param(60, 0.0, "answers: fail", id="other answers"),
        pytest.param(1, 0.05, "latency: fail", id="slower", marks=pytest.mark.alone),
        pytest.param(101, 0.0, "errors: fail", id="failing"),
    ],
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
