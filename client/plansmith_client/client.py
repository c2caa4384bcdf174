"""The client for ordinary code, threads and gevent; `async_client` is its twin for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from plansmith_client.calls import Transport
from plansmith_client.checks import Casting
from plansmith_client.conversation import server_is_ready
from plansmith_client.core import BALANCING, BREAKER, RETRY, configured
from plansmith_client.credentials import TLS, Basic, Bearer
from plansmith_client.deadline import Timeout
from plansmith_client.drivers import run
from plansmith_client.forks import OwnTransport
from plansmith_client.insight.observer import Tracing
from plansmith_client.memory.sharing import Mode
from plansmith_client.model import Connection, Model
from plansmith_client.resilience.policies import Balancing, Breaker, Hedge, Retry
from plansmith_client.sequences import fresh_ids
from plansmith_client.transports import open_resilient
from plansmith_client.workers import Workers

if TYPE_CHECKING:
    from plansmith_client.calls import IndexEntry
    from plansmith_client.insight.stats import ClientStats
    from plansmith_client.insight.watching import Watch
    from plansmith_client.management.calls import ServerMetadata
    from plansmith_client.management.statistics import ModelStatistics
    from plansmith_client.memory.cuda_regions import CudaRegion
    from plansmith_client.memory.regions import SharedRegion


class Client:
    """A connection to a Triton server, or to several that serve the same.

    Safe to use from several threads, not across a fork.

    `url`: one that begins with grpc://, grpcs://, http:// or https://, or `host:port` alone, which
    is HTTP at port 8000 and gRPC at any other; or several such, each a replica of the others.
    `timeout_s`: seconds a call may take in all, unless it says otherwise; `math.inf`: no limit.
    `tls`, for grpcs:// and https://: whom to trust, and who we are; without it the system's trust.
    `auth`: a token or a password; `headers` go with every call. `restricted`: by key, the values
    that the server's --grpc-restricted-protocol or --http-restricted-api asks for. None of these
    is ever shown, in an error either; without TLS the network can read them.
    `max_request_bytes`: larger requests are refused before they are sent; None for what the
    protocol allows or, over HTTP, what newer servers take by default (64 MiB).
    `max_workers`: threads for `submit`, `map` and `batched`, begun as they are needed.
    `retry`, `hedge`, `breaker`, `balancing`: what to do about servers that fail or are slow; their
    classes tell. `retry` None raises at the first failure; `hedge` None never sends twice.
    `tracing`: calls are spans of OpenTelemetry, "auto" if the program has loaded it.
    `shared_memory`: whether large tensors go to a server on this machine by shared memory: "auto"
    where it takes them so, over the wire where not; True raises InvalidInput where it does not, and
    tries it at other addresses than the loopback's too; False never does.
    The constructor does no network work. Raises InvalidInput for an argument that cannot be, and
    MissingExtra if gRPC, or OpenTelemetry where `tracing` is True, is not installed.
    Under gevent call `grpc.experimental.gevent.init_gevent()` before making one.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        timeout_s: float = 30.0,
        tls: TLS | None = None,
        auth: Bearer | Basic | None = None,
        headers: Mapping[str, str] | None = None,
        restricted: Mapping[str, str] | None = None,
        max_request_bytes: int | None = None,
        max_workers: int = 32,
        retry: Retry | None = RETRY,
        hedge: Hedge | None = None,
        breaker: Breaker = BREAKER,
        balancing: Balancing = BALANCING,
        tracing: Tracing = "auto",
        shared_memory: Mode = "auto",
    ) -> None:
        core = configured(
            url,
            timeout_s=timeout_s,
            tls=tls,
            auth=auth,
            headers=headers,
            restricted=restricted,
            max_request_bytes=max_request_bytes,
            retry=retry,
            hedge=hedge,
            breaker=breaker,
            balancing=balancing,
            tracing=tracing,
            shared_memory=shared_memory,
        )
        self._core = core
        self._workers = Workers(max_workers, core.owner)
        inner = open_resilient(core.granted, core.fleet, core.sharing)
        self._transport: Transport = OwnTransport(inner, core.owner)
        self._connection = Connection(
            transport=self._transport, workers=self._workers, ids=fresh_ids()
        )

    def is_ready(self, *, timeout_s: Timeout | None = None) -> bool:
        """Whether the server is live and ready; False too if it cannot be reached in time.

        Of several, whether any is. Each is asked once.
        """
        return run(server_is_ready(self._core.deadline(timeout_s)), self._transport)

    def is_live(self, *, timeout_s: Timeout | None = None) -> bool:
        """Whether the server runs, ready or not; False too if it cannot be reached in time."""
        return run(self._core.managing().is_live(timeout_s), self._transport)

    def server(self, *, timeout_s: Timeout | None = None) -> ServerMetadata:
        """The server's name, version and protocol extensions."""
        return run(self._core.managing().server(timeout_s), self._transport)

    def index(
        self, *, ready_only: bool = False, timeout_s: Timeout | None = None
    ) -> tuple[IndexEntry, ...]:
        """What is in the server's repository: its models' versions, each with state and reason.

        Triton does not list a model there that was loaded from files alone.
        """
        return run(self._core.managing().index(timeout_s, ready_only=ready_only), self._transport)

    def statistics(
        self, name: str | None = None, *, timeout_s: Timeout | None = None
    ) -> tuple[ModelStatistics, ...]:
        """What the server has counted for each version of the model `name`, or of all models."""
        return run(self._core.managing().statistics(name, timeout_s), self._transport)

    def load(
        self,
        name: str,
        *,
        config: str | Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: Timeout | None = None,
    ) -> None:
        """Loads the model `name` and returns when it is ready.

        One that is loaded is loaded anew if its files, or what is given here, differ from before;
        to take back a `config` where the files have not changed, unload it first.
        `config`: in the place of its config file, as JSON or what becomes it: see
        `ModelConfig.raw`. `files`, such as `{"1/model.onnx": content}`: in the place of its whole
        folder, so that it need not be in the repository; they need a `config`.
        The server has to run with --model-control-mode=explicit. Raises LoadFailed with the
        server's `reason` if the model cannot be loaded, ModelNotFound if it is not in the
        repository, ServerFault if the server lets nobody load, and InvalidInput before anything
        is sent for a config or file that cannot be, and for a client of several servers, which
        would choose one. It is never sent a second time.
        """
        run(self._core.managing().load(name, config, files, timeout_s), self._transport)

    def unload(
        self, name: str, *, dependents: bool = False, timeout_s: Timeout | None = None
    ) -> None:
        """Lets the server let the model `name` go; one that is not loaded is fine.

        Returns before it has gone: what it has begun it still answers. `dependents`: with the
        models that only it, an ensemble, needs. Raises as `load`.
        """
        steps = self._core.managing().unload(name, timeout_s, dependents=dependents)
        run(steps, self._transport)

    def model(
        self, name: str, version: int | None = None, *, casting: Casting | None = None
    ) -> Model:
        """A model by name; `version` None leaves the choice to the server. No network work.

        `casting`: None refuses an array of another dtype than the model's; "safe" casts it where
        NumPy calls that safe and no bit can be lost, such as uint8 to FP32, never int64 to FP64.
        """
        return Model(self._core.model(name, version, casting), self._connection)

    def stats(self) -> ClientStats:
        """What this client's calls came to since it was made, model by model; no network work."""
        return self._core.observer.stats()

    def watch(
        self, model: str, version: int | None = None, *, timeout_s: Timeout | None = None
    ) -> Watch:
        """Begins to look where the time of the model's calls goes, the server's side too.

        The server is asked for its statistics now, and again by `Watch.timings`. `version`: as the
        calls give it. Raises as `statistics`, but not where the server does not tell them.
        """
        from plansmith_client.insight.watching import begin

        watched = self._core.watched(model, version)
        return begin(watched, self._transport, timeout_s)

    def shared_memory(self, size_bytes: int, *, name: str | None = None) -> SharedRegion:
        """Shared memory of so many bytes for a `with` block; no network work.

        Inputs that lie in it are read there by a server on this machine, without a copy, and
        `Model.infer` can have outputs written there. `name`: an end for its name in /dev/shm.
        After a call that failed the server may still read and write there for a while.
        Raises InvalidInput where there is no room for it.
        """
        from plansmith_client.memory.regions import SharedRegion

        return SharedRegion(self._core.region_memory(), size_bytes, name)

    def cuda_shared_memory(
        self, size_bytes: int, *, device_id: int = 0, name: str | None = None
    ) -> CudaRegion:
        """Memory of a GPU, so many bytes of it, for a `with` block; no network work.

        Tensors in it are read and written there by a server on this machine that sees the GPU, and
        never copied to the host. Where the server does not take them so, they are read and sent,
        unless the client was made with `shared_memory=True`, which raises InvalidInput.
        `device_id`: the GPU, as CUDA counts them in this process. `name`: an end for its name at
        the server. On entering the block raises MissingExtra where tritonclient has no CUDA
        (`pip install "plansmith-client[cuda]"`) and InvalidInput without such a GPU, or room there.
        """
        from plansmith_client.memory.cuda_regions import CudaRegion

        return CudaRegion(self._core.region_memory(), size_bytes, device_id, name)

    def close(self) -> None:
        """Ends the connection; calls in flight raise PlansmithClientError. Safe to repeat."""
        self._core.sharing.closed = True
        self._transport.close()
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._core.url!r})"
