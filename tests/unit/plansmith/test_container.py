"""The container engine: which is found, what it is told, and what is said where there is none.

`fake_engine` stands for docker and podman, which a test machine has no right to run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plansmith.container import build_image, find_engine, run_image
from plansmith.errors import LacksSomething, PlansmithError, UnusableInput

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "container"
DOCKERFILE = FOLDER / "Dockerfile"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def fake_engine(folder: Path, name: str, *, info: str = "exit 0", then: str = "exit 0") -> Path:
    """A program `name` that does `info` when asked for it, else notes its words and does `then`.

    It keeps them in the file it returns: one word a line, BUILDKIT's setting first.
    """
    log = folder / f"{name}.log"
    program = folder / name
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = info ]; then {info}; fi
printf '%s\\n' "buildkit=$DOCKER_BUILDKIT" "$@" > '{log}.part'
/bin/mv '{log}.part' '{log}'
{then}
"""
    )
    program.chmod(0o755)
    return log


def test_docker_comes_first(programs: Path) -> None:
    fake_engine(programs, "docker")
    fake_engine(programs, "podman")
    assert find_engine() == programs / "docker"


def test_podman_will_do_where_dockers_daemon_is_down(programs: Path) -> None:
    fake_engine(programs, "docker", info="exit 1")
    fake_engine(programs, "podman")
    assert find_engine() == programs / "podman"


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_without_any_engine_both_names_and_the_install_line_are_said(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path)
    with pytest.raises(LacksSomething) as caught:
        find_engine()
    assert caught.value.exit_code == 3
    assert "  docker: not on PATH\n  podman: not on PATH\n" in str(caught.value)
    assert str(caught.value).endswith("apt-get install podman")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("echo 'first'; echo 'Cannot connect to the daemon.' >&2; exit 1", "Cannot connect to the"),
        ("exit 7", "info` ended with status 7"),
        ("exec /bin/sleep 60", "info` did not answer in 0.3 s"),
    ],
)
def test_an_engine_that_does_not_answer_is_named_with_why(
    programs: Path, info: str, said: str
) -> None:
    fake_engine(programs, "docker", info=info)
    with pytest.raises(LacksSomething, match="podman: not on PATH") as caught:
        find_engine(timeout_s=0.3)
    assert said in str(caught.value)


def test_a_program_that_is_none_is_named_too(programs: Path) -> None:
    program = programs / "docker"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(LacksSomething, match="cannot be run: No such file"):
        find_engine()


# Building


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "net" / "1").mkdir(parents=True)
    (folder / "net" / "configs").mkdir()
    (folder / "net" / "configs" / "cpu.pbtxt").touch()
    return folder


def test_docker_builds_the_repository_it_is_given(
    programs: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = fake_engine(programs, "docker")
    build_image(ROOT, "a/b:1", repository)
    assert log.read_text().splitlines() == [
        "buildkit=1",
        "build",
        *("--file", str(DOCKERFILE)),
        *("--tag", "a/b:1"),
        *("--build-arg", "CONFIG_NAME=cpu"),
        str(repository),
    ]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"+ {programs}/docker build --file {DOCKERFILE} --tag a/b:1 ")


def test_podman_is_told_of_the_ignore_file_and_of_health_checks(
    programs: Path, repository: Path
) -> None:
    (repository / "net" / "configs" / "tensorrt.pbtxt").touch()
    log = fake_engine(programs, "podman")
    build_image(ROOT, "a/b:1", repository, config_name="tensorrt", triton_tag="26.07-py3")
    assert log.read_text().splitlines()[6:] == [
        *("--build-arg", "CONFIG_NAME=tensorrt"),
        *("--build-arg", "TRITON_TAG=26.07-py3"),
        *("--ignorefile", f"{DOCKERFILE}.dockerignore"),
        *("--format", "docker"),
        str(repository),
    ]


@pytest.mark.parametrize("name", [None, "0", "01", "1.tmp", "one"])
def test_a_model_without_a_version_is_refused_before_an_engine_is_looked_for(
    name: str | None, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (repository / "other").mkdir()
    if name is not None:
        (repository / "other" / name).mkdir()
    with pytest.raises(UnusableInput) as caught:
        build_image(ROOT, "a/b:1", repository)
    assert str(caught.value) == (
        f"{repository}/other: no version has been published yet; run `make build`"
    )
    assert caught.value.exit_code == 2


def test_a_model_not_published_for_the_target_is_refused(repository: Path) -> None:
    with pytest.raises(UnusableInput, match=r"net/configs/xla\.pbtxt: no such file, .*TARGET=xla"):
        build_image(ROOT, "a/b:1", repository, config_name="xla")


def test_an_empty_repository_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no model in it; run `make build`"):
        build_image(ROOT, "a/b:1", tmp_path)
    with pytest.raises(UnusableInput, match="no such folder; run `make build`"):
        build_image(ROOT, "a/b:1", tmp_path / "missing")


def test_a_folder_that_is_not_the_projects_is_refused(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(UnusableInput, match="Dockerfile: no such file"):
        build_image(tmp_path, "a/b:1", repository)


def test_a_failed_build_is_an_error(programs: Path, repository: Path) -> None:
    fake_engine(programs, "docker", then="exit 17")
    with pytest.raises(PlansmithError, match="docker build ended with status 17") as caught:
        build_image(ROOT, "a/b:1", repository)
    assert caught.value.exit_code == 1


# Running


def test_the_container_is_reachable_from_this_machine_only(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = fake_engine(programs, "docker")
    run_image("a/b:1", http_port=9000, grpc_port=9001, metrics_port=9002)
    words = log.read_text().splitlines()[1:]
    assert words[:2] == ["run", "--rm"]
    assert words[-1] == "a/b:1"
    published = [words[at + 1] for at, word in enumerate(words) if word == "--publish"]
    assert published == ["127.0.0.1:9000:8000", "127.0.0.1:9001:8001", "127.0.0.1:9002:8002"]
    assert "--read-only" in words
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert words[words.index("--security-opt") + 1] == "no-new-privileges"
    assert capsys.readouterr().err.startswith(f"+ {programs}/docker run --rm ")


def test_a_container_that_ends_badly_by_itself_is_an_error(programs: Path) -> None:
    fake_engine(programs, "docker", then="exit 3")
    with pytest.raises(PlansmithError, match="container ended with status 3"):
        run_image("a/b:1")


@pytest.mark.parametrize(("asked", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, -2)])
def test_a_signal_stops_the_container_once_and_is_waited_for(
    programs: Path, tmp_path: Path, asked: signal.Signals, status: int
) -> None:
    stopped = tmp_path / "stopped"
    ready = tmp_path / "ready"
    # The shell's own wait is cut short by a signal; a foreground sleep would not be.
    trap = f"trap 'echo once >> {stopped}; kill $!; exit 143' TERM"
    fake_engine(programs, "docker", then=f"{trap}; /bin/sleep 60 & : > {ready}; wait $!")
    code = "from plansmith.container import run_image; run_image('a/b:1')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=dict(os.environ), stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(asked)
        # Python itself ends by SIGINT after a KeyboardInterrupt that nobody caught.
        assert process.wait(timeout=30) == status
    finally:
        process.kill()
        process.wait()
    assert stopped.read_text() == "once\n"
