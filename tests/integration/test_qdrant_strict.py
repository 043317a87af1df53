"""What a collection or a server does not allow: kept to where it can be known before, and explained where it cannot."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import QdrantClient, models

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from tests.servers.discovery import QdrantServer
from tests.servers.qdrant import asking
from tests.servers.qdrant.answers import vector

DIM = 8
ROWS = np.eye(2, DIM, dtype=np.float32)
ONCE = RetryPolicy(attempts=1)


@dataclass(frozen=True)
class Place:
    """A client of lateint over one transport, one that everybody else uses, and a name that is gone afterwards."""

    client: lateint.Client
    plain: QdrantClient
    name: str
    transport: str

    def strict(self, **limits: Any) -> lateint.Index:
        """An index with twenty documents, whose owner has then turned strict mode on."""
        spec = IndexSpec(self.name, DIM, fields={"n": "integer", "note": "text"})
        self.client.create_index(spec).write(documents())
        return self.tightened(**limits)

    def tightened(self, **limits: Any) -> lateint.Index:
        config = models.StrictModeConfig(enabled=True, **limits)
        self.plain.update_collection(self.name, strict_mode_config=config)
        return self.client.open(self.name, write=True)

    def found(self, **params: Any) -> None:
        """A collection as somebody else would make it."""
        sharding = params.pop("sharding_method", None)
        self.plain.create_collection(
            self.name, vectors_config={"colbert": vector(DIM, **params)}, sharding_method=sharding
        )


@pytest.fixture(scope="module")
def plain(qdrant_server: QdrantServer) -> Iterator[QdrantClient]:
    client = asking.client(qdrant_server)
    yield client
    client.close()


@pytest.fixture(params=["grpc", "rest"])
def place(request: pytest.FixtureRequest, qdrant_server: QdrantServer, plain: QdrantClient) -> Iterator[Place]:
    name = f"strict-{uuid.uuid4().hex[:8]}"
    url = f"{qdrant_server.url}&transport={request.param}"
    with lateint.connect(url, api_key=qdrant_server.api_key, retry=ONCE) as client:
        yield Place(client, plain, name, request.param)
    plain.delete_collection(name)


def documents(number: int = 20) -> list[Document]:
    return [Document(f"d{n}", np.roll(ROWS, n, axis=1), {"n": n, "note": f"note {n}"}) for n in range(number)]


class TestKeptTo:
    """Limits that are read when the index is opened: what fits into them works, the rest is refused before it is sent."""

    def test_hits_and_pages(self, place: Place) -> None:
        index = place.strict(max_query_limit=7)
        assert len(index.search(ROWS, k=7)) == 7
        with pytest.raises(errors.InvalidInput, match="from 1 to 7"):
            index.search(ROWS, k=8)
        assert len({document.id for document in index.scan(with_vectors=True)}) == 20
        lateint.verify(index).raise_if_failed()

    def test_batches_of_documents(self, place: Place) -> None:
        index = place.strict(upsert_max_batchsize=3)
        assert index.write(documents(30)).written == 30
        assert index.update_payload([f"d{n}" for n in range(30)], {"n": 99}).written == 30
        assert index.count(field("n") == 99) == 30

    def test_batches_of_documents_of_others(self, place: Place) -> None:
        """A document that is there takes two requests, which have the same limit."""
        place.found()
        index = place.tightened(upsert_max_batchsize=3)
        for n in range(2):
            assert index.write([Document(str(k), ROWS, {"n": n}) for k in range(8 + n)]).written == 8 + n
        assert [document.payload for document in index.scan()] == [{"n": 1}] * 9

    def test_batches_of_queries(self, place: Place) -> None:
        if "search_max_batchsize" not in models.StrictModeConfig.model_fields:
            pytest.skip("this qdrant-client cannot ask for it")
        index = place.strict(search_max_batchsize=2)
        queries = [np.roll(ROWS, n, axis=1) for n in range(5)]
        assert [len(result) for result in index.search_many(queries, k=3)] == [3] * 5

    def test_rows(self, place: Place) -> None:
        index = place.strict(multivector_config={"lateint": models.StrictModeMultivector(max_vectors=2)})
        index.write([Document("fits", ROWS)])
        with pytest.raises(errors.DocumentTooLarge, match="'long'"):
            index.write([Document("long", np.eye(3, DIM))])
        assert index.count() == 21

    def test_filters(self, place: Place) -> None:
        """Equality of a `text` field is the one filter of an index of lateint that no payload index serves."""
        index = place.strict(unindexed_filtering_retrieve=False, unindexed_filtering_update=False)
        assert index.count((field("n") >= 10) & ~lateint.ids(["d10"])) == 9
        assert index.count(field("note").exists()) == 20
        index.delete(filter=field("n") == 3)
        for attempt in (
            lambda: index.count(field("note") == "note 4"),
            lambda: index.search(ROWS, filter=field("note") == "note 4"),
            lambda: next(index.scan(filter=field("note") == "note 4")),
            lambda: index.delete(filter=field("note") == "note 4"),
        ):
            with pytest.raises(errors.UnsupportedFeature, match=r"'note'.*payload index"):
                attempt()
        assert index.count() == 19

    def test_no_exact_search(self, place: Place) -> None:
        """Nothing can be searched without a graph then: said when the index is opened; everything else goes on."""
        index = place.strict(search_allow_exact=False)
        assert any("search_allow_exact" in warning for warning in index.info.warnings)
        for exact in (None, True, False):
            with pytest.raises(errors.UnsupportedFeature, match="search_allow_exact"):
                index.search(ROWS, exact=exact)
        assert len(list(index.scan(with_vectors=True))) == index.count() == 20
        assert index.update_payload(["d1"], {"n": 77}).written == 1


class TestExplained:
    """What only the server can know is its own to refuse; the error says that it is strict mode."""

    @pytest.mark.parametrize(
        ("limits", "attempt", "words"),
        [
            ({"filter_max_conditions": 1}, lambda index: index.count((field("n") > 1) & (field("n") < 9)), "condition"),
            ({"max_points_count": 20}, lambda index: index.write([Document("one more", ROWS)]), "points count"),
        ],
        ids=["conditions", "points"],
    )
    def test_left_to_the_server(
        self, place: Place, limits: dict[str, Any], attempt: Callable[[lateint.Index], Any], words: str
    ) -> None:
        index = place.strict(**limits)
        with pytest.raises(errors.UnexpectedResponse, match=rf"{words}.*strict mode") as caught:
            attempt(index)
        assert not caught.value.retryable
        assert index.count() == 20

    @pytest.mark.parametrize(
        ("limits", "attempt"),
        [
            ({"max_query_limit": 3}, lambda index: index.search(ROWS, k=9)),
            ({"search_allow_exact": False}, lambda index: index.search(ROWS)),
            ({"unindexed_filtering_retrieve": False}, lambda index: index.count(field("note") == "x")),
        ],
        ids=["k", "exact", "filter"],
    )
    def test_turned_on_later(
        self, place: Place, limits: dict[str, Any], attempt: Callable[[lateint.Index], Any]
    ) -> None:
        """An index that has been opened before does not know."""
        before = place.strict()
        place.tightened(**limits)
        with pytest.raises(errors.UnexpectedResponse, match="strict mode of the collection") as caught:
            attempt(before)
        assert not caught.value.retryable


class TestTooLarge:
    def test_payload(self, place: Place) -> None:
        """One document may be larger than any batch. REST takes 32 MB of JSON; the error says where more goes through."""
        index = place.client.create_index(IndexSpec(place.name, DIM))
        large = Document("large", ROWS, {"text": "x" * (33 * 2**20)})
        if place.transport == "grpc":
            assert index.write([large]).written == 1
        else:
            with pytest.raises(errors.UnexpectedResponse, match=r"larger than allowed.*transport=grpc") as caught:
                index.write([large])
            assert not caught.value.retryable
            assert caught.value.report is not None
            assert caught.value.report.written == index.count() == 0

    def test_number(self, place: Place) -> None:
        """JSON has numbers that float32 has not. A server stores infinity for them, which would lead every ranking."""
        place.found()
        point = models.PointStruct(id=7, vector={"colbert": [[1e39, *[0.0] * (DIM - 1)]]}, payload={})
        place.plain.upsert(place.name, [point], wait=True)
        with pytest.raises(errors.UnexpectedResponse, match="NaN or infinities"):
            place.client.open(place.name).search(ROWS[:1])
        with pytest.raises(errors.NonFiniteVector, match="document '7'"):
            lateint.verify(place.client.open(place.name))
        with pytest.raises(errors.NonFiniteVector):
            place.client.open(place.name, write=True).write([Document("8", np.full((1, DIM), 1e39))])


class TestNotCarried:
    def test_whole_numbers(self, place: Place) -> None:
        """Floats cannot be written into uint8, and what is read of it is not what an encoder gave."""
        place.found(datatype=models.Datatype.UINT8)
        with pytest.raises(errors.UnsupportedFeature, match="uint8"):
            place.client.open(place.name)

    def test_shard_keys(self, place: Place) -> None:
        """Read, and not written: a document without its shard key would end up where nobody looks for it."""
        try:
            place.found(sharding_method=models.ShardingMethod.CUSTOM)
        except Exception as error:  # noqa: BLE001 - of whatever client
            pytest.skip(f"this server has no shard keys: {error}")
        index = place.client.open(place.name)
        assert index.count() == 0
        with pytest.raises(errors.LateintError, match="shard key"):
            place.client.open(place.name, write=True).write([Document("7", ROWS)])
