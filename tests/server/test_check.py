"""`plansmith check` against the server itself: what it calls clean loads, what is refused it finds.

Hypothesis draws configs; a real server, in explicit control mode and without auto-complete, is
asked to load each. Rules may be stricter than the server: some of what it loads fails at the first
request, on a GPU, or does nothing.
"""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from generated_configs import RESOURCE, STEP, STEP_CONFIG, configs, ensembles
from plansmith.rules.checking import check
from plansmith.rules.facts import Place
from plansmith.rules.findings import ERROR
from plansmith.server import TRITON, Server, free_ports, serving
from plansmith.server_files import ServerFiles
from programs import HANG_S

# A real server answers each: the same ones every time, and as long as it takes.
SETTINGS = settings(
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
NO_ANSWER = "no answer, the server ended"
MODEL = """
import json
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        policy = json.loads(args["model_config"]).get("model_transaction_policy", {})
        self.decoupled = policy.get("decoupled", False)

    def execute(self, requests):
        if not self.decoupled:
            return [pb_utils.InferenceResponse([]) for _ in requests]
        for request in requests:
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            request.get_response_sender().send(flags=final)
"""
# What the server refuses and no rule can see offline. docs/rules.md has the same list.
BACKEND = 'backend: "python"\n'
DIFFERENCES = {
    "a GPU that is not there": f"{BACKEND}instance_group [ {{ kind: KIND_GPU }} ]",
    "gpus where none is": f"{BACKEND}instance_group [ {{ gpus: [ 0 ] }} ]",
    "a backend that is not installed": 'backend: "custom"',
    "a runtime that is not installed": f'{BACKEND}runtime: "libtriton_custom.so"',
    "an agent that is not installed": f"{BACKEND}"
    'model_repository_agents { agents [ { name: "decrypt" } ] }',
}


class Judges:
    """The server and `check`, each asked about one config at a time."""

    def __init__(self, files: ServerFiles, root: Path) -> None:
        self._files = files
        self._repository, self._logs = root / "repository", root / "logs"
        self._server: Server | None = None
        self._running = ExitStack()
        self._numbers = itertools.count()
        self._write(STEP, STEP_CONFIG)

    def __enter__(self) -> Judges:
        ports = free_ports()
        self._server = self._running.enter_context(
            serving(self._files, self._repository, "cpu", ports, self._logs, (STEP,), drain=False)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def judge(self, config: str) -> tuple[list[str], str]:
        """What check calls an error, and why the server does not load it: "" where it does."""
        name = f"generated_{next(self._numbers)}"
        # The rate limiter's resources are of all models, and the one before may still be unloading.
        folder = self._write(name, config.replace(f'"{RESOURCE}"', f'"{name}"'))
        try:
            found = check([self._repository], Place(cores=2, server_version=TRITON))
            of_model = [one for one in found if Path(one.file).is_relative_to(folder)]
            return [str(one) for one in of_model if one.severity == ERROR], self._refusal(name)
        finally:
            shutil.rmtree(folder)

    def _write(self, name: str, config: str) -> Path:
        folder = self._repository / name
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "model.py").write_text(MODEL)
        (folder / "config.pbtxt").write_text(config)
        return folder

    def _refusal(self, model: str, *, again: bool = False) -> str:
        try:
            self._post(model, "load")
        except urllib.error.HTTPError as error:
            return str(json.loads(error.read())["error"])
        except (OSError, http.client.HTTPException):
            # It ended, or hangs; another is started for the next config.
            assert self._server is not None
            self._server.process.kill()
            self._running.close()
            self.__enter__()
            # Triton 2.51 ends now and then, with a segmentation fault, when one model is loaded as
            # another is still unloading. What ends it by itself ends the new server too.
            return NO_ANSWER if again else self._refusal(model, again=True)
        self._post(model, "unload")
        return ""

    def _post(self, model: str, what: str) -> None:
        assert self._server is not None
        url = f"{self._server.http_url}/v2/repository/models/{model}/{what}"
        with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=HANG_S) as answer:
            answer.read()


@pytest.fixture(scope="module")
def judges(server_files: ServerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    with Judges(server_files, tmp_path_factory.mktemp("judges")) as both:
        yield both


@pytest.mark.parametrize(
    ("drawn", "count"),
    [pytest.param(configs(), 150, id="model"), pytest.param(ensembles(), 250, id="ensemble")],
)
def test_what_check_calls_clean_loads_and_what_is_refused_it_finds(
    judges: Judges, drawn: SearchStrategy[str], count: int
) -> None:
    loaded = [0, 0]

    @settings(SETTINGS, max_examples=count)
    @given(drawn)
    def agree(config: str) -> None:
        errors, refusal = judges.judge(config)
        assert errors or not refusal, f"check calls it clean, the server says: {refusal}"
        loaded[not refusal] += 1

    agree()
    # Both have to be drawn, or this test says nothing.
    assert min(loaded) > count // 6


@pytest.mark.parametrize("config", DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_differences_are_what_they_are_said_to_be(judges: Judges, config: str) -> None:
    errors, refusal = judges.judge(config)
    assert errors == []
    assert refusal not in ("", NO_ANSWER)


def test_an_empty_list_of_agents_ends_the_server_and_is_an_error(judges: Judges) -> None:
    errors, refusal = judges.judge(f"{BACKEND}model_repository_agents {{ }}")
    assert refusal == NO_ANSWER
    assert [one for one in errors if "agent-none" in one]
