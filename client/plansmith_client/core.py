"""What a client is made of, whichever of the twins it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, SupportsIndex

from plansmith_client import flow
from plansmith_client.checks import Casting, checked_casting, checked_limit
from plansmith_client.credentials import TLS, Basic, Bearer, accesses
from plansmith_client.deadline import Deadline, Timeout, checked_timeout, deadline_of
from plansmith_client.endpoints import parse_endpoints
from plansmith_client.errors import InvalidInput
from plansmith_client.forks import Owner
from plansmith_client.insight.observer import Observer, Tracing
from plansmith_client.memory.sharing import Mode, Sharing, checked_mode
from plansmith_client.resilience.fleet import Fleet
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.slotted import slotted
from plansmith_client.statuses import closed
from plansmith_client.tensors import ModelMetadata
from plansmith_client.transports import Granted

if TYPE_CHECKING:
    from plansmith_client.insight.watching import Watched
    from plansmith_client.management.flows import ServerFlows
    from plansmith_client.memory.regions import Memory

# A client's own where it is given none; nothing can change them.
RETRY, BREAKER, BALANCING = Retry(), Breaker(), Balancing()


@slotted()
class Core:
    """`url`: as it was given, for messages. `granted`: its endpoints, in the order of `fleet`."""

    url: str | tuple[str, ...]
    granted: Granted
    fleet: Fleet
    limit_bytes: int
    timeout_s: float
    observer: Observer
    sharing: Sharing
    owner: Owner
    cache: flow.MetadataCache = field(default_factory=dict[tuple[str, int | None], ModelMetadata])

    def deadline(self, timeout: Timeout | None) -> Deadline:
        """The call's, or one of the client's own seconds that begins now."""
        return deadline_of(timeout, self.timeout_s)

    def model(self, name: str, version: int | None, casting: Casting | None) -> flow.ModelFlows:
        """The flows of one model. Raises InvalidInput for arguments that cannot be."""
        return flow.ModelFlows(
            name=_checked_name(name),
            version=_checked_version(version),
            timeout_s=self.timeout_s,
            cache=self.cache,
            casting=checked_casting(casting),
            limit_bytes=self.limit_bytes,
            observer=self.observer,
        )

    def region_memory(self) -> Memory:
        """Where regions are made. Raises PlansmithClientError once closed, and in a fork."""
        self.owner.check()
        if self.sharing.closed:
            raise closed(self.owner.url)
        return self.sharing.begun()

    def managing(self) -> ServerFlows:
        """The flows of the server itself."""
        from plansmith_client.management.flows import ServerFlows

        return ServerFlows(
            timeout_s=self.timeout_s,
            cache=self.cache,
            limit_bytes=self.limit_bytes,
            over_http=any(endpoint.over_http for endpoint, _ in self.granted),
            server_count=len(self.granted),
        )

    def watched(self, model: str, version: int | None) -> Watched:
        """What a watch of one model looks at."""
        from plansmith_client.insight.watching import Watched

        return Watched(model=model, version=version, observer=self.observer, server=self.managing())


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"a model's name is {name!r}: give a text, which is not empty")
    return name


def _checked_version(version: object) -> int | None:
    """As an int. Whether the model has it the server tells."""
    if version is None or type(version) is int:
        return version
    if not isinstance(version, SupportsIndex):
        raise InvalidInput(f"a model's version is {version!r}: give a whole number, or None")
    return version.__index__()


def _check_policies(**given: tuple[object, type]) -> None:
    for name, (policy, kind) in given.items():
        if policy is not None and not isinstance(policy, kind):
            raise InvalidInput(f"{name} is {policy!r}: give {kind.__name__}(...)")


def configured(
    url: str | Sequence[str],
    *,
    timeout_s: float,
    tls: TLS | None,
    auth: Bearer | Basic | None,
    headers: Mapping[str, str] | None,
    restricted: Mapping[str, str] | None,
    max_request_bytes: int | None,
    retry: Retry | None,
    hedge: Hedge | None,
    breaker: Breaker,
    balancing: Balancing,
    tracing: Tracing,
    shared_memory: Mode,
) -> Core:
    """From a client's arguments: `Client` documents them. Raises InvalidInput and MissingExtra."""
    endpoints = parse_endpoints(url)
    urls = tuple(one.url for one in endpoints)
    _check_policies(
        retry=(retry, Retry),
        hedge=(hedge, Hedge),
        breaker=(breaker, Breaker),
        balancing=(balancing, Balancing),
    )
    fleet = Fleet(urls, retry=retry, hedge=hedge, breaker=breaker, balancing=balancing)
    return Core(
        url=url if isinstance(url, str) else urls,
        granted=accesses(endpoints, tls=tls, auth=auth, headers=headers, restricted=restricted),
        fleet=fleet,
        limit_bytes=min(checked_limit(max_request_bytes, one) for one in endpoints),
        timeout_s=checked_timeout(timeout_s),
        observer=Observer(tracing=tracing),
        sharing=Sharing(checked_mode(shared_memory)),
        owner=Owner(url=fleet.name),
    )
