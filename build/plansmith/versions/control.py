"""Triton's model control API over gRPC: which versions a running server answers with.

Protocol: triton-inference-server/server docs/protocol/extension_model_repository.md. The server has
to run with --model-control-mode=explicit. A load that changes versions brings up the new ones
before it lets the old ones go, and where a new one fails, the old ones stay and answer: found on
2.51 under load, see tests/server/versions/test_promotion.py.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from plansmith.errors import LacksSomething, PlansmithError

LOAD_TIMEOUT_S = 600.0
CALL_TIMEOUT_S = 10.0
READY_TIMEOUT_S = 60.0
_POLL_S = 0.05
# What the server says where it was started without the API; its words since 2.0.
_NOT_EXPLICIT = "explicit model load / unload is not allowed"
# Of a model that it does not answer for, and of one that it failed to load.
_NOT_LOADED = ("Request for unknown model", "no available versions")
_REFUSED = ("load failed for model", "failed to load")


class LoadRefused(PlansmithError):
    """The server tried to load the model and could not; what it answered with before stays."""


class ModelControl:
    """The models of the server whose gRPC port is at `url`, "host:port".

    Methods raise PlansmithError where the server cannot be reached or fails, and LacksSomething
    where it was not started with model control.
    """

    def __init__(self, url: str) -> None:
        # Neither package has types. The package of the protocol takes 0.2 s: on first need.
        self._grpc: Any = importlib.import_module("tritonclient.grpc")
        self._url = url
        try:
            self._client: Any = self._grpc.InferenceServerClient(url)
        except self._grpc.InferenceServerException as error:
            raise PlansmithError(f"{url}: {error.message()}") from error

    @property
    def url(self) -> str:
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def load(
        self,
        model: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        """Loads `model` anew from the repository and returns when it is ready.

        `config`, JSON, stands in for its config file; `files`, by path in its folder, for its files
        and then for the whole folder: the model need not be in the repository. Raises LoadRefused
        where the server cannot load it so.
        """
        named = {f"file:{path}": content for path, content in (files or {}).items()}
        with self._told(f"cannot load {model}"):
            self._client.load_model(
                model, config=config, files=named or None, client_timeout=timeout_s
            )

    def unload(self, model: str) -> None:
        """Takes `model` away once its requests are answered; one that is not loaded is fine."""
        with self._told(f"cannot unload {model}"):
            self._client.unload_model(model, client_timeout=LOAD_TIMEOUT_S)

    def is_ready(self, model: str, version: int) -> bool:
        """Whether requests to that version are answered."""
        with self._told(f"cannot ask for {model}"):
            return bool(
                self._client.is_model_ready(model, str(version), client_timeout=CALL_TIMEOUT_S)
            )

    def wait_ready(self, model: str, version: int, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when that version is ready; raises PlansmithError if it is not in time."""
        end = time.monotonic() + timeout_s
        while not self.is_ready(model, version):
            if time.monotonic() > end:
                raise PlansmithError(
                    f"{self._url}: {model} version {version} is not ready after {timeout_s:g} s, "
                    f"the server answers with {_listed(self.versions(model))}; does it read this "
                    "repository, and the configs of this version's target?"
                )
            time.sleep(_POLL_S)

    def versions(self, model: str) -> tuple[int, ...]:
        """The versions of `model` that are ready, ascending; none where it is not loaded."""
        try:
            with self._told(f"cannot ask for {model}"):
                found = self._client.get_model_metadata(model, client_timeout=CALL_TIMEOUT_S)
        except _NotLoaded:
            return ()
        return tuple(sorted(int(version) for version in found.versions))

    @contextmanager
    def _told(self, what: str) -> Generator[None, None, None]:
        try:
            yield
        except self._grpc.InferenceServerException as error:
            message = str(error.message())
            if _NOT_EXPLICIT in message:
                raise LacksSomething(
                    f"{self._url}: the server was started without model control; start it with "
                    "`plansmith serve --control` (tritonserver --model-control-mode=explicit)"
                ) from error
            text = f"{self._url}: {what}: {' '.join(message.split()).rstrip(' ;')}"
            # Both come with the statuses of a server that does not answer, too.
            if any(part in message for part in _NOT_LOADED):
                raise _NotLoaded(text) from error
            kind = LoadRefused if any(part in message for part in _REFUSED) else PlansmithError
            raise kind(text) from error


class _NotLoaded(PlansmithError):
    """The server has no such model."""


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"
