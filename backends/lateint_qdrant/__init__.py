"""Qdrant: a server, the client's local mode, or its engine inside the process.

Importing this package imports no engine and no client.
"""

from __future__ import annotations

from dataclasses import replace

from lateint.engine.registry import Plugin, Variant

__all__ = ["plugin"]

_SERVER = Variant(
    summary="a Qdrant server",
    example="qdrant://localhost:6333",
    connect="lateint_qdrant.sync:connect",
    aconnect="lateint_qdrant.aio:connect",
    requires=("qdrant_client",),
    install="lateint[qdrant]",
    options=("grpc_port", "transport", "insecure"),
    api_key=True,
    declares="lateint_qdrant.schema:GRPC_CAPABILITIES",
    doctor="lateint_qdrant.doctor:examine",
)

plugin = Plugin(
    scheme="qdrant",
    variants={
        "": _SERVER,
        "https": replace(
            _SERVER, summary="a Qdrant server behind TLS", example="qdrant+https://qdrant.example.com:6333"
        ),
        "memory": Variant(
            summary="qdrant-client's local mode, for tests; nothing is kept",
            example="qdrant+memory://",
            connect="lateint_qdrant.sync:connect_memory",
            aconnect="lateint_qdrant.aio:connect_memory",
            requires=("qdrant_client",),
            install="lateint[qdrant]",
        ),
        "edge": Variant(
            summary="Qdrant's engine inside this process, data in a folder",
            example="qdrant+edge:///path/of/a/folder",
            connect="lateint_qdrant.edge:connect",
            requires=("qdrant_edge",),
            install="lateint[edge]",
        ),
    },
    clients={"qdrant_client.qdrant_client.QdrantClient": "lateint_qdrant.sync:borrow"},
    aclients={"qdrant_client.async_qdrant_client.AsyncQdrantClient": "lateint_qdrant.aio:borrow"},
)
