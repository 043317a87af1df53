"""Collections that lateint did not create: described, searched, scanned and verified; writes keep everything else."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import QdrantClient, models

import lateint
from lateint import Document, Feature, IndexSpec, errors
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.vectors import MultiVector, normalized
from tests.servers.discovery import QdrantServer
from tests.servers.qdrant import asking
from tests.servers.qdrant.asking import multivector

DIM = 8
multi = partial(multivector, size=DIM)


@dataclass(kw_only=True)
class Foreign:
    """A collection as somebody else would have made it.

    Attributes:
        vectors: its configuration.
        vector: which multi-vector is looked at.
        other: other vectors of every point.
        ids: makes the id of the n-th point.
        config: what else it is created with.
    """

    vectors: Any
    vector: str = "colbert"
    other: Callable[[np.random.Generator], dict[str, Any]] = lambda rng: {}
    ids: Callable[[int], int | str] = lambda n: n
    config: dict[str, Any] = field(default_factory=dict)


def uuids(n: int) -> str:
    return str(uuid.UUID(int=n + 1))


def title(rng: np.random.Generator) -> dict[str, Any]:
    return {"title": rng.standard_normal(4).astype(np.float32).tolist()}


def other_multi(rng: np.random.Generator) -> dict[str, Any]:
    return {"pages": rng.standard_normal((2, 4)).astype(np.float32).tolist()}


INT8 = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))

FOREIGN = {
    "integers": Foreign(vectors={"colbert": multi()}),
    "uuids": Foreign(vectors={"colbert": multi()}, ids=uuids),
    "cosine": Foreign(vectors={"colbert": multi("Cosine")}),
    "beside-dense": Foreign(
        vectors={"colbert": multi(), "title": models.VectorParams(size=4, distance=models.Distance.COSINE)}, other=title
    ),
    "two-multivectors": Foreign(vectors={"colbert": multi(), "pages": multi(size=4)}, other=other_multi),
    "quantized": Foreign(vectors={"colbert": multi(quantization_config=INT8)}),
    "graph": Foreign(vectors={"colbert": multi(hnsw_config=models.HnswConfigDiff(m=8))}),
    "float16": Foreign(vectors={"colbert": multi(datatype=models.Datatype.FLOAT16)}),
    "unnamed": Foreign(vectors=multi(), vector=""),
    "euclid": Foreign(vectors={"colbert": multi("Euclid")}),
    "manhattan": Foreign(vectors={"colbert": multi("Manhattan")}),
}
DOT = [name for name in FOREIGN if name not in {"euclid", "manhattan"}]


@pytest.fixture(scope="module")
def plain(qdrant_server: QdrantServer) -> Iterator[QdrantClient]:
    """The client that everybody else uses."""
    client = asking.client(qdrant_server)
    yield client
    client.close()


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, qdrant_server: QdrantServer) -> Iterator[lateint.Client]:
    url = f"{qdrant_server.url}&transport={request.param}"
    with lateint.connect(url, api_key=qdrant_server.api_key) as client:
        yield client


@pytest.fixture
def name(plain: QdrantClient) -> Iterator[str]:
    """A name for a collection, which is gone afterwards."""
    name = f"adopt-{uuid.uuid4().hex[:8]}"
    yield name
    plain.delete_collection(name)


def rows_of(rng: np.random.Generator, most: int = 6) -> MultiVector:
    rows: MultiVector = rng.standard_normal((int(rng.integers(1, most)), DIM)).astype(np.float32)
    return rows


def build(plain: QdrantClient, name: str, foreign: Foreign, number: int = 30) -> dict[str, MultiVector]:
    """Create and fill a collection with the plain client; returns the rows that were written, by id as text."""
    rng = np.random.default_rng(7)
    plain.create_collection(name, vectors_config=foreign.vectors, **foreign.config)
    plain.create_payload_index(name, "year", models.PayloadSchemaType.INTEGER, wait=True)
    plain.create_payload_index(name, "when", models.PayloadSchemaType.DATETIME, wait=True)
    rows = [rows_of(rng) for _ in range(number)]
    points = [
        models.PointStruct(
            id=foreign.ids(n),
            vector={foreign.vector: matrix.tolist(), **foreign.other(rng)} if foreign.vector else matrix.tolist(),
            payload={"year": 2000 + n, "when": f"20{n:02}-01-02T03:04:05Z", "deep": {"list": [n, None]}, "text": "ü"},
        )
        for n, matrix in enumerate(rows)
    ]
    plain.upsert(name, points, wait=True)
    return {str(foreign.ids(n)): matrix for n, matrix in enumerate(rows)}


def opened(client: lateint.Client, name: str, kind: str, **options: Any) -> lateint.Index:
    several = kind == "two-multivectors"
    return client.open(name, vector="colbert" if several else None, **options)


def points(plain: QdrantClient, name: str) -> dict[str, Any]:
    records, _ = plain.scroll(name, limit=1000, with_vectors=True)
    return {str(record.id): record for record in records}


@pytest.mark.parametrize("kind", DOT)
class TestReading:
    def test_searched_and_scanned(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """Every point is found under its own id, with the score of the rows that are stored.

        Breaks when: ids are mapped, a cosine collection's rows or queries are taken as they were given, or a quantized
        one is searched in its compressed form.
        """
        written = build(plain, name, FOREIGN[kind])
        index = opened(client, name, kind)
        cosine, half = kind == "cosine", kind == "float16"
        stored = {key: normalized(rows) if cosine else rows for key, rows in written.items()}
        scanned = {document.id: document for document in index.scan(with_vectors=True)}
        assert scanned.keys() == written.keys()
        for key, rows in stored.items():
            expected = mirrored(rows, "float16") if half else rows
            np.testing.assert_allclose(scanned[key].vectors, expected, rtol=0, atol=1e-6 if cosine else 0)
            assert scanned[key].payload["deep"] == {"list": [int(scanned[key].payload["year"]) - 2000, None]}
        query = rows_of(np.random.default_rng(1))
        result = index.search(query, k=len(written))
        assert result.exact
        assert result.warnings == ()
        sent = normalized(query) if cosine else mirrored(query, "float16") if half else query
        assert {hit.id for hit in result} == set(written)
        for hit in result:
            rows = scanned[hit.id].vectors
            true = maxsim(sent, rows)
            norm = float(np.linalg.norm(sent, axis=1).max() * np.linalg.norm(rows, axis=1).max())
            assert abs(hit.score - true) <= tolerance(rows=len(sent), dim=DIM, score=true, norm=norm)

    def test_verified(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """Our own check of an index passes on one that somebody else wrote."""
        build(plain, name, FOREIGN[kind])
        report = lateint.verify(opened(client, name, kind))
        report.raise_if_failed()
        assert report.documents == 30

    def test_read_only_unless_asked(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        build(plain, name, FOREIGN[kind], 3)
        index = opened(client, name, kind)
        assert not index.info.managed
        first = str(FOREIGN[kind].ids(0))
        for attempt in (
            lambda: index.write([Document(first, np.ones((1, DIM)))]),
            lambda: index.delete([first]),
            lambda: index.update_payload([first], {"year": 1}),
            lambda: index.update(metadata={}),
        ):
            with pytest.raises(errors.PermissionDenied, match="write=True"):
                attempt()
        assert plain.count(name).count == 3


@pytest.mark.parametrize("kind", DOT)
class TestWriting:
    def test_everything_else_is_kept(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """A document that is there keeps its other vectors and the payload keys that are not given; a new one is new.

        Breaks when: points are written whole.
        """
        foreign = FOREIGN[kind]
        build(plain, name, foreign, 5)
        before = points(plain, name)
        index = opened(client, name, kind, write=True)
        old, new = str(foreign.ids(1)), str(foreign.ids(77))
        rows = normalized(rows_of(np.random.default_rng(3)))
        report = index.write([Document(old, rows, {"year": 1, "added": True}), Document(new, rows, {"year": 2})])
        assert report.written == 2
        after = points(plain, name)
        assert set(after) == {*before, new}
        for key, record in before.items():
            if key != old:
                assert after[key] == record
        assert after[old].payload == {**before[old].payload, "year": 1, "added": True}
        assert after[new].payload == {"year": 2}
        for vector in set(before[old].vector) - {"colbert"} if foreign.vector else ():
            assert after[old].vector[vector] == before[old].vector[vector]
        found = {document.id: document for document in index.get([old, new], with_vectors=True)}
        for document in found.values():
            np.testing.assert_allclose(document.vectors, rows, rtol=0, atol=1e-3 if kind == "float16" else 1e-6)

    def test_payload(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """Fields that are not named stay; a null is stored, which Qdrant's own merging would take for a deletion."""
        foreign = FOREIGN[kind]
        build(plain, name, foreign, 3)
        before = points(plain, name)
        index = opened(client, name, kind, write=True)
        first, second = str(foreign.ids(0)), str(foreign.ids(1))
        assert index.update_payload([first], {"year": 7}).written == 1
        assert index.update_payload([second], {"year": None, "x": [1]}).written == 1
        (failure,) = index.update_payload([str(foreign.ids(99))], {"year": 7}).failed
        assert failure.id == str(foreign.ids(99))
        after = points(plain, name)
        assert after[first].payload == {**before[first].payload, "year": 7}
        assert after[second].payload == {**before[second].payload, "year": None, "x": [1]}
        assert after[first].vector == before[first].vector

    def test_deleting(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """`delete(["7"])` on a collection of integers means 7; ids that no point can have are not there."""
        foreign = FOREIGN[kind]
        build(plain, name, foreign, 9)
        index = opened(client, name, kind, write=True)
        index.delete([str(foreign.ids(7)), "no-id-of-it", "007"])
        index.delete(filter=lateint.field("year") == 2003)
        assert set(points(plain, name)) == {str(foreign.ids(n)) for n in (0, 1, 2, 4, 5, 6, 8)}

    @pytest.mark.parametrize("bad", ["a-1", "007", "-1", str(2**64), "6F3C1F5E-0000-5000-8000-00000000000A"])
    def test_foreign_ids(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str, bad: str) -> None:
        """Refused before anything is sent: another id than the one that was given would come back."""
        build(plain, name, FOREIGN[kind], 2)
        index = opened(client, name, kind, write=True)
        with pytest.raises(errors.InvalidInput, match="whole numbers or UUIDs") as caught:
            index.write([Document(str(FOREIGN[kind].ids(50)), np.ones((1, DIM))), Document(bad, np.ones((1, DIM)))])
        assert caught.value.document == bad
        assert plain.count(name).count == 2
        assert index.get([bad]) == []


class TestDescribed:
    def test_fields(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        """Payload indexes are fields; more can be declared; datetimes are datetimes where declared, text elsewhere."""
        build(plain, name, FOREIGN["integers"])
        index = client.open(name, fields={"text": "keyword"})
        assert index.spec == IndexSpec(
            name, DIM, fields={"year": "integer", "when": "datetime", "text": "keyword"}, normalize=False
        )
        assert index.count(lateint.field("year") >= 2020) == 10
        assert index.count((lateint.field("text") == "ü") & ~lateint.ids(["3", "4"])) == 28
        (document,) = index.get(["4"])
        when = document.payload["when"]
        assert when.isoformat() == "2004-01-02T03:04:05+00:00"
        assert index.count(lateint.field("when") == when) == 1
        assert index.count(lateint.field("year").exists()) == 30
        with pytest.raises(errors.InvalidInput, match="'deep'"):
            index.count(lateint.field("deep").exists())

    def test_exists_of_a_list_is_refused(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        build(plain, name, FOREIGN["integers"], 2)
        index = client.open(name, fields={"tags": "keyword[]"})
        with pytest.raises(errors.UnsupportedFeature, match="empty list"):
            index.count(lateint.field("tags").exists())

    def test_not_carried(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        build(plain, name, FOREIGN["beside-dense"], 2)
        assert client.open(name).info.not_carried == ("vector 'title' (dimension 4)",)

    def test_choice(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        build(plain, name, FOREIGN["two-multivectors"], 2)
        with pytest.raises(errors.SchemaMismatch, match="'colbert', 'pages'"):
            client.open(name)
        assert client.open(name, vector="pages").spec.dim == 4

    def test_no_multivector(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        plain.create_collection(name, vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
        with pytest.raises(errors.SchemaMismatch, match=r"no multi-vector; it has vector '' \(dimension 4\)"):
            client.open(name)
        assert name in client.list_indexes()

    @pytest.mark.parametrize("kind", ["graph", "quantized"])
    def test_approximation(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """Exact unless the short cut is asked for, and then the result says so."""
        build(plain, name, FOREIGN[kind])
        index = client.open(name)
        assert Feature.APPROXIMATE_SEARCH in index.capabilities.features
        assert index.search(np.ones((1, DIM))).exact
        result = index.search(np.ones((1, DIM)), exact=False)
        assert not result.exact
        assert bool(result.warnings) is (kind == "quantized")
        assert len(result) == 10

    @pytest.mark.parametrize("kind", ["euclid", "manhattan"])
    def test_distances(self, client: lateint.Client, plain: QdrantClient, name: str, kind: str) -> None:
        """The nearest comes first with the highest score, and every result says that it is no MaxSim sum."""
        written = build(plain, name, FOREIGN[kind])
        result = client.open(name).search(written["3"], k=30)
        assert any("not a MaxSim sum" in warning for warning in result.warnings)
        assert result[0].id == "3"
        assert math.isclose(result[0].score, 0.0, abs_tol=1e-3)
        assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)

    def test_update_is_refused(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        build(plain, name, FOREIGN["integers"], 2)
        index = client.open(name, write=True)
        with pytest.raises(errors.UnsupportedFeature, match="not created by lateint"):
            index.update(metadata={"a": 1})
        with pytest.raises(errors.UnsupportedFeature):
            index.update(fields={"other": "integer"})

    def test_scan_resumed(self, client: lateint.Client, plain: QdrantClient, name: str) -> None:
        """The cursor of a scan over integers goes on at the integer."""
        build(plain, name, FOREIGN["integers"], 40)
        index = client.open(name)
        scan = index.scan()
        first = [next(scan).id for _ in range(20)]
        rest = [document.id for document in index.scan(cursor=scan.cursor)]
        assert set(first) | set(rest) == {str(n) for n in range(40)}
        assert rest[0] == "16"
