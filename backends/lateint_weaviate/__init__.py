"""Weaviate: a server, reached over its REST and its gRPC interface.

Importing this package imports no client.
"""

from __future__ import annotations

from lateint.engine.registry import Plugin, Variant

__all__ = ["plugin"]

_OPTIONS = ("grpc_host", "grpc_port", "insecure")

plugin = Plugin(
    scheme="weaviate",
    variants={
        "": Variant(
            summary="a Weaviate server",
            example="weaviate://localhost:8080",
            connect="lateint_weaviate.sync:connect",
            aconnect="lateint_weaviate.aio:connect",
            requires=("weaviate",),
            install="lateint[weaviate]",
            options=_OPTIONS,
            api_key=True,
            declares="lateint_weaviate.schema:CAPABILITIES",
            doctor="lateint_weaviate.doctor:examine",
        ),
        "https": Variant(
            summary="a Weaviate server behind TLS",
            example="weaviate+https://weaviate.example.com",
            connect="lateint_weaviate.sync:connect",
            aconnect="lateint_weaviate.aio:connect",
            requires=("weaviate",),
            install="lateint[weaviate]",
            options=_OPTIONS,
            api_key=True,
            declares="lateint_weaviate.schema:CAPABILITIES",
            doctor="lateint_weaviate.doctor:examine",
        ),
    },
    clients={"weaviate.client.WeaviateClient": "lateint_weaviate.sync:borrow"},
    aclients={"weaviate.client.WeaviateAsyncClient": "lateint_weaviate.aio:borrow"},
)
