"""What goes wrong between a client and a server: the right error, an honest report, in bounded time.

Runs against the double, the only server that misbehaves on order.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")
pytest.importorskip("qdrant_edge", reason="the double runs on the engine of lateint[edge]")

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors
from tests.servers.ports import free_ports
from tests.servers.qdrant.asking import url_of
from tests.servers.qdrant.double import Double

DIM = 8
QUICK = RetryPolicy(attempts=5, base_s=0.01, longest_s=0.05, total_s=10.0)
ONCE = RetryPolicy(attempts=1)

TRANSIENT = ["cut", "apply-then-cut", "unavailable", "rate-limit", "internal", "deadline-exceeded"]
BECOMES = {
    "cut": errors.ConnectionFailed,
    "apply-then-cut": errors.ConnectionFailed,
    "unavailable": errors.ConnectionFailed,
    "rate-limit": errors.RateLimited,
    "internal": errors.UnexpectedResponse,
    "deadline-exceeded": errors.Timeout,
    "unauthenticated": errors.AuthenticationFailed,
    "permission-denied": errors.PermissionDenied,
}


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with Double(tmp_path_factory.mktemp("faults")) as server:
        yield server


@pytest.fixture
def server(double: Double) -> Iterator[Double]:
    """The double, in order before and after."""
    yield double
    try:
        double.clear()
    except OSError:  # killed by the test
        double.restart()


def in_small_batches(client: Any) -> Any:
    """The same client, with batches of a few documents."""
    backend = client._backend
    small = replace(backend._verbs.capabilities, max_batch_bytes=1_000, max_in_flight=2)
    backend._verbs = replace(backend._verbs, capabilities=small)
    return client


@pytest.fixture
def connect(server: Double, transport: str) -> Iterator[Callable[..., lateint.Client]]:
    clients = []

    def connected(**options: Any) -> lateint.Client:
        client: lateint.Client = in_small_batches(
            lateint.connect(url_of(server, transport), **{"retry": QUICK, "timeout_s": 20.0, **options})
        )
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.close()


def spec(**more: Any) -> IndexSpec:
    return IndexSpec(f"f-{uuid.uuid4().hex[:8]}", DIM, fields={"n": "integer"}, **more)


def documents(number: int = 40) -> list[Document]:
    rng = np.random.default_rng(number)
    return [Document(f"d{n}", rng.standard_normal((3, DIM)), {"n": n}) for n in range(number)]


class TestWrite:
    @pytest.mark.parametrize("effect", TRANSIENT)
    def test_passing_trouble(self, connect: Any, server: Double, effect: str) -> None:
        """Sent again, also where the first try had been applied; nothing is lost or doubled, and the retries are told."""
        index = connect().create_index(spec())
        server.fault(effect, "Points/Upsert", times=2, retry_after=1)
        report = index.write(documents())
        assert report.written == 40
        assert report.failed == ()
        assert report.retries >= 2  # cutting a connection cuts other batches off too
        assert index.count() == 40

    @pytest.mark.parametrize("effect", [*TRANSIENT, "unauthenticated", "permission-denied"])
    def test_lasting_trouble(self, connect: Any, server: Double, effect: str) -> None:
        """After some batches nothing goes any more: the error is of its kind, what is acknowledged is there."""
        index = connect(retry=replace(QUICK, attempts=2)).create_index(spec())
        server.fault(effect, "Points/Upsert", skip=2, times=1000, retry_after=0)
        sent = documents()
        began = time.monotonic()
        with pytest.raises(BECOMES[effect]) as caught:
            index.write(sent)
        assert time.monotonic() - began < 15
        report = caught.value.report
        assert report is not None
        assert report.written + len(report.failed) <= len(sent)
        server.clear()
        there = {document.id for document in index.scan()}
        named = {failure.id for failure in report.failed}
        assert len(there - named) == report.written > 0
        if "cut" not in effect:  # the answer to what was applied is lost, also of a batch on the same connection
            assert len(there) == report.written

    def test_refused_for_good_is_not_tried_again(self, connect: Any, server: Double) -> None:
        index = connect().create_index(spec())
        server.clear()
        server.fault("permission-denied", "Points/Upsert")
        with pytest.raises(errors.PermissionDenied) as caught:
            index.write(documents(1))
        assert not caught.value.retryable
        assert sum(count for name, count in server.calls().items() if name.endswith("Points/Upsert")) == 1

    def test_the_server_says_how_long_to_wait(self, connect: Any, server: Double) -> None:
        index = connect().create_index(spec())
        server.fault("rate-limit", "Points/Upsert", retry_after=1)
        began = time.monotonic()
        assert index.write(documents(2)).retries == 1
        assert time.monotonic() - began >= 1.0

    @pytest.mark.parametrize("effect", ["kill-before", "kill-after"])
    def test_the_server_dies_and_comes_back(self, connect: Any, server: Double, effect: str) -> None:
        """The write goes on where it stood, within the time that retries are given."""
        # Some versions of gRPC look for a lost server every five seconds only.
        patient = RetryPolicy(attempts=400, base_s=0.2, longest_s=0.5, total_s=60.0)
        index = connect(retry=patient).create_index(spec())
        server.fault(effect, "Points/Upsert", skip=3)

        def revive() -> None:
            server.wait_until_dead()
            server.start()

        with ThreadPoolExecutor(1) as nurse:
            revived = nurse.submit(revive)
            report = index.write(documents())
            revived.result()
        assert report.written == 40
        assert report.retries > 0
        assert index.count() == 40

    @pytest.mark.parametrize("effect", ["kill-before", "kill-after"])
    def test_the_server_dies(self, connect: Any, server: Double, effect: str) -> None:
        """Everything acknowledged is there when it is started again."""
        made = spec()
        index = connect().create_index(made)
        server.fault(effect, "Points/Upsert", skip=3)
        began = time.monotonic()
        with pytest.raises(errors.ConnectionFailed) as caught:
            index.write(documents())
        assert time.monotonic() - began < 20
        server.wait_until_dead()
        server.start()
        report = caught.value.report
        assert report is not None
        with lateint.connect(url_of(server)) as again:
            there = {document.id for document in again.open(made.name).scan()}
        acknowledged = there - {failure.id for failure in report.failed}
        assert len(acknowledged) == report.written > 0

    def test_too_slow(self, connect: Any, server: Double) -> None:
        """A server that does not answer in time: `Timeout`, soon after the time that was given."""
        index = connect(timeout_s=1.0, retry=ONCE).create_index(spec())
        server.fault("delay", "Points/Upsert", delay_s=4.0, times=10)
        began = time.monotonic()
        with pytest.raises(errors.Timeout) as caught:
            index.write(documents(1))
        assert time.monotonic() - began < 3.5
        assert caught.value.report is not None
        assert caught.value.report.written == 0


class TestOtherVerbs:
    @pytest.mark.parametrize("effect", TRANSIENT)
    def test_reading(self, connect: Any, server: Double, effect: str) -> None:
        """One failure each on the way of a search, a count, a get and a scan changes nothing of what comes back."""
        index = connect().create_index(spec())
        index.write(documents())
        query = np.ones((2, DIM))
        expected = [(hit.id, hit.score) for hit in index.search(query)]
        for method in ("Points/Query*", "Points/Count", "Points/Get"):
            server.fault(effect, method, retry_after=0)
        server.fault(effect, "Points/Scroll", skip=1, times=2, retry_after=0)
        assert [(hit.id, hit.score) for hit in index.search(query)] == expected
        assert index.count(lateint.field("n") < 7) == 7
        assert [document.id for document in index.get(["d3", "d4"])] == ["d3", "d4"]
        assert sorted(document.id for document in index.scan(with_vectors=True)) == sorted(
            document.id for document in documents()
        )
        assert server.faults_left() == 0

    @pytest.mark.parametrize("effect", ["unavailable", "apply-then-cut", "internal"])
    def test_changing(self, connect: Any, server: Double, effect: str) -> None:
        """Deleting and updating twice comes to the same as once."""
        index = connect().create_index(spec())
        index.write(documents())
        server.fault(effect, "Points/Delete")
        index.delete(filter=lateint.field("n") >= 30)
        assert index.count() == 30
        server.fault(effect, "Points/UpdateBatch")
        assert index.update_payload(["d1", "d2"], {"n": 1000}).written == 2
        assert index.count(lateint.field("n") == 1000) == 2

    def test_changed_by_several_at_once(self, connect: Any) -> None:
        """Each reads the document and writes what follows from the whole of it: which fields are there.

        Breaks when: two of one client do so at the same time; the field of one is then in the payload, and no filter
        finds it.
        """
        names = [f"f{n}" for n in range(6)]
        index = connect().create_index(
            IndexSpec(f"f-{uuid.uuid4().hex[:8]}", DIM, fields=dict.fromkeys(names, "integer"))
        )
        index.write(documents(1))
        with ThreadPoolExecutor(len(names)) as together:
            list(together.map(lambda name: index.update_payload(["d0"], {name: 1}), names))
        assert [index.count(lateint.field(name).exists()) for name in names] == [1] * len(names)

    def test_search_has_a_time_of_its_own(self, connect: Any, server: Double) -> None:
        index = connect(retry=ONCE).create_index(spec())
        index.write(documents(2))
        server.fault("delay", "Points/Query*", delay_s=4.0)
        began = time.monotonic()
        with pytest.raises(errors.Timeout):
            index.search(np.ones((1, DIM)), timeout_s=1.0)
        assert time.monotonic() - began < 3.5

    def test_half_created_is_taken_back(self, connect: Any, server: Double) -> None:
        """A collection without its payload indexes would be slow for good, and stand in the way of the next try."""
        client = connect()
        made = spec()
        server.fault("internal", "Points/CreateFieldIndex", skip=1)
        with pytest.raises(errors.UnexpectedResponse):
            client.create_index(made)
        assert made.name not in client.list_indexes()
        client.create_index(made)

    def test_creation_without_an_answer(self, connect: Any, server: Double) -> None:
        """Not tried again: it would be told that the index exists, and could not tell who made it."""
        client = connect()
        made = spec()
        server.fault("apply-then-cut", "Collections/Create")
        with pytest.raises(errors.ConnectionFailed):
            client.create_index(made)
        with pytest.raises(errors.IndexExists):
            client.create_index(made)

    def test_missing(self, connect: Any) -> None:
        client = connect()
        for attempt in (lambda: client.open("none"), lambda: client.drop_index("none")):
            with pytest.raises(errors.IndexNotFound, match="none"):
                attempt()

    def test_dropped_by_another(self, connect: Any) -> None:
        """Writing never makes the index anew."""
        one, other = connect(), connect()
        made = spec()
        index = one.create_index(made)
        other.drop_index(made.name)
        for attempt in (
            lambda: index.write(documents(1)),
            lambda: index.search(np.ones((1, DIM))),
            index.count,
            lambda: index.get(["d1"]),
            lambda: next(index.scan()),
        ):
            with pytest.raises(errors.IndexNotFound):
                attempt()
        assert made.name not in other.list_indexes()


class TestConnecting:
    def test_nobody_there(self, transport: str) -> None:
        (port, other) = free_ports(2)
        began = time.monotonic()
        with pytest.raises(errors.ConnectionFailed):
            lateint.connect(f"qdrant://127.0.0.1:{port}?grpc_port={other}&transport={transport}", timeout_s=5.0)
        assert time.monotonic() - began < 8

    def test_without_grpc(self, server: Double) -> None:
        """REST is taken where the other port is closed, unless gRPC was asked for."""
        server.open_grpc(opened=False)
        try:
            with lateint.connect(url_of(server)) as client:
                assert client.server_info().details["transport"] == "REST"
                index = client.create_index(spec())
                index.write(documents(3))
                assert index.count() == 3
            with pytest.raises(errors.ConnectionFailed):
                lateint.connect(url_of(server, "grpc"), timeout_s=3.0)
        finally:
            server.open_grpc(opened=True)
        with lateint.connect(url_of(server)) as client:
            assert client.server_info().details["transport"] == "gRPC"

    def test_a_port_that_swallows(self, server: Double) -> None:
        """A port that takes connections and says nothing costs a few seconds, not the whole time of a call."""
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"qdrant://127.0.0.1:{server.rest_port}?grpc_port={deaf.getsockname()[1]}"
            began = time.monotonic()
            with lateint.connect(url) as client:
                assert client.server_info().details["transport"] == "REST"
            assert time.monotonic() - began < 10

    def test_tls_to_a_server_without(self, server: Double, transport: str) -> None:
        url = url_of(server, transport).replace("qdrant:", "qdrant+https:")
        with pytest.raises(errors.ConnectionFailed):
            lateint.connect(url, timeout_s=5.0)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    folder = tmp_path_factory.mktemp("locked")
    with Double(folder, api_key="full-s3cret", read_only_api_key="read-s3cret") as server:
        yield server


class TestKeys:
    @pytest.mark.parametrize("key", [None, "wr0ng-s3cret"])
    def test_wrong(self, locked: Double, transport: str, key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Said at the first call that needs one, and the key is in no message."""
        monkeypatch.delenv("QDRANT_API_KEY", raising=False)
        with pytest.raises(errors.AuthenticationFailed, match="QDRANT_API_KEY") as caught:
            lateint.connect(url_of(locked, transport), api_key=key).list_indexes()
        assert "s3cret" not in str(caught.value)

    def test_from_the_environment(self, locked: Double, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_API_KEY", "full-s3cret")
        with lateint.connect(url_of(locked, transport)) as client:
            client.create_index(spec()).write(documents(2))
            assert "s3cret" not in repr(client)

    def test_read_only(self, locked: Double, transport: str) -> None:
        made = spec()
        with lateint.connect(url_of(locked, transport), api_key="full-s3cret") as client:
            client.create_index(made).write(documents(5))
        with lateint.connect(url_of(locked, transport), api_key="read-s3cret") as client:
            index = client.open(made.name)
            assert index.count() == 5
            assert len(index.search(np.ones((1, DIM)))) == 5
            for attempt in (
                lambda: index.write(documents(1)),
                lambda: index.delete(["d1"]),
                lambda: client.create_index(spec()),
                lambda: client.drop_index(made.name),
            ):
                with pytest.raises(errors.PermissionDenied) as caught:
                    attempt()
                assert "s3cret" not in str(caught.value)


class TestVersions:
    @pytest.mark.parametrize("version", ["1.15.2", "1.9.7"])
    def test_old(self, tmp_path: Path, version: str, transport: str) -> None:
        """Said before anything is sent: without metadata there is no place for the spec."""
        with Double(tmp_path, version=version) as server:
            if version.startswith("1.9"):
                with pytest.raises(errors.UnsupportedFeature, match="multi-vectors"):
                    lateint.connect(url_of(server, transport))
                return
            with (
                lateint.connect(url_of(server, transport)) as client,
                pytest.raises(errors.UnsupportedFeature, match="metadata") as caught,
            ):
                client.create_index(spec())
            assert caught.value.since == "1.16"

    def test_flat_vectors(self, tmp_path: Path) -> None:
        """Servers up to 1.15 write multi-vectors as one list of floats."""
        with Double(tmp_path, flattened=True) as server, lateint.connect(url_of(server, "grpc")) as client:
            index = client.create_index(spec())
            index.write(documents())
            lateint.verify(index, against=documents()).raise_if_failed()


class TestAsync:
    @pytest.mark.parametrize("effect", TRANSIENT)
    def test_passing_trouble(self, server: Double, transport: str, effect: str) -> None:
        async def steps() -> tuple[int, int, int]:
            client = in_small_batches(await lateint.aconnect(url_of(server, transport), retry=QUICK, timeout_s=20.0))
            async with client:
                index = await client.create_index(spec())
                server.fault(effect, "Points/Upsert", times=2, retry_after=0)
                report = await index.write(documents())
                return report.written, report.retries, await index.count()

        written, retries, there = asyncio.run(steps())
        assert (written, there) == (40, 40)
        assert retries >= 2  # cutting a connection cuts other batches off too

    def test_changed_by_several_at_once(self, server: Double, transport: str) -> None:
        """As with threads."""
        names = [f"f{n}" for n in range(6)]

        async def steps() -> list[int]:
            async with await lateint.aconnect(url_of(server, transport), retry=QUICK) as client:
                index = await client.create_index(
                    IndexSpec(f"f-{uuid.uuid4().hex[:8]}", DIM, fields=dict.fromkeys(names, "integer"))
                )
                await index.write(documents(1))
                await asyncio.gather(*(index.update_payload(["d0"], {name: 1}) for name in names))
                return [await index.count(lateint.field(name).exists()) for name in names]

        assert asyncio.run(steps()) == [1] * len(names)

    def test_cancelled(self, server: Double, transport: str) -> None:
        """A cancelled search ends at once, and the client goes on."""

        async def steps() -> None:
            async with await lateint.aconnect(url_of(server, transport), retry=QUICK) as client:
                index = await client.create_index(spec())
                await index.write(documents(3))
                server.fault("delay", "Points/Query*", delay_s=2.0)
                began = time.monotonic()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(index.search(np.ones((1, DIM))), 0.3)
                assert time.monotonic() - began < 1.5
                assert len(await index.search(np.ones((1, DIM)))) == 3

        asyncio.run(steps())
