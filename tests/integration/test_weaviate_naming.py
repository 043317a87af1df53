"""A real Weaviate server takes every name that an index or a field can have, and keeps those apart that it would not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the messages come with lateint[weaviate]")

import lateint
from lateint import Document, IndexSpec, field
from tests.servers.discovery import WeaviateServer

INDEXES = ["named", "Named", "NAMED", "na_med", "na-med", "named__1", "raft", "Raft", "x" * 64, "X" * 64]
FIELDS = [
    *("id", "ID", "vector", "_id", "_additional", "_creationTimeUnix", "__typename", "class", "where", "null", "true"),
    *("prop", "Prop", "PROP", "prop__1", "createdAt", "createdat", "_prop", "prop_", "p" * 63, "P" * 63),
    *("prop_searchable", "prop_rangeable", "prop_temp", "prop__meta_count", "prop_propertyLength", "prop_nullState"),
    *("prop__gen1", "collection", "properties", "distance"),
]
ROW = np.ones((1, 2), np.float32)


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[lateint.Client]:
    with lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
        yield client


def test_indexes(client: lateint.Client) -> None:
    """Names that differ in case only would be one collection, or an error, with the client of Weaviate."""
    made: list[str] = []
    try:
        for name in INDEXES:
            client.create_index(IndexSpec(name, 2)).write([Document(name, ROW)])
            made.append(name)
        assert set(INDEXES) <= set(client.list_indexes())
        for name in INDEXES:
            index = client.open(name)
            assert index.spec.name == name
            assert [document.id for document in index.scan()] == [name]
        client.drop_index(made.pop(0))
        assert [name for name in INDEXES if name not in client.list_indexes()] == [INDEXES[0]]
    finally:
        for name in made:
            client.drop_index(name)


@pytest.mark.parametrize("kind", ["keyword", "integer", "datetime"])
def test_fields(client: lateint.Client, kind: str) -> None:
    """Reserved names, names of the server's own files, and names that differ in case only, in one index."""
    value: Any = {"keyword": "a", "integer": 2**60, "datetime": datetime(2024, 2, 29, tzinfo=UTC)}[kind]
    index = client.create_index(IndexSpec("fields-of-weaviate", 2, fields=dict.fromkeys(FIELDS, kind)))
    try:
        index.write([Document(name, ROW, {name: value}) for name in FIELDS])
        for name in FIELDS:
            for condition in (field(name).exists(), field(name) == value):
                assert [hit.id for hit in index.search(ROW, filter=condition)] == [name]
        assert {document.id: document.payload for document in index.scan()} == {name: {name: value} for name in FIELDS}
    finally:
        client.drop_index("fields-of-weaviate")
