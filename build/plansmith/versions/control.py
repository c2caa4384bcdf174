"""Triton's model control API: which versions a running server answers with.

Protocol: triton-inference-server/server docs/protocol/extension_model_repository.md. The server has
to run with --model-control-mode=explicit. A load that changes versions brings up the new ones
before it lets the old ones go, and where a new one fails, the old ones stay and answer: found on
2.51 under load, see tests/server/versions/test_promotion.py.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from plansmith.errors import LacksSomething, PlansmithError

LOAD_TIMEOUT_S = 600.0
CALL_TIMEOUT_S = 10.0
READY_TIMEOUT_S = 60.0
_POLL_S = 0.05


class LoadRefused(PlansmithError):
    """The server tried to load the model and could not; what it answered with before stays."""


class ModelControl:
    """The models of the server at `url`, for instance "host:port" of its gRPC port.

    Methods raise PlansmithError where the server cannot be reached or fails, and LacksSomething
    where it was not started with model control.
    """

    def __init__(self, url: str) -> None:
        # On first need: the package of the protocol takes 0.2 s.
        from plansmith_client import Client

        self._url = url
        with self._told("no such server"):
            self._client = Client(url, timeout_s=CALL_TIMEOUT_S)

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
        with self._told(f"cannot load {model}"):
            self._client.load(model, config=config, files=files, timeout_s=timeout_s)

    def unload(self, model: str) -> None:
        """Takes `model` away once its requests are answered; one that is not loaded is fine."""
        with self._told(f"cannot unload {model}"):
            self._client.unload(model, timeout_s=LOAD_TIMEOUT_S)

    def is_ready(self, model: str, version: int) -> bool:
        """Whether requests to that version are answered."""
        with self._told(f"cannot ask for {model}"):
            ready = self._client.model(model, version).is_ready()
            if not ready:
                # Where nobody answers it is not ready either: then this raises.
                self._client.server()
        return ready

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
        from plansmith_client import ModelNotFound

        with self._told(f"cannot ask for {model}"):
            try:
                # Its counts tell: the index lacks models that were loaded from files, and what the
                # client knows of a model it does not ask for again.
                found = self._client.statistics(model)
            except ModelNotFound:
                return ()
        return tuple(sorted(one.version for one in found))

    @contextmanager
    def _told(self, what: str) -> Generator[None, None, None]:
        from plansmith_client import (
            LoadFailed,
            MissingExtra,
            ModelNotFound,
            PlansmithClientError,
            ServerFault,
        )

        try:
            yield
        except MissingExtra as error:
            raise LacksSomething(str(error)) from error
        except PlansmithClientError as error:
            # Of a load or unload: the server has no model control.
            if isinstance(error, ServerFault) and error.status == "UNAVAILABLE":
                raise LacksSomething(
                    f"{self._url}: the server was started without model control; start it with "
                    "`plansmith serve --control` (tritonserver --model-control-mode=explicit)"
                ) from error
            told = " ".join((error.reason or str(error)).split()).rstrip(" ;")
            kind = LoadRefused if isinstance(error, LoadFailed | ModelNotFound) else PlansmithError
            raise kind(f"{self._url}: {what}: {told}") from error


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"
