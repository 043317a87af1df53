"""Where the benchmarks of Qdrant run: against the server that the tests would find, or the one that a URL names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from qdrant_client.connection import get_channel

import lateint
from lateint.vectors import MultiVector
from tests.servers import discovery
from tests.servers.discovery import QdrantServer

TIMEOUT_S = 300


@contextmanager
def found(url: str | None) -> Iterator[QdrantServer]:
    """The server; one that the URL names, or as `tests.servers.discovery` finds it."""
    given = {} if url is None else {"LATEINT_TEST_QDRANT_URL": url}
    with TemporaryDirectory() as folder, discovery.qdrant(Path(folder), {**os.environ, **given}) as server:
        yield server


def url_of(server: QdrantServer, *, grpc: bool) -> str:
    return f"{server.url}&transport={'grpc' if grpc else 'rest'}"


def client_options(server: QdrantServer, *, grpc: bool) -> dict[str, Any]:
    """What `QdrantClient` and `AsyncQdrantClient` take."""
    return {
        "url": server.rest_url,
        "grpc_port": server.grpc_port,
        "prefer_grpc": grpc,
        "api_key": server.api_key,
        "timeout": TIMEOUT_S,
        "check_compatibility": False,
    }


def channel(server: QdrantServer) -> Any:  # noqa: ANN401 - gRPC has no types
    """For calls whose bytes were made before: the limit of what a client can do."""
    key = [] if server.api_key is None else [("api-key", server.api_key)]
    return get_channel(host=server.host, port=server.grpc_port, ssl=server.https, metadata=key)


def unit_rows(random: np.random.Generator, tokens: int, dim: int) -> MultiVector:
    rows: MultiVector = random.standard_normal((tokens, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def print_setting(server: QdrantServer, client: lateint.Client, sizes: str) -> None:
    """Command, versions, machine, sizes."""
    names = ("qdrant-client", "grpcio", "protobuf", "httpx", "numpy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"$ python {' '.join(sys.argv)}")
    print(f"Qdrant {client.server_info().version}, {_KIND[server.kind]}; {versions}")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load}")
    print(f"{sizes}\n")


_KIND = {
    "given": "a server given by its URL",
    "container": "a server in a container on this machine",
    "double": "the DOUBLE of tests/servers (this side is real, the server's speed is not)",
}
