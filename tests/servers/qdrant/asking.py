"""What tests need to talk to a server through Qdrant's own client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.servers.discovery import QdrantServer
from tests.servers.qdrant.double import Double

DOT = m.Distance.DOT


def multivector(distance: str = "Dot", *, size: int = 4, **more: Any) -> m.VectorParams:
    """A multi-vector with MaxSim and no graph."""
    comparator = m.MultiVectorConfig(comparator=m.MultiVectorComparator.MAX_SIM)
    settings = {"multivector_config": comparator, "hnsw_config": m.HnswConfigDiff(m=0), **more}
    return m.VectorParams(size=size, distance=m.Distance(distance), **settings)


def options(server: QdrantServer | Double, *, over_grpc: bool, **more: Any) -> dict[str, Any]:
    """What a client of the chosen transport is made with."""
    key = server.api_key if isinstance(server, QdrantServer) else None
    return {
        "url": server.rest_url,
        "grpc_port": server.grpc_port,
        "prefer_grpc": over_grpc,
        "api_key": key,
        "check_compatibility": False,
        "timeout": 60,
        **more,
    }


def client(server: QdrantServer | Double, *, over_grpc: bool = False, **more: Any) -> QdrantClient:
    """A client of the chosen transport."""
    return QdrantClient(**options(server, over_grpc=over_grpc, **more))


def url_of(server: Double, transport: str = "auto", host: str = "127.0.0.1") -> str:
    """A double as lateint takes it."""
    return f"qdrant://{host}:{server.rest_port}?grpc_port={server.grpc_port}&transport={transport}"


def point(identifier: Any, rows: Any = ((1.0, 0.0, 0.0, 0.0),), **payload: Any) -> m.PointStruct:
    """A point with a multi-vector `colbert`."""
    return m.PointStruct(id=identifier, vector={"colbert": [list(row) for row in rows]}, payload=payload)


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Status and text of a call that must be refused."""
    with pytest.raises((UnexpectedResponse, grpc.RpcError)) as caught:
        call()
    error: Any = caught.value
    if isinstance(error, UnexpectedResponse):
        return str(error.status_code), error.content.decode().replace("\\\\", "\\").replace('\\"', '"')
    return error.code().name, error.details()
