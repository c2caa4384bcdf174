"""The conversations of management; `Client` and `Model` document arguments, results and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from plansmith_client.calls import IndexCall, IndexEntry, ModelReadyCall, ServerLiveCall
from plansmith_client.conversation import Flow, ask, explained
from plansmith_client.deadline import Timeout, deadline_of
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    LoadFailed,
    ModelNotFound,
    PlansmithClientError,
    ServerFault,
    ServerUnavailable,
)
from plansmith_client.flow import MetadataCache, ModelFlows
from plansmith_client.management.calls import (
    FullConfigCall,
    LoadCall,
    ServerMetadata,
    ServerMetadataCall,
    StatisticsCall,
    UnloadCall,
)
from plansmith_client.management.config import ModelConfig
from plansmith_client.management.statistics import ModelStatistics
from plansmith_client.suggestions import not_found

# Said by a server whose models are not its callers' to change, with the status of one that is busy:
# its text alone tells (seen with Triton 2.51).
_NOT_EXPLICIT = "explicit model load / unload is not allowed"
# Of a load that came to an end: Triton 2.51 has the first for a model that does not start, the
# second for one whose files or config it cannot read.
_NOT_LOADED = ("INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND")


@dataclass(frozen=True, kw_only=True)
class ServerFlows:
    """What is asked of the server itself. `cache`: what its client knows of models.

    `limit_bytes`: of one request. `over_http`: whether files go as base64. `server_count`: those
    that the client has to choose from.
    """

    timeout_s: float
    cache: MetadataCache
    limit_bytes: int
    over_http: bool = False
    server_count: int = 1

    def is_live(self, timeout: Timeout | None) -> Flow[bool]:
        try:
            return (yield from ask(ServerLiveCall(deadline=deadline_of(timeout, self.timeout_s))))
        except (ServerUnavailable, DeadlineExceeded):
            return False

    def server(self, timeout: Timeout | None) -> Flow[ServerMetadata]:
        deadline = deadline_of(timeout, self.timeout_s)
        return (yield from ask(ServerMetadataCall(deadline=deadline)))

    def index(self, timeout: Timeout | None, *, ready_only: bool) -> Flow[tuple[IndexEntry, ...]]:
        found = yield from ask(IndexCall(deadline=deadline_of(timeout, self.timeout_s)))
        return tuple(one for one in found if one.state == "READY") if ready_only else found

    def statistics(
        self, name: str | None, timeout: Timeout | None, version: int | None = None
    ) -> Flow[tuple[ModelStatistics, ...]]:
        deadline = deadline_of(timeout, self.timeout_s)
        try:
            return (
                yield from ask(StatisticsCall(deadline=deadline, model=name or "", version=version))
            )
        except InvalidInput as error:
            if not name:
                raise
            # So Triton says of a model that it does not have; there is nothing else to be wrong.
            missing = _missing(error)
            missing.__cause__ = error
            return (yield from explained(missing, deadline))
        except ModelNotFound as error:
            if not name:
                raise
            return (yield from explained(error, deadline))

    def load(
        self,
        name: str,
        config: str | Mapping[str, Any] | None,
        files: Mapping[str, bytes] | None,
        timeout: Timeout | None,
    ) -> Flow[None]:
        self._check_single(name)
        text, contents = _config_text(name, config), dict(files or {})
        _check_files(name, contents, text)
        self._check_size(name, contents, text)
        call = LoadCall(
            deadline=deadline_of(timeout, self.timeout_s), model=name, config=text, files=contents
        )
        try:
            yield from ask(call)
        except ServerUnavailable as error:
            if not _is_barred(error):
                raise
            raise _barred(error) from error
        except (InvalidInput, ModelNotFound, ServerFault) as error:
            if error.status not in _NOT_LOADED:
                raise
            raise (yield from self._not_loaded(error, call)) from error
        finally:
            self._forget(name)

    def unload(self, name: str, timeout: Timeout | None, *, dependents: bool) -> Flow[None]:
        self._check_single(name)
        deadline = deadline_of(timeout, self.timeout_s)
        try:
            yield from ask(UnloadCall(deadline=deadline, model=name, dependents=dependents))
        except ServerUnavailable as error:
            if not _is_barred(error):
                raise
            raise _barred(error) from error
        finally:
            self._forget(None if dependents else name)

    def _not_loaded(
        self, refused: PlansmithClientError, call: LoadCall
    ) -> Flow[PlansmithClientError]:
        """Why there is no such model, or what its load failed with."""
        name, reason = call.model, " ".join((refused.reason or "").split()).rstrip(" ;")
        if not call.files:
            try:
                index = yield from ask(IndexCall(deadline=call.deadline))
            except PlansmithClientError:
                index = ()
            if index and all(one.model != name for one in index):
                return not_found(_missing(refused), index)
        return LoadFailed(
            f"{name}: {refused.endpoint} could not load it: {reason}; mend its files or config; "
            "the server's log may tell more",
            model=name,
            status=refused.status,
            elapsed_s=refused.elapsed_s,
            endpoint=refused.endpoint,
            reason=refused.reason,
        )

    def _check_single(self, name: str) -> None:
        if self.server_count > 1:
            raise InvalidInput(
                f"{name}: this client has {self.server_count} servers, of which one would load or "
                "unload it: make a client for each",
                model=name,
            )

    def _check_size(self, name: str, files: Mapping[str, bytes], config: str | None) -> None:
        sizes = [4 * -(-len(one) // 3) if self.over_http else len(one) for one in files.values()]
        size_bytes = sum(sizes) + len(config or "")
        if size_bytes > self.limit_bytes:
            raise InvalidInput(
                f"{name}: files and config are {size_bytes} bytes as they are sent, one request "
                f"holds {self.limit_bytes}: put them into the server's repository, or give the "
                "client max_request_bytes if the server's limit is another",
                model=name,
            )

    def _forget(self, name: str | None) -> None:
        """Drops what is known of the model, or of all: it may be no longer so."""
        for key in tuple(self.cache):
            if name in (None, key[0]):
                self.cache.pop(key, None)


def model_is_ready(model: ModelFlows, timeout: Timeout | None) -> Flow[bool]:
    """Whether the model takes requests; False too if it is not there, or nobody answers in time."""
    deadline = model.deadline(timeout)
    try:
        return (
            yield from ask(
                ModelReadyCall(deadline=deadline, model=model.name, version=model.version)
            )
        )
    except (ServerUnavailable, DeadlineExceeded, ModelNotFound):
        return False


def model_config(model: ModelFlows, timeout: Timeout | None) -> Flow[ModelConfig]:
    """The model's configuration as the server has it."""
    deadline = model.deadline(timeout)
    call = FullConfigCall(deadline=deadline, model=model.name, version=model.version)
    try:
        return (yield from ask(call))
    except ModelNotFound as error:
        return (yield from explained(error, deadline))


def model_statistics(
    model: ModelFlows, timeout: Timeout | None
) -> Flow[tuple[ModelStatistics, ...]]:
    """What the server has counted of the model, version by version."""
    server = ServerFlows(
        timeout_s=model.timeout_s, cache=model.cache, limit_bytes=model.limit_bytes
    )
    return server.statistics(model.name, timeout, model.version)


def _config_text(name: str, config: str | Mapping[str, Any] | None) -> str | None:
    """The config as JSON. Checked here: of a wrong one the server says only that it cannot load."""
    if config is None:
        return None
    try:
        text = config if isinstance(config, str) else json.dumps(dict(config), allow_nan=False)
        found = json.loads(text)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{name}: the config is no JSON: {error}", model=name) from error
    if not isinstance(found, dict):
        fact = f"the config is a JSON {type(found).__name__}, not an object of fields"
        raise InvalidInput(f"{name}: {fact}", model=name)
    return text


def _check_files(name: str, files: Mapping[str, object], config: str | None) -> None:
    if files and config is None:
        fact = "files stand in for the whole folder, so its config has to be given too: config=..."
        raise InvalidInput(f"{name}: {fact}", model=name)
    for path, content in files.items():
        parts = PurePosixPath(path).parts
        if len(parts) < 2 or path.startswith("/") or ".." in parts or not parts[0].isdecimal():
            fact = f"file {path!r} is in no version's folder: give VERSION/FILE, as 1/model.onnx"
            raise InvalidInput(f"{name}: {fact}", model=name)
        if not isinstance(content, bytes):
            fact = f"file {path!r} is of {type(content).__name__}, not bytes"
            raise InvalidInput(f"{name}: {fact}", model=name)


def _missing(refused: PlansmithClientError) -> ModelNotFound:
    return ModelNotFound(
        str(refused),
        model=refused.model,
        version=refused.version,
        status=refused.status,
        elapsed_s=refused.elapsed_s,
        endpoint=refused.endpoint,
        reason=refused.reason,
    )


def _is_barred(refused: ServerUnavailable) -> bool:
    """Whether its models are nobody's to change, so that no wait would help."""
    return _NOT_EXPLICIT in (refused.reason or "")


def _barred(refused: ServerUnavailable) -> ServerFault:
    return ServerFault(
        f"{refused.model}: {refused.endpoint} lets nobody load or unload models: start the server "
        "with --model-control-mode=explicit",
        model=refused.model,
        status=refused.status,
        elapsed_s=refused.elapsed_s,
        endpoint=refused.endpoint,
        reason=refused.reason,
    )
