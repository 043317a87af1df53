"""The messages of Weaviate's gRPC service, as its client ships them."""

from __future__ import annotations

import warnings

with warnings.catch_warnings(record=True):  # what the client imports warns, and its user can do nothing about it
    from weaviate.proto.v1 import (
        aggregate_pb2,
        base_pb2,
        base_search_pb2,
        batch_delete_pb2,
        batch_pb2,
        health_weaviate_pb2,
        properties_pb2,
        search_get_pb2,
    )

__all__ = [
    "aggregate_pb2",
    "base_pb2",
    "base_search_pb2",
    "batch_delete_pb2",
    "batch_pb2",
    "health_weaviate_pb2",
    "properties_pb2",
    "search_get_pb2",
]
