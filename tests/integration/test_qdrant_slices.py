"""Slices of a scan and the version of the server: one before 1.19 must never see one.

Over gRPC such a server reads past a slice and answers with everything, which would give each worker the whole index.
Runs against the double, the only server whose version can be chosen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
pytest.importorskip("qdrant_edge", reason="the double runs on the engine of lateint[edge]")

from qdrant_client import QdrantClient, models

import lateint
from lateint import Document, Feature, IndexSpec, Slice, errors
from tests.servers.qdrant.double import Double

NAME = "pages"
HALF = Slice(index=0, count=2)


@pytest.fixture(params=["grpc", "rest"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """The last one that does not know slices, with an index of twenty documents."""
    with Double(tmp_path_factory.mktemp("older"), version="1.18.3") as server:
        with lateint.connect(url_of(server, "grpc")) as client:
            index = client.create_index(IndexSpec(NAME, 4))
            index.write(Document(f"d{n}", np.ones((1, 4))) for n in range(20))
        yield server


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """The first one that does."""
    with Double(tmp_path_factory.mktemp("newer"), version="1.19.0") as server:
        yield server


def url_of(server: Double, transport: str) -> str:
    return f"qdrant://127.0.0.1:{server.rest_port}?grpc_port={server.grpc_port}&transport={transport}"


class TestOlder:
    def test_nothing_is_sent(self, older: Double, transport: str) -> None:
        """Refused with the version that could, before any page is asked for."""
        older.clear()
        with lateint.connect(url_of(older, transport)) as client:
            assert Feature.SCAN_SLICES not in client.capabilities().features
            index = client.open(NAME)
            with pytest.raises(errors.UnsupportedFeature, match=r"before 1\.19: scan in slices") as caught:
                index.scan(part=HALF)
            assert caught.value.since == "1.19"
            assert "Points/Scroll" not in "".join(older.calls())
            assert len(list(index.scan())) == 20

    def test_nothing_is_sent_by_asyncio(self, older: Double, transport: str) -> None:
        """As blocking."""

        async def steps() -> None:
            async with await lateint.aconnect(url_of(older, transport)) as client:
                index = await client.open(NAME)
                with pytest.raises(errors.UnsupportedFeature, match=r"before 1\.19"):
                    index.scan(part=HALF)

        asyncio.run(steps())

    def test_through_a_client_of_ones_own(self, older: Double, transport: str) -> None:
        """The version is that of the server, whoever connected."""
        grpc = transport == "grpc"
        own = QdrantClient(url=older.rest_url, grpc_port=older.grpc_port, prefer_grpc=grpc, check_compatibility=False)
        with closing(own), pytest.raises(errors.UnsupportedFeature, match=r"before 1\.19"):
            lateint.connect(own).open(NAME).scan(part=HALF)

    def test_older_client(self, newer: Double, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client before 1.19 has no words for a slice, whatever the server knows; the message names the client."""
        monkeypatch.delattr(models, "SliceCondition")
        with lateint.connect(url_of(newer, transport)) as client:
            index = client.create_index(IndexSpec(f"older-client-{transport}", 4))
            with pytest.raises(errors.UnsupportedFeature, match=r"before qdrant-client 1\.19: scan in slices"):
                index.scan(part=HALF)


class TestNewer:
    def test_native_ids(self, newer: Double, transport: str) -> None:
        """A collection that lateint did not create, with whole numbers for ids."""
        name = f"native-{transport}"
        multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        params = models.VectorParams(size=4, distance=models.Distance.DOT, multivector_config=multi)
        with closing(QdrantClient(url=newer.rest_url, check_compatibility=False)) as own:
            own.create_collection(name, vectors_config={"colbert": params})
            own.upsert(name, [models.PointStruct(id=n, vector={"colbert": [[1.0, 0, 0, 0]]}) for n in range(100)])
        with lateint.connect(url_of(newer, transport)) as client:
            index = client.open(name)
            parts = [{document.id for document in index.scan(part=Slice(index=n, count=4))} for n in range(4)]
        assert all(parts)
        assert sum(map(len, parts)) == 100
        assert set.union(*parts) == {str(n) for n in range(100)}

    def test_under_strict_mode(self, newer: Double, transport: str) -> None:
        """A slice needs no payload index, where filters on anything else do."""
        name = f"strict-{transport}"
        with lateint.connect(url_of(newer, transport)) as client:
            client.create_index(IndexSpec(name, 4)).write(Document(f"d{n}", np.ones((1, 4))) for n in range(50))
            with closing(QdrantClient(url=newer.rest_url, check_compatibility=False)) as own:
                strict = models.StrictModeConfig(enabled=True, unindexed_filtering_retrieve=False, max_query_limit=7)
                own.update_collection(name, strict_mode_config=strict)
            index = client.open(name)
            found = [document.id for n in range(3) for document in index.scan(part=Slice(index=n, count=3))]
        assert sorted(found) == sorted(f"d{n}" for n in range(50))

    def test_to_another_process_over_the_other_transport(self, newer: Double) -> None:
        """The place of a worker is its cursor: it goes on wherever the slice is the same."""
        with lateint.connect(url_of(newer, "grpc")) as client, lateint.connect(url_of(newer, "rest")) as other:
            index = client.create_index(IndexSpec("moved", 4))
            index.write(Document(f"d{n}", np.ones((1, 4))) for n in range(200))
            scan = index.scan(part=HALF)
            before = [next(scan).id for _ in range(40)]
            after = [document.id for document in other.open("moved").scan(part=HALF, cursor=scan.cursor)]
            assert {*before, *after} == {document.id for document in index.scan(part=HALF)}
