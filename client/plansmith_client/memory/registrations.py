"""Which objects one server has open, and whether it opens any: flows that ask it."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from plansmith_client.conversation import Flow, ask
from plansmith_client.deadline import Deadline
from plansmith_client.errors import (
    DeadlineExceeded,
    InvalidInput,
    PlansmithClientError,
    ServerUnavailable,
)
from plansmith_client.memory.calls import (
    RegionCall,
    RegionsCall,
    RegisterCall,
    RegisteredRegion,
    UnregisterCall,
)
from plansmith_client.memory.log import tell
from plansmith_client.memory.naming import begun_at, this_process
from plansmith_client.memory.posix import SHARED_MEMORY, SharedObject
from plansmith_client.memory.sharing import Mode

if TYPE_CHECKING:
    from plansmith_client.management.calls import ServerMetadata

WhatT = TypeVar("WhatT")
# The oldest that was seen to refuse to let go of what a request still uses. One that does let go
# would end with a segmentation fault.
_SAFE_RELEASE = (2, 51)
# Before a server is asked again that could not be reached.
_REST_S = 5.0


class NamedRegions(ABC, Generic[WhatT]):
    """What the server at `url` has open of ours, of one kind. Safe to use from several threads.

    `extension`: what the server says it has if it takes the kind. `kind` and `hint` are told of one
    that takes none.
    """

    extension: ClassVar[str]
    kind: ClassVar[str]
    hint: ClassVar[str]

    def __init__(self, url: str, mode: Mode, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._mode = mode
        self._clock = clock
        self._greeted = False
        self._cleaned = False
        self._rests_until = -1.0
        # Set operations are atomic.
        self._open: set[str] = set()
        # Those too whose registration may have got there.
        self._sent: set[str] = set()
        # That it takes no shared memory is known, for good.
        self.refused: bool = False

    @abstractmethod
    def name_of(self, what: WhatT) -> str:
        """What the server has it under."""

    @abstractmethod
    def registering(self, what: WhatT, deadline: Deadline) -> RegionCall[None]:
        """The call that has `what` opened."""

    @abstractmethod
    def unregistering(self, name: str, deadline: Deadline) -> RegionCall[None]:
        """The call that has it let go of."""

    @abstractmethod
    def listing(self, deadline: Deadline) -> RegionCall[tuple[RegisteredRegion, ...]]:
        """The call that tells what is open."""

    @abstractmethod
    def is_left(self, name: str) -> bool:
        """Whether nobody uses what is open under that name."""

    def ready(self, what: WhatT, deadline: Deadline) -> Flow[bool]:
        """Whether the server has `what` open; it is asked to if it has not.

        With the mode True raises what it says instead.
        """
        name = self.name_of(what)
        if name in self._open:
            return True
        if self.refused or self._clock() < self._rests_until:
            return False
        try:
            yield from self._greet(deadline)
            yield from self._register(name, what, deadline)
            yield from self._clean(deadline)
        except DeadlineExceeded:
            raise
        except PlansmithClientError as error:
            self._failed(error)
            return False
        self._open.add(name)
        return True

    def release(self, name: str, deadline: Deadline) -> Flow[bool]:
        """Whether the server has let go of it, so that no request uses it any longer."""
        self._open.discard(name)
        if name not in self._sent:
            return True
        try:
            yield from ask(self.unregistering(name, deadline))
        except PlansmithClientError:
            return False
        self._sent.discard(name)
        return True

    def still_there(self, names: Iterable[str], deadline: Deadline) -> Flow[bool]:
        """Whether the server knows all `names`; if not, it has been restarted and all is gone."""
        try:
            known = yield from ask(self.listing(deadline))
        except PlansmithClientError:
            return True
        if set(names) <= {one.region for one in known}:
            return True
        self._open.clear()
        return False

    def refuse(self, why: object) -> None:
        """Nothing more is asked of this server."""
        if not self.refused:
            self.refused = True
            tell("%s: tensors go over the wire, not by %s: %s", self._url, self.kind, why)

    def release_all(self, deadline: Deadline) -> Flow[None]:
        """What is in use the server lets go of when it is no longer; stops when it is not there."""
        self.refused = True
        for name in tuple(self._sent):
            try:
                yield from ask(self.unregistering(name, deadline))
            except (ServerUnavailable, DeadlineExceeded):
                return
            except PlansmithClientError:
                pass
            self._sent.discard(name)

    def _greet(self, deadline: Deadline) -> Flow[None]:
        """Once: raises InvalidInput if this server has not what we need."""
        if self._greeted:
            return
        from plansmith_client.management.calls import ServerMetadataCall

        server = yield from ask(ServerMetadataCall(deadline=deadline))
        fault = _fault(server, self.extension)
        if fault:
            raise InvalidInput(f"{self._url}: {fault}", endpoint=self._url)
        self._greeted = True

    def _clean(self, deadline: Deadline) -> Flow[None]:
        """Once: has the server let go of what nobody uses any longer."""
        if self._cleaned:
            return
        self._cleaned = True
        try:
            known = yield from ask(self.listing(deadline))
        except PlansmithClientError:
            return
        for one in known:
            if self.is_left(one.region):
                try:
                    yield from ask(self.unregistering(one.region, deadline))
                except PlansmithClientError as error:
                    tell("%s: %s stays registered: %s", self._url, one.region, error)

    def _register(self, name: str, what: WhatT, deadline: Deadline) -> Flow[None]:
        self._sent.add(name)
        try:
            yield from ask(self.registering(what, deadline))
        except PlansmithClientError:
            # Another thread may have done it, or an answer was lost.
            known = yield from ask(self.listing(deadline))
            if name not in {one.region for one in known}:
                self._sent.discard(name)
                raise

    def _failed(self, error: PlansmithClientError) -> None:
        """Raises it in the mode True, as one that says what to do."""
        if isinstance(error, ServerUnavailable):
            if self._mode is True:
                raise error
            self._rests_until = self._clock() + _REST_S
            return
        if self._mode is True:
            raise InvalidInput(
                f"{self._url} takes no {self.kind}: {error.reason or error}: {self.hint}",
                endpoint=self._url,
                status=error.status,
                reason=error.reason,
            ) from error
        self.refuse(error.reason or error)


class Registrations(NamedRegions[SharedObject]):
    """What the server has open of our system shared memory."""

    extension: ClassVar[str] = "system_shared_memory"
    kind: ClassVar[str] = "shared memory"
    hint: ClassVar[str] = (
        "it has to run on this machine and see the same /dev/shm, as a user that may open our "
        'files (newer ones also want --allow-client-shm=true); shared_memory="auto" does without'
    )

    def name_of(self, what: SharedObject) -> str:
        return what.name

    def registering(self, what: SharedObject, deadline: Deadline) -> RegisterCall:
        return RegisterCall(
            deadline=deadline, region=what.name, key=what.key, size_bytes=what.size_bytes
        )

    def unregistering(self, name: str, deadline: Deadline) -> UnregisterCall:
        return UnregisterCall(deadline=deadline, region=name)

    def listing(self, deadline: Deadline) -> RegionsCall:
        return RegionsCall(deadline=deadline)

    def is_left(self, name: str) -> bool:
        """By dead processes, or by closed clients while a request still used it: its file is gone.

        That the server's files are ours it has just shown.
        """
        process = this_process()
        return process.left(name, begun_at) or (
            process.knows(name) and not (SHARED_MEMORY / name).exists()
        )


def _fault(server: ServerMetadata, extension: str) -> str | None:
    if extension not in server.extensions:
        return f"{server.name} {server.version} has no {extension}"
    found = re.match(r"(\d+)\.(\d+)", server.version)
    if found is None or tuple(map(int, found.groups())) < _SAFE_RELEASE:
        wanted = ".".join(map(str, _SAFE_RELEASE))
        return f"version {server.version} may let go of memory in use, {wanted} or newer does not"
    return None
