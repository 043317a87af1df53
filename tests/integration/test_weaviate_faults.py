"""Kills, time-outs and bad input on a real server: what was acknowledged is there and scored right, and the rest heals.

The server itself loses entries of its indexes in all of these, and does not find them again when the same is written.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import lateint
from lateint import Document, Index, IndexSpec, RetryPolicy, errors, field
from lateint.scoring import maxsim, tolerance
from lateint.types import SearchRequest
from lateint.vectors import normalized
from lateint_weaviate import journal, sync
from tests.servers.discovery import WeaviateServer

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

DIM, ROWS, COUNT = 64, 200, 48
ONCE = RetryPolicy(attempts=1)
SPEC = IndexSpec("pages", DIM, fields={"n": "integer", "kind": "keyword"})


def documents(seed: int) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [
        Document(
            f"page-{n}",
            normalized(rng.standard_normal((ROWS, DIM)).astype(np.float32)),
            {"n": n, "kind": f"k{n % 3}", "version": seed},
        )
        for n in range(COUNT)
    ]


def check(index: Index, expected: list[Document], *, others: bool = False) -> None:
    """Every document is found by everything that finds documents, as it was written, with its true score."""
    rng = np.random.default_rng(1)
    for query in (normalized(rng.standard_normal((8, DIM)).astype(np.float32)) for _ in range(3)):
        result = index.search(query, 1000)
        scores = {hit.id: hit.score for hit in result}
        for document in expected:
            true = maxsim(query, document.vectors)
            assert scores[document.id] == pytest.approx(true, abs=tolerance(rows=8, dim=DIM, score=true), rel=0)
    read = {document.id: document for document in index.get([each.id for each in expected], with_vectors=True)}
    for document in expected:
        assert np.array_equal(read[document.id].vectors, document.vectors)
        assert read[document.id].payload == document.payload
    if others:
        return
    assert index.count() == len(expected) == len(list(index.scan()))
    assert index.count(field("n") >= 0) == len(expected)
    for kind in ("k0", "k1", "k2"):
        having = {document.id for document in expected if document.payload["kind"] == kind}
        assert index.count(field("kind") == kind) == len(having)
        assert index.count(~(field("kind") == kind)) == len(expected) - len(having)
        assert {document.id for document in index.scan(filter=field("kind") == kind)} == having


def acknowledged(index: Index, given: list[Document]) -> list[Document]:
    """Those of which a report says that they were written."""
    try:
        failures = index.write(given).failed
    except errors.BackendError as error:
        failures = error.report.failed if error.report is not None else pytest.fail("no report")
    failed = {failure.id for failure in failures}
    return [document for document in given if document.id not in failed]


@pytest.fixture(scope="module")
def server(own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_weaviate(tmp_path_factory.mktemp("faults")) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[lateint.Client]:
    """A client of a server without indexes."""
    with lateint.connect(server.url, retry=ONCE) as client:
        for name in client.list_indexes():
            client.drop_index(name)
        yield client


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers that died are taken for dead at once, as they would be a little later."""
    monkeypatch.setattr(journal, "GRACE_S", 1.0)


Killing = Callable[[Callable[[], list[Document]], int], list[Document]]


@pytest.fixture
def kill_during(server: Server, monkeypatch: pytest.MonkeyPatch) -> Killing:
    """Does something, kills the server while a given call of it goes out, and starts the server again."""

    def kill_during(work: Callable[[], list[Document]], call: int) -> list[Document]:
        sent, moment, send = itertools.count(1), threading.Event(), sync.Own.rpc

        def counting(self: sync.Own, *arguments: Any) -> Any:
            if next(sent) == call:
                moment.set()
            return send(self, *arguments)

        with monkeypatch.context() as patched, ThreadPoolExecutor(1) as pool:
            patched.setattr(sync.Own, "rpc", counting)
            working = pool.submit(work)
            assert moment.wait(60), f"{work} makes no call number {call}"
            server.kill()
            done = working.result()
        server.start()
        return done

    return kill_during


@pytest.mark.usefixtures("_impatient")
class TestKilled:
    @pytest.mark.parametrize("call", [2, 5, 6, 7])
    def test_while_writing(self, server: Server, client: lateint.Client, kill_during: Killing, call: int) -> None:
        """What was acknowledged survives; the rest is healed by writing it again from another process.

        Breaks when: the last batch before the kill is acknowledged before the server keeps its index, or the same
        vectors are sent again and not indexed again.
        """
        index, given = client.create_index(SPEC), documents(call)
        done = kill_during(lambda: acknowledged(index, given), call)
        with lateint.connect(server.url) as another:
            index = another.open("pages")
            check(index, done, others=True)
            index.write(given)
            check(index, given)

    @pytest.mark.parametrize("trial", range(2))
    def test_after_writing(self, server: Server, client: lateint.Client, trial: int) -> None:
        """A write that returned is in the index for good.

        Breaks when: a write does not end with something that makes the server keep its index.
        """
        given = documents(trial)
        client.create_index(SPEC).write(given)
        server.restart()
        with lateint.connect(server.url) as another:
            check(another.open("pages"), given)

    @pytest.mark.parametrize(
        ("seed", "call"),  # what follows a batch that was taken and is not kept yet
        [(None, 6), (None, 7), (0, 9), (0, 10), (1, 9), (1, 13)],
        ids=["new-6", "new-7", "same-9", "same-10", "changed-9", "changed-13"],
    )
    def test_healed_by_another_write(
        self, server: Server, client: lateint.Client, kill_during: Killing, call: int, seed: int | None
    ) -> None:
        """Opening and searching say what a kill may have damaged, and writing anything heals all that is stored.

        Breaks when: nothing durable says what was being written, so that documents which had been acknowledged before
        are missing from answers that look whole; or the server takes what heals them for unchanged.
        """
        index, given = client.create_index(SPEC), documents(seed or 0)
        if seed is not None:
            index.write(documents(0))
        kill_during(lambda: acknowledged(index, given), call)
        with lateint.connect(server.url) as another:
            index = another.open("pages")
            stored = list(index.scan(with_vectors=True))
            assert seed is None or {document.id for document in stored} == {document.id for document in given}
            silent = not index.info.warnings
            for limit in (5, 1000):
                result = index.search(stored[0].vectors[:4], limit) if stored else None
                silent = silent or (result is not None and result.exact)
            if silent:  # then the kill came before the first, or after the last of it
                check(index, stored, others=True)
            index.write([Document("other", given[0].vectors)])
            check(index, list(index.scan(with_vectors=True)), others=True)
            index.delete(["other"])
            assert index.search(given[0].vectors[:4]).exact
            assert not another.open("pages").info.warnings
            index.write(given)
            check(index, given)


class TestBeside:
    """Searches beside a writer."""

    @pytest.mark.parametrize("again", [False, True], ids=["new", "again"])
    def test_exact_answers_are_right(self, server: Server, client: lateint.Client, again: bool) -> None:
        """Whatever a search says to be exact has the true scores of all documents that were there before.

        Breaks when: the moments in which the server scores a document by some of its rows, or not at all, go unnoticed.
        """
        index, given = client.create_index(SPEC), documents(0)
        query = given[0].vectors[:4]
        true = {document.id: maxsim(query, document.vectors) for document in given}
        if again:
            index.write(given)
        writing = threading.Thread(target=lambda: [index.write(given[n : n + 6]) for n in range(0, COUNT, 6)])
        with lateint.connect(server.url) as another:
            reading, doubted = another.open("pages"), 0
            writing.start()
            while writing.is_alive():
                result = reading.search(query, 1000)
                doubted += not result.exact
                assert result.exact or result.warnings
                if result.exact:
                    assert not again or len(result.hits) == COUNT
                    for hit in result:
                        allowed = tolerance(rows=4, dim=DIM, score=true[hit.id])
                        assert hit.score == pytest.approx(true[hit.id], abs=allowed, rel=0)
            writing.join()
            assert doubted
            assert reading.search(query).exact

    def test_taken_for_dead(self, server: Server, client: lateint.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """A writer that another one took for dead, and whose documents that one put back, notices and writes again.

        Breaks when: both have acknowledged, and the older version stands.
        """
        client.create_index(SPEC).write(documents(0))
        given, policy = documents(1), RetryPolicy(attempts=30, longest_s=0.2, total_s=60)
        with (
            lateint.connect(server.url, retry=policy) as slow,
            lateint.connect(server.url, retry=policy) as another,
        ):
            backend: Any = another._backend
            hasty, begun = backend._verbs.memory.left, journal.begun

            def beginning(cls: str, entry: str, objects: Iterable[str], left: set[str], timeout_s: float) -> Any:
                """As it is, but one of both takes all others for dead."""
                if left is hasty:
                    left |= {each.uuid for each in (yield from journal.looked(cls)).entries}
                return (yield from begun(cls, entry, objects, left, timeout_s))

            monkeypatch.setattr(journal, "begun", beginning)
            index, other = slow.open("pages"), another.open("pages")
            done: list[list[Document]] = []
            writing = threading.Thread(target=lambda: done.append(acknowledged(index, given)))
            writing.start()
            for _ in range(3):
                other.write([Document("other", given[0].vectors)])
            writing.join()
            assert done == [given]
            check(other, given, others=True)


class TestRestarted:
    def test_negation(self, server: Server, client: lateint.Client) -> None:
        """After a restart the server takes what was deleted for something that passes a negation."""
        index, given = client.create_index(SPEC), documents(0)
        index.write(given)
        index.write(given[:20])
        index.delete([document.id for document in given[50:]])
        server.stop()
        server.start()
        with lateint.connect(server.url) as another:
            check(another.open("pages"), given[:50])


class TestTimeouts:
    @pytest.mark.parametrize("timeout_s", [0.1, 0.3])
    def test_retried(self, server: Server, client: lateint.Client, timeout_s: float) -> None:
        """Time-outs shorter than a batch takes: requests become smaller until all is written, and scored right.

        Breaks when: the same batch goes out again, and again takes too long; or is taken for written as it stands.
        """
        client.create_index(SPEC)
        given = documents(2)
        policy = RetryPolicy(attempts=30, longest_s=0.5, total_s=300)
        with lateint.connect(server.url, timeout_s=timeout_s, retry=policy) as hasty:
            report = hasty.open("pages").write(given)
        assert (report.written, report.failed) == (COUNT, ())
        check(client.open("pages"), given)

    @pytest.mark.usefixtures("_impatient")
    def test_given_up(self, server: Server, client: lateint.Client) -> None:
        """What is given up is reported, seen on opening or searching, and healed by writing it again elsewhere."""
        client.create_index(SPEC)
        given = documents(3)
        with lateint.connect(server.url, timeout_s=0.1, retry=ONCE) as hasty:
            known = acknowledged(hasty.open("pages"), given)
        assert len(known) < COUNT
        with lateint.connect(server.url) as another:
            index = another.open("pages")
            result = index.search(given[0].vectors[:4], 1000)
            assert not result.exact
            assert result.warnings
            index.write(given)
            check(index, given)


class TestBackground:
    def test_indexing_behind_its_back(
        self, own_weaviate: type[Server], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A server that indexes in the background is waited for: a write that returned is found by the next search."""
        given = documents(4)
        folder = tmp_path_factory.mktemp("background")
        with (
            own_weaviate(folder, settings={"ASYNC_INDEXING": "true"}) as server,
            lateint.connect(server.url) as client,
        ):
            index = client.create_index(SPEC)
            index.write(given)
            check(index, given)
            index.write(given[:10])
            check(index, given)


class TestPoison:
    """Input that breaks a collection for good, by the engine's own client, is refused before it is sent."""

    @pytest.fixture
    def index(self, weaviate_server: WeaviateServer) -> Iterator[Index]:
        with lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
            index = client.create_index(SPEC.replace(name="poison", fields={}))
            yield index
            client.drop_index("poison")

    @pytest.mark.parametrize(
        "vectors",
        [
            np.ones((2, DIM + 1), dtype=np.float32),
            np.empty((0, DIM), dtype=np.float32),
            np.full((2, DIM), np.nan, dtype=np.float32),
            np.ones((1, 2 * DIM), dtype=np.float32)[:, ::2],
            np.ones((2, DIM), dtype=np.float64),
            np.ones(DIM, dtype=np.float32),
            np.ones((65_536, DIM), dtype=np.float32),
        ],
        ids=["dimension", "empty", "nan", "strided", "float64", "one-dimensional", "rows"],
    )
    def test_behind_the_pipelines(self, index: Index, vectors: np.ndarray) -> None:
        """Also by whoever calls the backend itself: first documents, later ones, and queries on an empty collection."""
        backend = index._client._backend
        good = Document("good", normalized(np.eye(2, DIM, dtype=np.float32)))
        request = SearchRequest(query=vectors)
        for _ in range(2):
            with pytest.raises(errors.InvalidInput):
                backend.write(index.info, [Document("bad", vectors)])
            if len(vectors) < 65_536:
                with pytest.raises(errors.InvalidInput):
                    backend.search(index.info, [request])
            index.write([good])
            assert index.count() == 1
            assert index.search(good.vectors)[0].score == pytest.approx(2)
