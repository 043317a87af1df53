"""Where integration tests find a server: given by its URL, in a container, or started here.

`LATEINT_TEST_QDRANT_URL` and `LATEINT_TEST_WEAVIATE_URL` name a server that is there, in lateint's form:
`qdrant://localhost:6333?grpc_port=6334`; its key, if any, is in `LATEINT_TEST_…_API_KEY`. Without it, the file of
compose/ is started where Docker runs and testcontainers is installed, on free ports. Without that:

- Qdrant: the double of `tests.servers.qdrant`, which needs qdrant-client and qdrant-edge-py,
- Weaviate: the server itself, built by `tests.servers.weaviate`, which needs Go.

`LATEINT_TEST_QDRANT_KIND=double`, `LATEINT_TEST_WEAVIATE_KIND=built`, and `=container` for either, insist on one.
`LATEINT_REQUIRE_SERVERS=qdrant,…` makes tests fail where they would be skipped because no server was found.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

from tests.servers import container

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

_READY_S = 120.0


class ServerNotFound(Exception):
    """No server could be found or started."""


@dataclass(frozen=True, kw_only=True)
class FoundServer:
    """A server that answers.

    Attributes:
        kind: `given`, `container`, or how it was started here.
        host: where it is.
        port: of its REST interface.
        grpc_port: of its gRPC interface.
        https: it is spoken to over TLS.
        api_key: its key, if it wants one.
    """

    engine: ClassVar[str]
    usual_ports: ClassVar[tuple[int, int]]
    ready_path: ClassVar[str]

    kind: str
    host: str = "127.0.0.1"
    port: int
    grpc_port: int
    https: bool = False
    api_key: str | None = None

    @property
    def rest_url(self) -> str:
        """As the engine's own client takes it."""
        return f"{'https' if self.https else 'http'}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As lateint takes it."""
        return f"{self.engine}{'+https' if self.https else ''}://{self.host}:{self.port}?grpc_port={self.grpc_port}"


class QdrantServer(FoundServer):
    """A Qdrant server, or its double."""

    engine = "qdrant"
    usual_ports = 6333, 6334
    ready_path = "/readyz"


class WeaviateServer(FoundServer):
    """A Weaviate server."""

    engine = "weaviate"
    usual_ports = 8080, 50051
    ready_path = "/v1/.well-known/ready"


S = TypeVar("S", bound=FoundServer)


@dataclass(frozen=True)
class _Way:
    """To start one; `started` yields the ports of REST and gRPC on the loopback."""

    kind: str
    why_not: Callable[[], str]
    started: Callable[[], AbstractContextManager[tuple[int, int]]]


def required(environment: Mapping[str, str] = os.environ) -> set[str]:
    """Engines without whose server the tests must fail."""
    return {name.strip() for name in environment.get("LATEINT_REQUIRE_SERVERS", "").split(",") if name.strip()}


def qdrant(folder: Path, environment: Mapping[str, str] = os.environ) -> AbstractContextManager[QdrantServer]:
    """A server that is ready, ended afterwards if it was started here.

    Args:
        folder: for the data of the double.
        environment: where to look for the variables above.

    Raises:
        ServerNotFound: there is none; says what was tried.
    """
    return _found(QdrantServer, _Way("double", _why_no_double, partial(_double, folder)), environment)


def weaviate(folder: Path, environment: Mapping[str, str] = os.environ) -> AbstractContextManager[WeaviateServer]:
    """A server that is ready, ended afterwards if it was started here.

    Args:
        folder: for the data of one that is built.
        environment: where to look for the variables above.

    Raises:
        ServerNotFound: there is none; says what was tried.
    """
    return _found(WeaviateServer, _Way("built", _why_not_built, partial(_built, folder)), environment)


def own_weaviate() -> type[Server]:
    """What makes servers that a test may kill, or start with keys and settings of its own; built if it has not been.

    Raises:
        ServerNotFound: it cannot be built here.
    """
    if why_not := _why_not_built():
        raise ServerNotFound(f"no weaviate server can be built: {why_not}.")
    from tests.servers.weaviate import build, server  # noqa: PLC0415 - needs what is not on every system

    try:
        build.server()
    except build.CannotBuild as error:
        raise ServerNotFound(f"no weaviate server can be built: {error}") from error
    return server.Server


def given(server: type[S], url: str, api_key: str | None = None) -> S:
    """The server that a URL names, in lateint's form or as `http://host:port`."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    port, grpc_port = server.usual_ports
    return server(
        kind="given",
        host=parts.hostname or "localhost",
        port=parts.port or port,
        grpc_port=int(options.get("grpc_port", [str(grpc_port)])[0]),
        https=parts.scheme.endswith("https"),
        api_key=api_key,
    )


@contextmanager
def _found(server: type[S], own: _Way, environment: Mapping[str, str]) -> Iterator[S]:
    variable = f"LATEINT_TEST_{server.engine.upper()}"
    if url := environment.get(f"{variable}_URL"):
        found = given(server, url, environment.get(f"{variable}_API_KEY"))
        _await_ready(found)
        yield found
        return
    kind = environment.get(f"{variable}_KIND", "")
    tried = f"{variable}_URL is not set"
    for way in (_Way("container", container.why_not, partial(container.started, server.engine)), own):
        why_not = way.why_not() if kind in {"", way.kind} else "not wanted"
        if not why_not:
            with way.started() as (port, grpc_port):
                found = server(kind=way.kind, port=port, grpc_port=grpc_port)
                _await_ready(found)
                yield found
            return
        tried += f"; {way.kind}: {why_not}"
    raise ServerNotFound(f"no {server.engine} server: {tried}.")


@contextmanager
def _double(folder: Path) -> Iterator[tuple[int, int]]:
    from tests.servers.qdrant.double import Double  # noqa: PLC0415 - needs what may not be installed

    with Double(folder) as double:
        yield double.rest_port, double.grpc_port


def _why_no_double() -> str:
    missing = [name for name in ("qdrant_client", "qdrant_edge") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


@contextmanager
def _built(folder: Path) -> Iterator[tuple[int, int]]:
    with own_weaviate()(folder) as server:
        yield server.port, server.grpc_port


def _why_not_built() -> str:
    if importlib.util.find_spec("fcntl") is None:
        return "not on this system"
    from tests.servers.weaviate import build  # noqa: PLC0415 - needs what is not on every system

    return build.why_not()


def _await_ready(server: FoundServer) -> None:
    """Ask from here, whatever a container says of its own health."""
    opener = build_opener(ProxyHandler({})) if server.host in {"localhost", "127.0.0.1", "::1"} else build_opener()
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with opener.open(f"{server.rest_url}{server.ready_path}", timeout=5):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServerNotFound(f"{server.rest_url} is not ready after {_READY_S:.0f} s: {error}") from error
        time.sleep(0.1)
