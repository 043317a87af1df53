"""Classes that other tools work on too: what they added stays or is named, and one bad document is one bad document."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import httpx
import weaviate
from weaviate.classes.config import Configure, DataType, Property, VectorDistances
from weaviate.classes.data import DataObject

import lateint
from lateint import Document, IndexSpec, errors
from lateint.scoring import maxsim
from lateint_weaviate import wire
from tests.servers.discovery import WeaviateServer

DIM = 4
FIRST, SECOND, THIRD = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
ROWS = np.eye(2, DIM, dtype=np.float32)
OTHER = np.eye(3, DIM, dtype=np.float32)


@pytest.fixture(scope="module")
def own(weaviate_server: WeaviateServer) -> Iterator[Any]:
    """A client of Weaviate's own."""
    server = weaviate_server
    with weaviate.connect_to_local(
        host=server.host,
        port=server.port,
        grpc_port=server.grpc_port,
        skip_init_checks=True,
        auth_credentials=None if server.api_key is None else weaviate.auth.Auth.api_key(server.api_key),
    ) as client:
        yield client


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[lateint.Client]:
    with lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
        yield client


@pytest.fixture
def foreign(own: Any) -> Iterator[Callable[..., str]]:
    """Makes collections of others with two documents."""
    made: list[str] = []

    def collection(*properties: Property, encoding: Any = None) -> str:
        name = f"Beside_{uuid.uuid4().hex[:8]}"
        index = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.DOT)
        multi = Configure.MultiVectors.self_provided(name="colbert", vector_index_config=index, encoding=encoding)
        raw = own.collections.create(name, properties=list(properties), vector_config=[multi])
        made.append(name)
        objects = [DataObject(uuid=each, vector={"colbert": ROWS.tolist()}) for each in (FIRST, SECOND)]
        assert not raw.data.insert_many(objects).has_errors
        return name

    yield collection
    for name in made:
        own.collections.delete(name)


@pytest.fixture
def index(client: lateint.Client) -> Iterator[lateint.Index]:
    index = client.create_index(IndexSpec(f"beside-{uuid.uuid4().hex[:8]}", DIM, fields={"n": "integer"}))
    index.write([Document("a", ROWS, {"n": 1, "word": "x"}), Document("b", OTHER, {"n": 2**60})])
    yield index
    client.drop_index(index.name)


class TestOurs:
    """A class of lateint to which somebody else added something."""

    def test_properties_of_others(self, client: lateint.Client, index: lateint.Index, own: Any) -> None:
        """A change of the payload leaves them; that writing the document whole does not is said on opening."""
        raw = own.collections.use(index.info.native["access"].cls)
        raw.config.add_property(Property(name="note", data_type=DataType.TEXT))
        raw.config.add_vector(vector_config=[Configure.Vectors.self_provided(name="dense")])
        (name,) = [str(each.uuid) for each in raw.iterator() if each.properties["lateint_id"] == "a"]
        raw.data.update(uuid=name, properties={"note": "keep me"}, vector={"dense": [1.0, 2.0]})
        again = client.open(index.name)
        assert again.info.not_carried == ("vector 'dense' (hnsw)", "property 'note'")
        assert "property 'note'" in again.info.warnings[0]
        assert again.update_payload(["a"], {"n": None, "word": "y"}).written == 1
        kept = raw.query.fetch_object_by_id(name, include_vector=True)
        assert (kept.properties["note"], kept.properties["n"]) == ("keep me", None)
        assert kept.vector["dense"] == [1.0, 2.0]
        assert [document.payload for document in again.get(["a"])] == [{"n": None, "word": "y"}]
        assert again.count(lateint.field("n") == 1) == 0
        assert again.search(ROWS, 1)[0].score == pytest.approx(2)

    def test_scored_in_another_way(
        self, client: lateint.Client, weaviate_server: WeaviateServer, index: lateint.Index, monkeypatch: Any
    ) -> None:
        """A server that comes to score otherwise is noticed when the index is opened, by who did not create it."""
        true = wire.records

        def squashed(reply: Any, *, vector: str | None) -> list[wire.Record]:
            found = true(reply, vector=vector)
            return [
                wire.Record(each.uuid, each.properties, each.rows, each.distance / (1 + abs(each.distance)))
                for each in found
            ]

        monkeypatch.setattr(wire, "records", squashed)
        client.open(index.name).count()
        with (
            lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as another,
            pytest.raises(errors.SchemaMismatch, match="not scored as it should be"),
        ):
            another.open(index.name)

    def test_alias(self, client: lateint.Client, index: lateint.Index, own: Any) -> None:
        """It is another name to open by, and nothing else: dropping it would drop the documents."""
        name = f"alias_{uuid.uuid4().hex[:8]}"
        alias = name.capitalize()
        own.alias.create(alias_name=alias, target_collection=index.info.native["access"].cls)
        try:
            assert client.open(alias).spec == index.spec.replace(name=alias)
            opened = client.open(name)
            opened.write([Document("c", ROWS)])
            assert index.count() == 3
            with pytest.raises(errors.UnsupportedFeature, match=index.name):
                client.drop_index(alias)
            with pytest.raises(errors.IndexExists):
                client.create_index(IndexSpec(name, DIM))
        finally:
            own.alias.delete(alias_name=alias)
        assert index.count() == 3
        with pytest.raises(errors.IndexNotFound):
            client.open(alias)

    def test_one_row(self, client: lateint.Client) -> None:
        """A single row is a multi-vector like any other, also as the first document, and as a query of an empty index."""
        index = client.create_index(IndexSpec(f"beside-{uuid.uuid4().hex[:8]}", DIM))
        try:
            assert len(index.search(ROWS[:1])) == 0
            index.write([Document("one", ROWS[:1]), Document("three", OTHER)])
            for query in (ROWS[1:], OTHER):
                scores = {hit.id: hit.score for hit in index.search(query)}
                assert scores == pytest.approx({"one": maxsim(query, ROWS[:1]), "three": maxsim(query, OTHER)})
            (read,) = index.get(["one"], with_vectors=True)
            assert np.array_equal(read.vectors, ROWS[:1])
        finally:
            client.drop_index(index.name)


class TestTheirs:
    """Collections of others."""

    def test_without_multi_vector(self, foreign: Callable[..., str], client: lateint.Client, own: Any) -> None:
        """An object without one is read as such, reported as such, and never silently missing from a search."""
        name = foreign()
        own.collections.use(name).data.insert({}, uuid=THIRD)
        index = client.open(name)
        rows = {document.id: document.vectors for document in index.scan(with_vectors=True)}
        assert rows.keys() == {FIRST, SECOND, THIRD}
        assert rows[THIRD] is None
        assert np.array_equal(rows[FIRST], ROWS)
        assert [document.vectors is None for document in index.get([THIRD, FIRST], with_vectors=True)] == [True, False]
        report = lateint.verify(index)
        assert any("1 document" in warning for warning in report.warnings)
        assert report.wrong_score_count == 0
        result = index.search(ROWS, 3)
        assert {hit.id for hit in result} == {FIRST, SECOND}
        assert bool(result.warnings) is not result.exact

    def test_a_document_that_is_refused(self, foreign: Callable[..., str], client: lateint.Client, own: Any) -> None:
        """The others are written, and nothing of a document that failed stays changed."""
        name = foreign(Property(name="n", data_type=DataType.INT), Property(name="other", data_type=DataType.UUID))
        index = client.open(name, write=True)
        report = index.write(
            [
                Document(FIRST, OTHER, {"n": 5}),
                Document(SECOND, OTHER, {"n": 5, "other": "no uuid"}),
                Document(THIRD, OTHER),
            ]
        )
        assert (report.written, [failure.id for failure in report.failed]) == (2, [SECOND])
        assert "uuid" in report.failed[0].reason
        read = {document.id: document for document in index.scan(with_vectors=True)}
        for written in (FIRST, THIRD):
            assert np.array_equal(read[written].vectors, OTHER)
        assert np.array_equal(read[SECOND].vectors, ROWS)
        assert [read[each].payload for each in (FIRST, SECOND)] == [{"n": 5}, {}]
        assert {hit.id: hit.score for hit in index.search(OTHER)} == pytest.approx({FIRST: 3, SECOND: 2, THIRD: 3})
        report = index.update_payload([FIRST, SECOND], {"other": "no uuid"})
        assert (report.written, [failure.id for failure in report.failed]) == (0, [FIRST, SECOND])

    def test_blobs(self, foreign: Callable[..., str], client: lateint.Client, own: Any) -> None:
        """The server gives them to nobody who does not ask by name; that they are not carried is said."""
        name = foreign(Property(name="image", data_type=DataType.BLOB), Property(name="n", data_type=DataType.INT))
        raw = own.collections.use(name)
        image = base64.b64encode(b"an image").decode()
        raw.data.update(uuid=FIRST, properties={"image": image})
        index = client.open(name, write=True)
        assert index.info.not_carried == ("blob 'image'",)
        index.write([Document(FIRST, OTHER, {"n": 1})])
        kept = raw.query.fetch_object_by_id(FIRST, return_properties=["image", "n"])
        assert kept.properties == {"image": image, "n": 1}

    def test_bad_queries_with_muvera(self, foreign: Callable[..., str], client: lateint.Client) -> None:
        """By the engine's own client, one of another dimension makes the server panic, one without rows too."""
        index = client.open(foreign(encoding=Configure.VectorIndex.MultiVector.Encoding.muvera()))
        for query in (
            np.ones((1, DIM + 1)),
            np.ones((2, 0)),
            np.ones((0, DIM)),
            np.full((1, DIM), np.inf),
            [[1.0], [1, 2]],
        ):
            with pytest.raises(errors.InvalidInput):
                index.search(query)
        assert {hit.id: hit.score for hit in index.search(ROWS)} == pytest.approx({FIRST: 2, SECOND: 2})


class TestKeys:
    def test_that_cannot_be_sent(self, weaviate_server: WeaviateServer, monkeypatch: Any) -> None:
        """A key out of a file ends with a line break; the HTTP client would show it, and take it for a lost connection."""
        monkeypatch.setattr(httpx.Client, "request", lambda *_, **__: pytest.fail("sent"))
        for key in ("very-secret\n", "very-secré", "very\0secret"):
            with pytest.raises(errors.ConfigurationError) as caught:
                lateint.connect(weaviate_server.url, api_key=key)
            assert "very" not in str(caught.value)
            assert caught.value.__cause__ is None
