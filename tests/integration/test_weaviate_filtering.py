"""Filters on a real Weaviate server mean what `lateint.filters.matches` says, in every verb and after a restart."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener
from uuid import UUID

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the messages come with lateint[weaviate]")

import lateint
from lateint import Document, Index, IndexSpec, field
from lateint.engine.payload import checked, iso
from lateint.errors import UnsupportedFeature
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or, matches
from lateint.spec import FieldType
from lateint.testing.payloads import FIELDS, elements, filterable
from lateint_weaviate.properties import is_near
from tests.servers.discovery import WeaviateServer

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

DOCUMENTS = filterable(FIELDS, count=128)
QUERY = np.ones((1, DOCUMENTS[0].vectors.shape[1]), np.float32)
ORDERINGS = (Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL)


def conditions(name: str, kind: FieldType) -> list[Filter]:
    """Every elementary filter on a field, with every value that its documents have."""
    values = elements(kind)
    found: list[Filter] = [Exists(name), *(IsIn(name, tuple(values[start::2])) for start in (0, 1)), IsIn(name, ())]
    for value in values:
        operators = (Operator.EQUAL, *(ORDERINGS if kind.is_ordered else ()))
        found += [Comparison(name, operator, value) for operator in operators]
    return found


LEAVES = {name: conditions(name, kind) for name, kind in FIELDS.items()}
ALL_LEAVES = [leaf for leaves in LEAVES.values() for leaf in leaves] + [Ids(()), Ids(("row-00", "row-07", "nobody"))]


def tree(dice: random.Random, depth: int) -> Filter:
    if depth == 0 or dice.random() < 0.2:
        return dice.choice(ALL_LEAVES)
    parts = tuple(tree(dice, depth - 1) for _ in range(dice.randint(2, 4)))
    return dice.choice([Not(parts[0]), And(parts), Or(parts)])


def expected(condition: Filter, documents: list[Document] = DOCUMENTS) -> set[str]:
    return {
        each.id
        for each in documents
        if matches(condition, document=each.id, payload=checked(each.payload, FIELDS, document=each.id)[0])
    }


def passing(index: Index, condition: Filter) -> set[str]:
    """What an exact search finds: the path that filters take in practice."""
    result = index.search(QUERY, k=len(DOCUMENTS), filter=condition, payload=False)
    assert result.exact
    return {hit.id for hit in result}


def filled(client: lateint.Client, name: str) -> Index:
    index = client.create_index(IndexSpec(name, QUERY.shape[1], fields=FIELDS))
    index.write(DOCUMENTS)
    return index


@pytest.fixture(scope="module")
def client(weaviate_server: WeaviateServer) -> Iterator[lateint.Client]:
    with lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
        yield client


@pytest.fixture(scope="module")
def index(client: lateint.Client) -> Iterator[Index]:
    yield filled(client, "filters-of-weaviate")
    client.drop_index("filters-of-weaviate")


@pytest.mark.parametrize("name", FIELDS)
def test_leaves(index: Index, name: str) -> None:
    """White space, 64-bit integers, years 1 and 9999, both zeros, missing and null, empty text: none is folded."""
    for condition in LEAVES[name]:
        for each in (condition, Not(condition)):
            assert passing(index, each) == expected(each), each


def test_trees(index: Index) -> None:
    """Nested `&`, `|` and `~`: the server merges what passes and what does not in many ways."""
    dice = random.Random(7)
    for _ in range(150):
        condition = tree(dice, dice.randint(1, 5))
        assert passing(index, condition) == expected(condition), condition


def test_depth(index: Index) -> None:
    """As deep as lateint allows."""
    condition = chain = ALL_LEAVES[0]
    for turn in range(31):
        chain = And((Not(chain), ALL_LEAVES[turn])) if turn % 2 else Or((Not(chain), condition))
    assert passing(index, chain) == expected(chain)


def test_many_values(index: Index) -> None:
    wanted = IsIn("number", tuple(range(1000)))
    assert passing(index, wanted) == expected(wanted)
    ids = lateint.ids([f"row-{number:02d}" for number in range(0, 3000, 2)])
    assert passing(index, ids) == expected(ids)


def test_counting_and_scanning(index: Index) -> None:
    """They go through other calls than a search."""
    for condition in (leaf for leaves in LEAVES.values() for leaf in leaves[:4]):
        assert index.count(condition) == len(expected(condition)), condition
        assert {document.id for document in index.scan(filter=condition)} == expected(condition), condition


def test_deleting(client: lateint.Client) -> None:
    """A filter that folds values would delete what the user wanted to keep."""
    index = filled(client, "filters-that-delete")
    try:
        kept = DOCUMENTS
        for condition in (
            field("word") == " a",
            field("number") > 2**53,
            ~(field("moment") >= datetime(1, 1, 1, tzinfo=UTC)) & field("words").exists(),
        ):
            gone = expected(condition, kept)
            assert gone
            index.delete(filter=condition)
            kept = [each for each in kept if each.id not in gone]
            assert {document.id for document in index.scan()} == {each.id for each in kept}
    finally:
        client.drop_index("filters-that-delete")


def test_after_a_restart(own_weaviate: type[Server], tmp_path: Path) -> None:
    """What was in memory is read from files then: long terms, far values, and what was written and changed."""
    with own_weaviate(tmp_path) as server:
        with lateint.connect(server.url) as client:
            index = filled(client, "pages")
            index.write([Document(each.id, each.vectors, {}) for each in DOCUMENTS[:32]])
            index.write(DOCUMENTS[:32])
        server.stop()
        server.start()
        with lateint.connect(server.url) as client:
            index = client.open("pages")
            for leaves in LEAVES.values():
                for condition in leaves:
                    assert passing(index, condition) == expected(condition), condition


FOREIGN = {name: kind for name, kind in FIELDS.items() if kind is not FieldType.TEXT}
TYPES = {
    "word": "text",
    "number": "int",
    "ratio": "number",
    "flag": "boolean",
    "moment": "date",
    "words": "text[]",
    "numbers": "int[]",
    "ratios": "number[]",
}


@pytest.fixture(scope="module")
def foreign(weaviate_server: WeaviateServer, client: lateint.Client) -> Iterator[Index]:
    """A class as an application of Weaviate's own client has it, holding what that can hold."""
    properties = [
        {"name": name, "dataType": [kind]} | ({"tokenization": "field"} if kind.startswith("text") else {})
        for name, kind in TYPES.items()
    ]
    hnsw = {"distance": "dot", "multivector": {"enabled": True}, "flatSearchCutoff": 1_000_000}
    vectors = {"colbert": {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw", "vectorIndexConfig": hnsw}}
    nulls = {"indexNullState": True}
    request(
        weaviate_server,
        "/v1/schema",
        {"class": "Foreign", "properties": properties, "vectorConfig": vectors, "invertedIndexConfig": nulls},
    )
    objects = [
        {
            "class": "Foreign",
            "id": str(UUID(int=number + 1)),
            "vectors": {"colbert": each.vectors.tolist()},
            "properties": {
                name: iso(value) if isinstance(value, datetime) else value
                for name, value in each.payload.items()
                if name in FOREIGN and value is not None and storable(name, value)
            },
        }
        for number, each in enumerate(DOCUMENTS)
    ]
    for answer in request(weaviate_server, "/v1/batch/objects", {"objects": objects}):
        assert answer["result"].get("status") == "SUCCESS", answer
    yield client.open("Foreign")
    client.drop_index("Foreign")


def storable(name: str, value: Any) -> bool:
    """Weaviate's index folds the others; its own users have to live with that."""
    return all(is_near(element, FIELDS[name]) for element in (value if isinstance(value, list) else [value]))


def request(server: WeaviateServer, path: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    if server.api_key is not None:
        headers["Authorization"] = f"Bearer {server.api_key}"
    sent = Request(server.rest_url + path, json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(sent, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("name", FOREIGN)
def test_adopted(foreign: Index, name: str) -> None:
    """In a class of another application a filter is exact, or refused; most are exact."""
    there = list(foreign.scan())
    exact = 0
    for condition in LEAVES[name]:
        for each in (condition, Not(condition)):
            try:
                result = foreign.search(QUERY, k=len(there), filter=each)
            except UnsupportedFeature:
                continue
            exact += 1
            assert {hit.id for hit in result} == expected(each, there), each
    assert exact > len(LEAVES[name])
