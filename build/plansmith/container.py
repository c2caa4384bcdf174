"""The container engine's edge: find Docker or Podman, build the image, run it in the foreground.

What is in the image is written in deploy/container/Dockerfile, not here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from plansmith.errors import LacksSomething, PlansmithError, UnusableInput
from plansmith.published import check_published

ENGINES = ("docker", "podman")
INSTALL = "apt-get install podman"
DOCKERFILE = Path("deploy/container/Dockerfile")

# A daemon that is there answers in well under a second; a dead remote one may never answer.
ANSWER_TIMEOUT_S = 10.0
# Longer than the image's --exit-timeout-secs=30, so that requests under way are answered.
STOP_TIMEOUT_S = 35


def find_engine(timeout_s: float = ANSWER_TIMEOUT_S) -> Path:
    """The first of docker and podman whose `info` succeeds within `timeout_s`.

    Raises LacksSomething with why each one would not do.
    """
    reasons: list[str] = []
    for name in ENGINES:
        found = shutil.which(name)
        reason = "not on PATH" if found is None else _why_silent(found, timeout_s)
        if found is not None and reason is None:
            return Path(found)
        reasons.append(f"  {name}: {reason}")
    raise LacksSomething(
        "no container engine answers:\n"
        + "\n".join(reasons)
        + f"\nstart one of them, or install one that needs no daemon: {INSTALL}"
    )


def build_image(
    root: Path,
    tag: str,
    repository: Path,
    *,
    config_name: str = "cpu",
    triton_tag: str | None = None,
) -> None:
    """An image `tag` that serves `repository` with each model's configs/<config_name>.pbtxt.

    `root` is the project's folder, `triton_tag` a tag of nvcr.io/nvidia/tritonserver other than
    the Dockerfile's own. Raises UnusableInput where something in `repository` could not be served,
    LacksSomething without an engine, PlansmithError where the engine's build fails.
    """
    dockerfile = root / DOCKERFILE
    if not dockerfile.is_file():
        raise UnusableInput(f"{dockerfile}: no such file; {root} is not Plansmith's folder")
    check_published(repository, config_name)
    engine = find_engine()
    command = [str(engine), "build", "--file", str(dockerfile), "--tag", tag]
    command += ["--build-arg", f"CONFIG_NAME={config_name}"]
    if triton_tag is not None:
        command += ["--build-arg", f"TRITON_TAG={triton_tag}"]
    if engine.name == "podman":
        # Podman 4.3 does not look for Dockerfile.dockerignore by itself, and its own image format
        # has no HEALTHCHECK.
        command += ["--ignorefile", f"{dockerfile}.dockerignore", "--format", "docker"]
    command.append(str(repository))
    # Docker's builder of before BuildKit knows neither Dockerfile.dockerignore nor COPY --chmod.
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    _say(command)
    try:
        status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise LacksSomething(f"{engine}: cannot be run: {error.strerror}") from error
    if status != 0:
        raise PlansmithError(f"{engine.name} build ended with status {status}; its output is above")


def run_image(
    tag: str,
    *,
    http_port: int = 8000,
    grpc_port: int = 8001,
    metrics_port: int = 8002,
) -> None:
    """Serve the image `tag` on 127.0.0.1 until SIGTERM, Ctrl-C or its own end; main thread only.

    SIGTERM and Ctrl-C both stop it as `docker stop` would, the second by KeyboardInterrupt once the
    container is gone. Raises LacksSomething without an engine, and PlansmithError where the
    container ends by itself with a status other than 0.
    """
    engine = find_engine()
    command = [str(engine), "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--shm-size", "256m"]
    command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    command += ["--stop-timeout", str(STOP_TIMEOUT_S)]
    for outside, inside in ((http_port, 8000), (grpc_port, 8001), (metrics_port, 8002)):
        command += ["--publish", f"127.0.0.1:{outside}:{inside}"]
    command.append(tag)
    _say(command)
    status, asked = _run_until_told(command)
    if signal.SIGINT in asked:
        raise KeyboardInterrupt
    if status != 0 and not asked:
        raise PlansmithError(
            f"{tag}: the container ended with status {status}; its output is above"
        )


def _why_silent(program: str, timeout_s: float) -> str | None:
    """Why `program info` did not succeed, in one line; None where it did."""
    try:
        done = subprocess.run(
            [program, "info"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"`{program} info` did not answer in {timeout_s:g} s"
    except OSError as error:
        return f"{program} cannot be run: {error.strerror}"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return said[-1] if said else f"`{program} info` ended with status {done.returncode}"


def _run_until_told(command: list[str]) -> tuple[int, list[int]]:
    """The exit status of `command`, and the signals that asked it to stop; each is passed on."""
    asked: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if process is not None:
            process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # A session of its own, so that the terminal's Ctrl-C reaches it once, through `stop`.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        if asked:
            process.terminate()
        return process.wait(), asked
    except OSError as error:
        raise LacksSomething(f"{command[0]}: cannot be run: {error.strerror}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(command: list[str]) -> None:
    print("+", shlex.join(command), file=sys.stderr, flush=True)
