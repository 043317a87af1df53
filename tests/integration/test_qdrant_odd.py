"""Collections and documents that nobody would think of: nothing is lost, no score is wrong, and the error says why."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import QdrantClient, grpc, models

import lateint
from lateint import Document, Feature, IndexSpec, errors, field
from lateint.filters import Filter
from tests.servers.discovery import QdrantServer
from tests.servers.qdrant import asking

DIM = 4
ROWS = np.eye(2, DIM)
WHEN = datetime(2020, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A client of lateint, one that everybody else uses, and the name of a collection that is gone afterwards."""

    client: lateint.Client
    plain: QdrantClient
    name: str
    transport: str

    def found(self, *, distance: str = "Dot", dim: int = DIM, **more: Any) -> str:
        """Make a collection as somebody else would."""
        vector = asking.multivector(distance, size=dim, **more)
        title = models.VectorParams(size=2, distance=models.Distance.DOT)
        self.plain.create_collection(self.name, vectors_config={"colbert": vector, "title": title})
        return self.name

    def created(self, **more: Any) -> lateint.Index:
        return self.client.create_index(IndexSpec(self.name, DIM, **more))


@pytest.fixture(scope="module")
def plain(qdrant_server: QdrantServer) -> Iterator[QdrantClient]:
    client = asking.client(qdrant_server, over_grpc=True)
    yield client
    client.close()


@pytest.fixture(params=["grpc", "rest"])
def place(request: pytest.FixtureRequest, qdrant_server: QdrantServer, plain: QdrantClient) -> Iterator[Place]:
    name = f"odd-{uuid.uuid4().hex[:8]}"
    url = f"{qdrant_server.url}&transport={request.param}"
    with lateint.connect(url, api_key=qdrant_server.api_key) as client:
        yield Place(client, plain, name, request.param)
    plain.delete_collection(name)


ODD_KEYS = {"a.b": 1, "a": {"b": 2, "c": [3]}, "a[0]": 4, 'quo"ted': 5, "back\\slash": 6, "": 7, "none": None}


class TestPayloadKeys:
    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_that_look_like_paths(self, place: Place, key: str) -> None:
        """A field becomes a datetime, which Qdrant keeps elsewhere, and a number again; every other field stays.

        Breaks when: the key of a field to be deleted is taken for a path, as in `a.b` for the `b` within `a`.
        """
        index = place.created()
        index.write([Document("d", ROWS, ODD_KEYS)])
        for value in (WHEN, 8):
            assert index.update_payload(["d"], {key: value}).written == 1
            assert index.get(["d"])[0].payload == {**ODD_KEYS, key: value}

    def test_of_others(self, place: Place) -> None:
        """Also in a collection that lateint did not create, where each key is somebody's."""
        name = place.found()
        point = models.PointStruct(id=1, vector={"colbert": ROWS.tolist()}, payload=ODD_KEYS)
        place.plain.upsert(name, [point], wait=True)
        index = place.client.open(name, write=True)
        index.update_payload(["1"], {"a.b": "new", "other": None})
        index.write([Document("1", ROWS, {"a": 9})])
        assert place.plain.retrieve(name, [1])[0].payload == {**ODD_KEYS, "a.b": "new", "other": None, "a": 9}


class TestDatetimes:
    def test_nothing_is_cut_off(self, place: Place) -> None:
        """Nanoseconds, which no datetime holds, stay text; zeros in their place are no nanoseconds."""
        name = place.found()
        texts = ["2020-01-02T00:00:00.123456789Z", "2020-01-02T00:00:00.000000000Z", "2020-01-02 00:00"]
        points = [models.PointStruct(id=n, vector={}, payload={"at": text}) for n, text in enumerate(texts)]
        place.plain.upsert(name, points, wait=True)
        found = place.client.open(name, fields={"at": "datetime"}).get(["0", "1", "2"])
        assert [document.payload["at"] for document in found] == [texts[0], WHEN, WHEN]


class TestWithoutTheVector:
    def build(self, place: Place) -> lateint.Index:
        name = place.found()
        points = [
            models.PointStruct(id=n, vector={"colbert": ROWS.tolist()} if n % 2 else {"title": [1.0, 2.0]}, payload={})
            for n in range(6)
        ]
        place.plain.upsert(name, points, wait=True)
        return place.client.open(name, write=True)

    def test_read(self, place: Place) -> None:
        """Points that lack the multi-vector are documents without vectors, and no search finds them."""
        index = self.build(place)
        assert {document.id: document.vectors is None for document in index.scan(with_vectors=True)} == {
            str(n): n % 2 == 0 for n in range(6)
        }
        assert {hit.id for hit in index.search(ROWS)} == {"1", "3", "5"}

    def test_verified(self, place: Place) -> None:
        """Said as a warning: its owner may have meant it so."""
        report = lateint.verify(self.build(place))
        report.raise_if_failed()
        assert any("3 documents have no multi-vector" in warning for warning in report.warnings)

    def test_given_one(self, place: Place) -> None:
        """The multi-vector is added, the other vector stays."""
        self.build(place).write([Document("0", ROWS)])
        vectors: Any = place.plain.retrieve(place.name, [0], with_vectors=True)[0].vector
        assert vectors == {"colbert": ROWS.tolist(), "title": [1.0, 2.0]}

    def test_lost(self, place: Place) -> None:
        """In an index of lateint it is damage."""
        index = place.created()
        index.write([Document(name, ROWS) for name in "abc"])
        (record, *_), _ = place.plain.scroll(place.name)
        place.plain.delete_vectors(place.name, ["lateint"], [record.id], wait=True)
        with pytest.raises(errors.VerificationFailed, match=r"documents without a multi-vector, .*: 1") as caught:
            lateint.verify(index).raise_if_failed()
        assert record.payload is not None
        assert caught.value.report is not None
        assert caught.value.report.vectorless == (record.payload["lateint_id"],)


class TestCosine:
    @pytest.mark.parametrize("dim", [2, 8, 64])
    def test_in_half_precision(self, place: Place, dim: int) -> None:
        """Qdrant scales rows and rounds them then: what is written is what is stored, and scores are those of it.

        Breaks when: rows are sent rounded; scaled and rounded once more they are others.
        """
        name = place.found(distance="Cosine", dim=dim, datatype=models.Datatype.FLOAT16)
        rng = np.random.default_rng(dim)
        theirs = [
            models.PointStruct(id=n, vector={"colbert": (7 * rng.standard_normal((9, dim))).tolist()}, payload={})
            for n in range(40)
        ]
        place.plain.upsert(name, theirs, wait=True)
        index = place.client.open(name, write=True)
        lateint.verify(index).raise_if_failed()
        ours = [Document(str(n), rng.standard_normal((9, dim))) for n in range(40)]
        index.write(ours)
        lateint.verify(index, against=ours).raise_if_failed()


class TestNumbersThatAreNone:
    def test_score(self, place: Place) -> None:
        """Servers take infinities over gRPC; a ranking that they lead is not given out as one."""
        rows = grpc.MultiDenseVector(vectors=[grpc.DenseVector(data=[math.inf, 0, 0, 0])])
        vectors = grpc.NamedVectors(vectors={"colbert": grpc.Vector(multi_dense=rows)})
        point = grpc.PointStruct(id=grpc.PointId(num=7), vectors=grpc.Vectors(vectors=vectors))
        name = place.found()
        place.plain.grpc_points.Upsert(grpc.UpsertPoints(collection_name=name, points=[point], wait=True))
        with pytest.raises(errors.UnexpectedResponse, match="NaN or infinities"):
            place.client.open(name).search(ROWS[:1])


class TestGraphAddedLater:
    def test_searches_say_so(self, place: Place) -> None:
        """The owner of a collection may add a graph or quantization to what lateint created: exact is asked for."""
        place.created().write([Document("a", ROWS)])
        changed = models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(m=16))
        place.plain.update_collection(place.name, vectors_config={"lateint": changed})
        index = place.client.open(place.name)
        assert index.search(ROWS).exact
        assert not index.search(ROWS, exact=False).exact

    def test_strict_mode_without_exact_search(self, place: Place) -> None:
        """Where exact may not be asked for, the graph answers, and the result does not claim more.

        Breaks when: only collections of others are looked at for short cuts.
        """
        place.created().write([Document("a", ROWS)])
        changed = models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(m=16))
        place.plain.update_collection(
            place.name,
            vectors_config={"lateint": changed},
            strict_mode_config=models.StrictModeConfig(enabled=True, search_allow_exact=False),
        )
        index = place.client.open(place.name)
        assert Feature.EXACT_SEARCH not in index.capabilities.features
        assert not index.search(ROWS).exact


class TestFilters:
    def test_nested(self, place: Place) -> None:
        """As deep as filters may be: gRPC's messages may not be, and that is said."""
        index = place.created(fields={"n": "integer"})
        index.write([Document(str(n), ROWS, {"n": n}) for n in range(4)])
        condition: Filter = field("n") == 1
        for n in range(32):
            condition = (condition | (field("n") == 2)) & ~(field("n") == n + 3)
        if place.transport == "rest":
            assert index.count(condition) == 2
        else:
            with pytest.raises(errors.UnexpectedResponse, match="nested too deeply"):
                index.count(condition)
