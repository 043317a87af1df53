"""What stays right over restarts, kills and time-outs, by every way to a server: whole indexes, held against the truth."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import weaviate
from weaviate.classes.config import Configure, VectorDistances

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.scoring import maxsim, tolerance
from lateint.vectors import normalized
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

Write = Callable[[list[Document]], lateint.WriteReport]
Way = Callable[..., AbstractContextManager[Write]]

MESSAGE = 3 * 2**20
"""Bytes of the largest message of this server: fewer than the answers that its documents would fill."""

ROWS, DIM, COUNT = 200, 64, 40
SPEC = IndexSpec("pages", DIM, fields={"n": "integer"})


def documents(*shape: int, seed: int = 0) -> list[Document]:
    """Documents of random rows.

    Args:
        shape: documents, rows, dimensions.
        seed: of the random numbers.
    """
    rows = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return [Document(f"page-{n}", normalized(each), {"n": n}) for n, each in enumerate(rows)]


def check(index: lateint.Index, given: list[Document]) -> None:
    """It holds these documents, each as it was given and scored right, by everything that finds documents."""
    report = lateint.verify(index, against=given)
    report.raise_if_failed()
    assert (report.exact, report.queries, report.documents) == (True, min(20, len(given)), len(given))
    assert report.scores_compared == report.queries * len(given)
    assert index.count(field("n") >= 0) == index.count(~(field("n") < 0)) == len(given)


def options(server: Server, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port, "grpc_port": server.grpc_port, "skip_init_checks": True, **more}


@contextmanager
def borrowed(server: Server, **more: Any) -> Iterator[lateint.Client]:
    """A client over one of Weaviate's own."""
    with weaviate.connect_to_local(**options(server)) as own, lateint.connect(own, **more) as client:
        yield client


@pytest.fixture(scope="module")
def server(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("lasting"), settings={"GRPC_MAX_MESSAGE_SIZE": str(MESSAGE)}) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[lateint.Client]:
    """A client of a server without indexes."""
    with lateint.connect(server.url) as client:
        for name in client.list_indexes():
            client.drop_index(name)
        yield client


class TestWhole:
    def test_a_thousand_documents(self, server: Server, client: lateint.Client) -> None:
        """Every score of 20 queries is true after a restart, over connections of our own and over a borrowed client's.

        A query or a document of another dimension breaks a collection that has just been loaded; it never gets there.
        """
        given = documents(1000, 12, 32)
        client.create_index(SPEC.replace(dim=32)).write(given)
        client.create_index(SPEC.replace(name="empty", dim=32))
        server.restart()
        with lateint.connect(server.url) as another, borrowed(server) as lent:
            for name in ("empty", "pages"):
                index = another.open(name)
                for wrong in (np.ones((1, 33)), np.ones((2, 31)), [[1.0], [1.0, 2.0]], np.full((1, 32), np.inf)):
                    with pytest.raises(errors.InvalidInput):
                        index.search(wrong)
                    with pytest.raises(errors.InvalidInput):
                        index.write([Document("wrong", wrong)])
            assert another.open("empty").count() == 0
            check(another.open("pages"), given)
            check(lent.open("pages"), given)

    def test_answers_larger_than_a_message(self, client: lateint.Client) -> None:
        """All of it comes, in as many answers as it takes, and goes in as many requests."""
        given = documents(12, 800, 128)
        index = client.create_index(SPEC.replace(dim=128))
        assert sum(each.vectors.nbytes for each in given) > 1.5 * MESSAGE
        assert index.write(given).written == len(given)
        for found in (
            index.get([each.id for each in given], with_vectors=True),
            list(index.scan(with_vectors=True)),
            list(index.scan(with_vectors=True, filter=field("n") >= 0)),
            list(index.search(given[0].vectors[:4], 12, with_vectors=True)),
        ):
            assert len(found) == len(given)
            rows = {each.id: each.vectors for each in found}
            assert all(np.array_equal(np.asarray(rows[each.id]), each.vectors) for each in given)
        report = index.write([*given[:2], Document("large", given[0].vectors, {"text": "x" * MESSAGE})])
        assert (report.written, [failure.id for failure in report.failed]) == (2, ["large"])
        report = index.update_payload(["page-0", "page-1"], {"text": "x" * MESSAGE})
        assert (report.written, "GRPC_MAX_MESSAGE_SIZE" in report.failed[0].reason) == (0, True)
        check(index, given)


class TestDeleted:
    def test_more_than_the_server_deletes_at_once(self, server: Server, client: lateint.Client) -> None:
        """A server deletes 10,000 documents by a call and says nothing of the rest; and forgets it all in a kill."""
        given = [Document(f"page-{n}", np.ones((1, 2)), {"n": n}) for n in range(10_400)]
        index = client.create_index(SPEC.replace(dim=2))
        assert index.write(given).written == len(given)
        assert index.count() == index.count(field("n") >= 0) == len(given)
        index.delete(filter=field("n") >= 20)
        index.delete(["page-0"])
        server.restart()
        with lateint.connect(server.url) as another:
            check(another.open("pages"), given[1:20])


@contextmanager
def lent(server: Server, grpc_port: int, **more: Any) -> Iterator[Write]:
    own = weaviate.connect_to_local(**options(server, grpc_port=grpc_port))
    with own, lateint.connect(own, **more) as client:
        yield client.open("pages").write


@contextmanager
def asynchronous(server: Server, grpc_port: int, **more: Any) -> Iterator[Write]:
    url = f"weaviate://127.0.0.1:{server.port}?grpc_port={grpc_port}"
    with asyncio.Runner() as runner:
        client = runner.run(lateint.aconnect(url, **more))
        index = runner.run(client.open("pages"))
        yield lambda given: runner.run(index.write(given))
        runner.run(client.close())


@contextmanager
def lent_asynchronous(server: Server, grpc_port: int, **more: Any) -> Iterator[Write]:
    own = weaviate.use_async_with_local(**options(server, grpc_port=grpc_port))
    with asyncio.Runner() as runner:
        runner.run(own.connect())
        client = runner.run(lateint.aconnect(own, **more))
        index = runner.run(client.open("pages"))
        yield lambda given: runner.run(index.write(given))
        runner.run(client.close())
        runner.run(own.close())


@pytest.mark.parametrize("way", [lent, asynchronous, lent_asynchronous])
class TestHealed:
    """By the other ways to a server; `test_weaviate_faults` has the blocking one over connections of its own."""

    def test_time_outs(self, server: Server, client: lateint.Client, way: Way) -> None:
        """Shorter than a batch takes: requests become smaller until all is written, and scored right."""
        index = client.create_index(SPEC)
        given = documents(COUNT, ROWS, DIM, seed=1)
        policy = RetryPolicy(attempts=30, longest_s=0.5, total_s=300)
        with way(server, server.grpc_port, timeout_s=0.1, retry=policy) as write:
            report = write(given)
        assert (report.written, report.failed) == (COUNT, ())
        assert report.retries
        check(index, given)

    def test_kill(self, server: Server, client: lateint.Client, way: Way) -> None:
        """What was acknowledged is scored right, and what was not is once it has been written again."""
        client.create_index(SPEC)
        given = documents(COUNT, ROWS, DIM, seed=2)
        size, ended = sum(each.vectors.nbytes for each in given), threading.Event()

        def kill() -> None:
            while proxy.passed["requests"] < size and not ended.wait(0.005):  # then the last of it is being indexed
                pass
            server.kill()

        with (
            Proxy(server.grpc_port) as proxy,
            way(server, proxy.port, retry=RetryPolicy(attempts=1)) as write,
        ):
            killing = threading.Thread(target=kill)
            killing.start()
            try:
                report = write(given)
            except errors.BackendError as error:
                report = vars(error)["report"]
            ended.set()
            killing.join()
            server.start()
            failed = {failure.id for failure in report.failed}
            query = given[0].vectors[:8]
            with lateint.connect(server.url) as another:
                scores = {hit.id: hit.score for hit in another.open("pages").search(query, 1000)}
            for each in given:
                if each.id not in failed:
                    true = maxsim(query, each.vectors)
                    assert scores[each.id] == pytest.approx(true, abs=tolerance(rows=8, dim=DIM, score=true), rel=0)
            again(write, given)
        with lateint.connect(server.url) as another:
            check(another.open("pages"), given)


def again(write: Write, given: list[Document]) -> None:
    """Write once the connection is back: it may find out only now that it was lost."""
    deadline = time.monotonic() + 60
    while True:
        try:
            assert write(given).written == len(given)
        except errors.ConnectionFailed:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


class TestBackground:
    """A server that indexes behind its own back."""

    def test_collections_of_others(self, own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> None:
        """Until all is indexed every result says so; a write through lateint waits; `dynamic` holds no multi-vectors."""
        folder = tmp_path_factory.mktemp("background")
        index = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.DOT)
        multi = Configure.MultiVectors.self_provided
        given = [Document(str(uuid.UUID(int=n + 1)), each.vectors) for n, each in enumerate(documents(20, 50, DIM))]
        with (
            own_weaviate(folder, settings={"ASYNC_INDEXING": "true"}) as server,
            weaviate.connect_to_local(**options(server)) as own,
            lateint.connect(server.url) as client,
        ):
            own.collections.create(
                "Growing", vector_config=[multi(name="a", vector_index_config=Configure.VectorIndex.dynamic())]
            )
            with pytest.raises(errors.SchemaMismatch, match="dynamic"):
                client.open("Growing")
            raw = own.collections.create("Articles", vector_config=[multi(name="colbert", vector_index_config=index)])
            for each in given[:10]:
                raw.data.insert({}, uuid=each.id, vector={"colbert": each.vectors.tolist()})
            deadline = time.monotonic() + 60
            while (articles := client.open("Articles", write=True)).info.warnings:
                assert articles.search(given[0].vectors, 10).warnings
                assert time.monotonic() < deadline
                time.sleep(0.05)
            lateint.verify(articles, against=given[:10]).raise_if_failed()
            articles.write(given[5:])
            lateint.verify(articles, against=given).raise_if_failed()
