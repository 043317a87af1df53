"""Vespa killed, silent, slow, or in trouble while it deploys: bounded time, and everything acknowledged is there after."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.aclient import AsyncIndex
from lateint.client import Index
from lateint.scoring import maxsim, tolerance
from lateint.vectors import normalized
from lateint_vespa import probing
from lateint_vespa.schema import CAPABILITIES
from lateint_vespa.transport import Transport
from tests.servers.proxy import Proxy
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM, COUNT = 16, 200
SPEC = IndexSpec("outages", DIM, fields={"n": "integer"})
ONCE = RetryPolicy(attempts=1)
QUICK = RetryPolicy(attempts=5, base_s=0.01, longest_s=0.05, total_s=60.0)
BOUND_S = 15.0
"""For a verb with a time-out of 0.3 s: far above what it takes, far below as many time-outs one after the other."""


def documents(version: int = 1) -> list[Document]:
    rng = np.random.default_rng(version)
    return [
        Document(
            f"d{n}",
            normalized(rng.standard_normal((5, DIM)).astype(np.float32)),
            {"n": n, "version": version},
        )
        for n in range(COUNT)
    ]


NAMES = [document.id for document in documents()]
QUERY = normalized(np.random.default_rng(0).standard_normal((4, DIM)).astype(np.float32))


def same(read: Document, written: Document) -> bool:
    return read.payload == written.payload and np.array_equal(read.vectors, written.vectors)


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one index."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        with lateint.connect(server.url) as client:
            client.create_index(SPEC)
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Control]:
    """Of a server with documents of the first version."""
    control: Control = server.control
    control.clear()
    control.drop_documents()
    with lateint.connect(server.url) as client:
        client.open("outages").write(documents())
    control.clear()
    yield control
    control.clear()


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(CAPABILITIES, max_batch_bytes=5_000, max_in_flight=2)
    monkeypatch.setattr(probing, "CAPABILITIES", small)


VERBS: dict[str, Callable[[Index], Any]] = {
    "search": lambda index: index.search(QUERY),
    "search_many": lambda index: index.search_many([QUERY] * 32),
    "count": lambda index: index.count(),
    "get": lambda index: index.get(NAMES),
    "scan": lambda index: list(index.scan(with_vectors=True)),
    "write": lambda index: index.write(documents(2)),
    "update_payload": lambda index: index.update_payload(NAMES, {"n": 1}),
    "delete": lambda index: index.delete(NAMES),
    "delete by filter": lambda index: index.delete(filter=field("n") > 0),
}


class TestSilence:
    @pytest.mark.parametrize("way", ["requests", "replies"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_is_given_up_on(self, server: Server, control: Control, verb: str, way: Any) -> None:
        """A server that takes calls and says nothing, as behind a firewall: `Timeout`, and no call for each document.

        Breaks when: each of many documents waits for its own time-out; a thousand ids would take an hour.
        """
        with Proxy(server.port) as proxy:
            url = f"vespa://127.0.0.1:{proxy.port}?config_port={server.config_port}"
            with lateint.connect(url, timeout_s=0.3, retry=ONCE) as client:
                index = client.open("outages")
                proxy.hold(way)
                began = time.monotonic()
                with pytest.raises(errors.Timeout) as caught:
                    VERBS[verb](index)
                assert time.monotonic() - began < BOUND_S
                if verb == "write":
                    report = caught.value.report
                    assert report is not None
                    assert (report.written, len(report.failed)) == (0, COUNT)
                proxy.release()

    @pytest.mark.parametrize("verb", ["get", "write", "update_payload", "delete"])
    def test_behind_the_container(self, server: Server, control: Control, verb: str) -> None:
        """As when the content nodes are down: the container says so each time, at the end of its time."""
        with lateint.connect(server.url, timeout_s=0.3, retry=ONCE) as client:
            index = client.open("outages")
            control.clear()
            control.fault("document", outcome="TIMEOUT", delay_ms=250, times=-1)
            with pytest.raises(errors.Timeout):
                VERBS[verb](index)
            assert sum(count for name, count in control.calls().items() if "document" in name) < COUNT // 2

    def test_while_connecting(self, server: Server) -> None:
        with Proxy(server.port) as proxy, Proxy(server.config_port) as config:
            proxy.hold()
            config.hold()
            began = time.monotonic()
            with pytest.raises(errors.BackendError) as caught:
                lateint.connect(f"vespa://127.0.0.1:{proxy.port}?config_port={config.port}", timeout_s=0.3)
            assert isinstance(caught.value, (errors.Timeout, errors.ConnectionFailed))
            assert time.monotonic() - began < BOUND_S
            proxy.release()
            config.release()

    def test_of_the_config_server(self, server: Server, control: Control) -> None:
        """Which reading does not need: an index that is open is searched as before."""
        with Proxy(server.config_port) as config:
            url = f"vespa://127.0.0.1:{server.port}?config_port={config.port}"
            with lateint.connect(url, timeout_s=1.0, retry=ONCE) as client:
                index = client.open("outages")
                config.hold()
                assert len(index.search(QUERY)) == 10
                assert len(index.get(NAMES[:3])) == 3
                began = time.monotonic()
                with pytest.raises((errors.Timeout, errors.ConnectionFailed)):
                    index.write(documents(2))
                with pytest.raises((errors.Timeout, errors.ConnectionFailed)):
                    client.list_indexes()
                assert time.monotonic() - began < BOUND_S
                config.release()


def drawn(given: list[Document], taken: list[Document]) -> Iterator[Document]:
    """What was given, noted as it is taken."""
    for document in given:
        taken.append(document)
        yield document


def acknowledged(index: Index, given: list[Document]) -> list[Document]:
    """Those of which a report says that they were written; those that it did not get to are not among them."""
    taken: list[Document] = []
    try:
        report = index.write(drawn(given, taken))
    except errors.BackendError as error:
        assert error.report is not None  # noqa: PT017 - a write that fails says what it did
        report = error.report
    failed = {failure.id for failure in report.failed}
    done = [document for document in taken if document.id not in failed]
    assert report.written == len(done)
    return done


def check(index: Index, done: list[Document], given: list[Document], before: list[Document]) -> None:
    """What was acknowledged is there; all that is there is what was once given, whole, found, and scored right."""
    stored = {document.id: document for document in index.scan(with_vectors=True)}
    for document in done:
        assert same(stored[document.id], document)
    for new, old in zip(given, before, strict=True):
        if new.id in stored:
            assert same(stored[new.id], new) or same(stored[new.id], old)
    hits = {hit.id: hit.score for hit in index.search(QUERY, 1000)}
    assert hits.keys() == stored.keys()
    for name, document in stored.items():
        true = maxsim(QUERY, document.vectors)
        assert hits[name] == pytest.approx(true, abs=tolerance(rows=len(QUERY), dim=DIM, score=true), rel=0)
    assert index.count() == len(stored)


@pytest.mark.usefixtures("_small_batches")
class TestKilled:
    @pytest.mark.parametrize("call", [5, 60, 190])
    def test_while_writing(self, server: Server, control: Control, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """SIGKILL in the middle of a write, and up again: no document that was acknowledged is lost, or half of it."""
        given, sent, moment, send = documents(call), itertools.count(1), threading.Event(), Transport.sent

        def counting(self: Transport, made: Any) -> Any:
            if made.method == "POST" and "/docid/" in made.target and next(sent) == call:
                moment.set()
            return send(self, made)

        monkeypatch.setattr(Transport, "sent", counting)
        with lateint.connect(server.url, retry=ONCE) as client, ThreadPoolExecutor(1) as pool:
            index = client.open("outages")
            writing = pool.submit(acknowledged, index, given)
            assert moment.wait(60)
            server.kill()
            try:
                done = writing.result()
            finally:
                server.start()
            assert call < 100 or done
            assert len(done) < COUNT
            check(index, done, given, documents())  # the connections that it had are dead
        with lateint.connect(server.url) as client:
            index = client.open("outages")
            assert index.write(given).written == COUNT
            check(index, given, given, given)

    @pytest.mark.parametrize("colour", ["sync", "async"])
    def test_a_patient_writer_goes_on(self, server: Server, control: Control, colour: str) -> None:
        """It writes all of it, once the server is there again."""
        patient = RetryPolicy(attempts=1000, base_s=0.2, longest_s=0.5, total_s=120.0)
        given = documents(7)

        def write() -> lateint.WriteReport:
            with lateint.connect(server.url, retry=patient) as client:
                return client.open("outages").write(given)

        async def awrite() -> lateint.WriteReport:
            async with await lateint.aconnect(server.url, retry=patient) as client:
                return await (await client.open("outages")).write(given)

        with ThreadPoolExecutor(1) as pool:
            control.fault("document", delay_ms=20, times=-1)
            writing = pool.submit(write) if colour == "sync" else pool.submit(lambda: asyncio.run(awrite()))
            deadline = time.monotonic() + 60
            while control.calls().get("POST /document/v1", 0) < 40 and not writing.done():
                assert time.monotonic() < deadline
            server.restart()
            report = writing.result()
        assert (report.written, report.failed) == (COUNT, ())
        assert report.retries > 0
        with lateint.connect(server.url) as client:
            check(client.open("outages"), given, given, given)


AVERBS: dict[str, tuple[str, str, Callable[[AsyncIndex], Awaitable[Any]]]] = {
    "search": ("POST", "/search", lambda index: index.search(QUERY)),
    "count": ("POST", "/search", lambda index: index.count()),
    "get": ("GET", "/document", lambda index: index.get(NAMES[:5])),
    "write": ("POST", "/document", lambda index: index.write(documents()[:5])),
    "update_payload": ("PUT", "/document", lambda index: index.update_payload(NAMES[:5], {"n": 1})),
    "delete": ("DELETE", "/document", lambda index: index.delete(NAMES[:5])),
}


class TestAsync:
    @pytest.mark.parametrize(
        ("order", "raises"),
        [
            ({"status": 429}, errors.RateLimited),
            ({"status": 503}, errors.ConnectionFailed),
            ({"status": 504}, errors.Timeout),
            ({"status": 401}, errors.AuthenticationFailed),
            ({"status": 200, "body": "<html>"}, errors.UnexpectedResponse),
            ({"cut": "after"}, errors.ConnectionFailed),
            ({"cut": "inside", "bytes": 20}, errors.ConnectionFailed),
        ],
    )
    def test_trouble(self, server: Server, control: Control, order: dict[str, Any], raises: type[Exception]) -> None:
        """As with threads: an error of the same kind from one that tries once, and none from one that tries again."""

        async def steps() -> None:
            async with (
                await lateint.aconnect(server.url, retry=ONCE) as once,
                await lateint.aconnect(server.url, retry=QUICK) as quick,
            ):
                index, patient = await once.open("outages"), await quick.open("outages")
                for method, path, ask in AVERBS.values():
                    control.fault("http", method=method, path=path, **order)
                    with pytest.raises(raises):
                        await ask(index)
                    if raises is not errors.UnexpectedResponse and raises is not errors.AuthenticationFailed:
                        control.fault("http", method=method, path=path, **order)
                        await ask(patient)
                    assert control.faults_left() == 0

        asyncio.run(steps())

    def test_half_answers(self, server: Server, control: Control) -> None:
        async def steps() -> None:
            async with await lateint.aconnect(server.url, retry=ONCE) as client:
                index = await client.open("outages")

                async def names() -> list[str]:
                    return [document.id async for document in index.scan(with_vectors=True)]

                control.fault("search", share=0.5)
                with pytest.raises(errors.PartialResult):
                    await index.search(QUERY)
                control.fault("visit", outcome="ERROR", documents=5)
                with pytest.raises(errors.PartialResult):
                    await names()
                control.fault("http", path="/document", cut="short", bytes=900)
                with pytest.raises(errors.PartialResult):
                    await names()
                assert sorted(await names()) == sorted(NAMES)

        asyncio.run(steps())

    def test_cancelled(self, server: Server, control: Control) -> None:
        """A cancelled search ends at once, and the client goes on."""

        async def steps() -> None:
            async with await lateint.aconnect(server.url, retry=ONCE) as client:
                index = await client.open("outages")
                control.fault("search", delay_ms=3000)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(index.search(QUERY), 0.3)
                assert control.faults_left() == 0
                assert len(await index.search(QUERY)) == 10

        asyncio.run(steps())


SESSION = "/application/v2/tenant/default/session"

REFUSALS: dict[str, tuple[dict[str, Any], type[errors.BackendError]]] = {
    "session: broken": ({"method": "POST", "status": 500}, errors.BackendError),
    "session: login page": ({"method": "POST", "status": 200, "body": "<html>log in"}, errors.BackendError),
    "session: no right": ({"method": "POST", "status": 403}, errors.PermissionDenied),
    "session: cut": ({"method": "POST", "cut": "after"}, errors.ConnectionFailed),
    "prepare: cut": ({"method": "PUT", "cut": "after"}, errors.ConnectionFailed),
    "prepare: refused": (
        {"method": "PUT", "status": 400, "body": '{"error-code": "X", "message": "%s"}' % ("no " * 30_000)},
        errors.SchemaMismatch,
    ),
    "prepare: broken": ({"method": "PUT", "status": 500, "body": "x" * 9000}, errors.UnexpectedResponse),
    "activate: cut before": ({"method": "PUT", "skip": 1, "cut": "before"}, errors.ConnectionFailed),
    "activate: broken": ({"method": "PUT", "skip": 1, "status": 500}, errors.UnexpectedResponse),
}
"""What goes wrong with a deployment before it is one."""


class TestDeploying:
    @pytest.mark.parametrize("what", REFUSALS)
    def test_not_created(self, server: Server, control: Control, what: str) -> None:
        """An index that was not deployed is not there, and the one beside it is untouched."""
        order, raises = REFUSALS[what]
        with lateint.connect(server.url, retry=ONCE) as client:
            control.fault("config", path=SESSION, **order)
            with pytest.raises(raises) as caught:
                client.create_index(SPEC.replace(name="beside"))
            assert len(str(caught.value)) < 1200
            assert control.faults_left() == 0
            assert client.list_indexes() == ["outages"]
            assert client.open("outages").count() == COUNT

    def test_created_without_an_answer(self, server: Server, control: Control) -> None:
        """The answer to its activation is lost: the index is there, and so it is taken for created."""
        with lateint.connect(server.url, retry=ONCE) as client:
            control.fault("config", path=SESSION, method="PUT", skip=1, cut="after")
            index = client.create_index(SPEC.replace(name="beside"))
            assert control.faults_left() == 0
            assert index.write(documents()).written == COUNT
            assert client.list_indexes() == ["beside", "outages"]
            client.drop_index("beside")

    def test_dropped_in_spite_of_it(self, server: Server, control: Control) -> None:
        """Trouble on the way of a drop: it is emptied and dropped in the end, or there and said to be there."""
        with lateint.connect(server.url, retry=ONCE) as client:
            client.create_index(SPEC.replace(name="beside")).write(documents())
            control.fault("config", path=SESSION, method="PUT", skip=1, cut="before")
            with pytest.raises(errors.ConnectionFailed):
                client.drop_index("beside")
            assert client.list_indexes() == ["beside", "outages"]
            client.open("beside").write(documents())
            control.fault("http", method="DELETE", path="/document", status=503, times=2)
            control.fault("visit", outcome="ERROR", documents=50)
            control.fault("search", share=0.5)
            client.drop_index("beside")
            assert control.faults_left() == 0
            assert client.list_indexes() == ["outages"]
            with pytest.raises(errors.IndexNotFound):
                client.open("beside")
            assert client.open("outages").count() == COUNT
