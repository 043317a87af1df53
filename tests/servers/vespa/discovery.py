"""Where integration tests find a Vespa server: given by its URL, in a container, or started here.

`LATEINT_TEST_VESPA_URL` names one that is there: `vespa://localhost:8080?config_port=19071`; tests deploy to it. Without it,
`compose/vespa.yaml` is started where Docker runs and testcontainers is installed, on free ports. Without that, it is the
server of this folder, which needs Java and Maven. `LATEINT_TEST_VESPA_KIND=built` or `=container` insists on one.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

from tests.servers import container
from tests.servers.discovery import ServerNotFound

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

_READY_S = 120.0
_PORT, _CONFIG_PORT = 8080, 19071


@dataclass(frozen=True, kw_only=True)
class VespaServer:
    """A server that can be deployed to.

    Attributes:
        kind: `given`, `container` or `built`.
        host: where it is.
        port: of its container: queries and documents. Closed until something was deployed.
        config_port: of its config server.
        https: its container is spoken to over TLS.
    """

    kind: str
    host: str = "127.0.0.1"
    port: int
    config_port: int
    https: bool = False

    @property
    def http_url(self) -> str:
        """`http://…` of the container."""
        return f"{'https' if self.https else 'http'}://{self.host}:{self.port}"

    @property
    def config_url(self) -> str:
        """`http://…` of the config server."""
        return f"http://{self.host}:{self.config_port}"

    @property
    def url(self) -> str:
        """As lateint takes it."""
        return f"vespa{'+https' if self.https else ''}://{self.host}:{self.port}?config_port={self.config_port}"


@contextmanager
def vespa(folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[VespaServer]:
    """A server that can be deployed to, ended afterwards if it was started here.

    Args:
        folder: for the data of one that is built.
        environment: where to look for the variables above.

    Raises:
        ServerNotFound: there is none; says what was tried.
    """
    kind = environment.get("LATEINT_TEST_VESPA_KIND", "")
    if url := environment.get("LATEINT_TEST_VESPA_URL"):
        server = given(url)
        _await_ready(server)
        yield server
        return
    no_container = container.why_not() if kind != "built" else "not wanted"
    no_built = _why_not_built(environment) if kind != "container" else "not wanted"
    if not no_container:
        with container.started("vespa", "CONFIG") as (port, config_port):
            server = VespaServer(kind="container", port=port, config_port=config_port)
            _await_ready(server)
            yield server
    elif not no_built:
        with own_vespa(environment)(folder) as own:
            yield VespaServer(kind="built", port=own.port, config_port=own.config_port)
    else:
        raise ServerNotFound(
            f"no vespa server: LATEINT_TEST_VESPA_URL is not set; container: {no_container}; built: {no_built}."
        )


def own_vespa(environment: Mapping[str, str] = os.environ) -> type[Server]:
    """What makes servers that a test may kill, or order faults from; built if it has not been.

    Raises:
        ServerNotFound: it cannot be built here.
    """
    if why_not := _why_not_built(environment):
        raise ServerNotFound(f"no vespa server can be built: {why_not}.")
    from tests.servers.vespa import build, server  # noqa: PLC0415 - needs what is not on every system

    try:
        build.server(environment)
    except build.CannotBuild as error:
        raise ServerNotFound(f"no vespa server can be built: {error}") from error
    return server.Server


def given(url: str) -> VespaServer:
    """The server that a URL names, in lateint's form or as `http://host:port`."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    return VespaServer(
        kind="given",
        host=parts.hostname or "localhost",
        port=parts.port or _PORT,
        config_port=int(options.get("config_port", [str(_CONFIG_PORT)])[0]),
        https=parts.scheme.endswith("https"),
    )


def _why_not_built(environment: Mapping[str, str]) -> str:
    if importlib.util.find_spec("fcntl") is None:
        return "not on this system"
    from tests.servers.vespa import build  # noqa: PLC0415 - needs what is not on every system

    return build.why_not(environment)


def _await_ready(server: VespaServer) -> None:
    """Ask from here, whatever a container says of its own health."""
    opener = build_opener(ProxyHandler({})) if server.host in {"localhost", "127.0.0.1", "::1"} else build_opener()
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with opener.open(f"{server.config_url}/state/v1/health", timeout=5):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServerNotFound(f"{server.config_url} is not ready after {_READY_S:.0f} s: {error}") from error
        time.sleep(0.1)
