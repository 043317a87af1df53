"""Where integration tests find a server: given by its URL, in a container, or as a double.

`LATEINT_TEST_QDRANT_URL` names a server that is there, such as `qdrant://localhost:6333?grpc_port=6334`; its key, if any,
is in `LATEINT_TEST_QDRANT_API_KEY`. Without it, `compose/qdrant.yaml` is started where Docker runs and testcontainers is
installed, on free ports. Without that, it is the double of `tests.servers.qdrant`, which needs qdrant-client and
qdrant-edge-py. `LATEINT_TEST_QDRANT_KIND=double` or `=container` insists on one.

`LATEINT_REQUIRE_SERVERS=qdrant,…` makes tests fail where they would be skipped because no server was found.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

COMPOSE = Path(__file__).parents[2] / "compose"
_READY_S = 120.0
_GRPC_PORT = 6334


class ServerNotFound(Exception):
    """No server could be found or started."""


@dataclass(frozen=True, kw_only=True)
class QdrantServer:
    """A server that answers.

    Attributes:
        kind: `given`, `container` or `double`.
        host: where it is.
        port: of its REST interface.
        grpc_port: of its gRPC interface.
        https: it is spoken to over TLS.
        api_key: its key, if it wants one.
    """

    kind: str
    host: str
    port: int
    grpc_port: int
    https: bool = False
    api_key: str | None = None

    @property
    def rest_url(self) -> str:
        """As Qdrant's own client takes it."""
        return f"{'https' if self.https else 'http'}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As lateint takes it."""
        return f"qdrant{'+https' if self.https else ''}://{self.host}:{self.port}?grpc_port={self.grpc_port}"


def required(environment: Mapping[str, str] = os.environ) -> set[str]:
    """Engines without whose server the tests must fail."""
    return {name.strip() for name in environment.get("LATEINT_REQUIRE_SERVERS", "").split(",") if name.strip()}


@contextmanager
def qdrant(folder: Path, environment: Mapping[str, str] = os.environ) -> Iterator[QdrantServer]:
    """A server that is ready, ended afterwards if it was started here.

    Args:
        folder: for the data of the double.
        environment: where to look for the variables above.

    Raises:
        ServerNotFound: there is none; says what was tried.
    """
    url = environment.get("LATEINT_TEST_QDRANT_URL")
    kind = environment.get("LATEINT_TEST_QDRANT_KIND", "")
    if url:
        server = given(url, environment.get("LATEINT_TEST_QDRANT_API_KEY"))
        _await_ready(server)
        yield server
        return
    no_container = _why_no_container() if kind != "double" else "not wanted"
    no_double = _why_no_double() if kind != "container" else "not wanted"
    if not no_container:
        with _container() as server:
            yield server
    elif not no_double:
        with _double(folder) as server:
            yield server
    else:
        raise ServerNotFound(
            f"no Qdrant server: LATEINT_TEST_QDRANT_URL is not set; container: {no_container}; double: {no_double}."
        )


def given(url: str, api_key: str | None = None) -> QdrantServer:
    """The server that a URL names, in lateint's form or as `http://host:port`."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    return QdrantServer(
        kind="given",
        host=parts.hostname or "localhost",
        port=parts.port or 6333,
        grpc_port=int(options.get("grpc_port", [str(_GRPC_PORT)])[0]),
        https=parts.scheme.endswith("https"),
        api_key=api_key,
    )


@contextmanager
def _container() -> Iterator[QdrantServer]:
    from testcontainers.compose import DockerCompose  # noqa: PLC0415 - not needed elsewhere

    from tests.servers.qdrant.double import free_ports  # noqa: PLC0415

    port, grpc_port = free_ports(2)
    settings = {
        "COMPOSE_PROJECT_NAME": f"lateint-test-{os.getpid()}",  # not that of a server that someone runs by hand
        "QDRANT_HOST": "127.0.0.1",
        "QDRANT_PORT": str(port),
        "QDRANT_GRPC_PORT": str(grpc_port),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    compose = DockerCompose(COMPOSE, compose_file_name="qdrant.yaml", env_file="versions.env", wait=True)
    server = QdrantServer(kind="container", host="127.0.0.1", port=port, grpc_port=grpc_port)
    try:
        with compose:
            _await_ready(server)
            yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _double(folder: Path) -> Iterator[QdrantServer]:
    from tests.servers.qdrant.double import Double  # noqa: PLC0415 - not needed elsewhere

    with Double(folder) as double:
        yield QdrantServer(kind="double", host="127.0.0.1", port=double.rest_port, grpc_port=double.grpc_port)


def _why_no_container() -> str:
    if importlib.util.find_spec("testcontainers") is None:
        return "testcontainers is not installed"
    docker = shutil.which("docker")
    if docker is None:
        return "docker is not installed"
    for command in (["info"], ["compose", "version"]):
        try:
            done = subprocess.run([docker, *command], capture_output=True, timeout=30, check=False)
        except subprocess.TimeoutExpired:
            return f"`docker {' '.join(command)}` does not answer"
        if done.returncode:
            return f"`docker {' '.join(command)}` fails"
    return ""


def _why_no_double() -> str:
    missing = [name for name in ("qdrant_client", "qdrant_edge") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def _await_ready(server: QdrantServer) -> None:
    """Ask from here, whatever a container says of its own health."""
    opener = build_opener(ProxyHandler({})) if server.host in {"localhost", "127.0.0.1", "::1"} else build_opener()
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with opener.open(f"{server.rest_url}/readyz", timeout=5):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServerNotFound(f"{server.rest_url} is not ready after {_READY_S:.0f} s: {error}") from error
        time.sleep(0.1)
