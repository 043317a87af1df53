"""The double of a Qdrant server misbehaves as told, and then no more; it keeps its data when it is killed."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")

import grpc
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from tests.servers import container, discovery
from tests.servers.qdrant.asking import client, multivector, point, refused
from tests.servers.qdrant.double import Double

FAILURES = (UnexpectedResponse, ResponseHandlingException, ResourceExhaustedResponse, grpc.RpcError)
NAME = "lateint"


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with Double(tmp_path_factory.mktemp("double")) as started:
        yield started


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """One that wants a key."""
    with Double(tmp_path_factory.mktemp("locked"), api_key="full", read_only_api_key="read") as started:
        yield started


@pytest.fixture
def qdrant(double: Double, over_grpc: bool) -> Iterator[QdrantClient]:
    made = client(double, over_grpc=over_grpc)
    made.delete_collection(NAME)
    made.create_collection(NAME, vectors_config={"colbert": multivector()})
    double.clear()
    yield made
    double.clear()
    made.close()


def ids(qdrant: QdrantClient) -> list[Any]:
    return [record.id for record in once_connected(lambda: qdrant.scroll(NAME, limit=1000)[0])]


def once_connected(call: Callable[[], Any]) -> Any:
    """What a call returns as soon as its channel, which waits a while between attempts, is connected again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise


class TestErrors:
    @pytest.mark.parametrize(
        ("effect", "status", "code"),
        [
            ("unavailable", 503, "UNAVAILABLE"),
            ("unauthenticated", 401, "UNAUTHENTICATED"),
            ("permission-denied", 403, "PERMISSION_DENIED"),
            ("deadline-exceeded", 408, "DEADLINE_EXCEEDED"),
            ("internal", 500, "INTERNAL"),
        ],
    )
    def test_next_calls_fail_and_then_no_more(self, double, qdrant, over_grpc, effect, status, code):
        double.fault(effect, "Points/Upsert", times=2)
        for _ in range(2):
            assert refused(lambda: qdrant.upsert(NAME, [point(1)]))[0] == (code if over_grpc else str(status))
            assert ids(qdrant) == []
        qdrant.upsert(NAME, [point(1)])
        assert ids(qdrant) == [1]
        assert double.faults_left() == 0
        assert double.calls()[f"{'grpc' if over_grpc else 'rest'} Points/Upsert"] == 3

    def test_rate_limit(self, double, qdrant):
        double.fault("rate-limit", "Points/Count", retry_after=7)
        with pytest.raises(ResourceExhaustedResponse) as caught:
            qdrant.count(NAME)
        assert caught.value.retry_after_s == 7
        assert qdrant.count(NAME).count == 0

    def test_delay(self, double, qdrant):
        double.fault("delay", "Points/Count", delay_s=0.3)
        start = time.monotonic()
        qdrant.count(NAME)
        assert time.monotonic() - start >= 0.3

    def test_delay_beyond_the_deadline_is_applied_yet_unanswered(self, double, over_grpc, qdrant):
        impatient = client(double, over_grpc=over_grpc, timeout=1)
        double.fault("delay", "Points/Upsert", delay_s=1.5)
        with pytest.raises(FAILURES):
            impatient.upsert(NAME, [point(1)])
        impatient.close()
        deadline = time.monotonic() + 30
        while ids(qdrant) != [1] and time.monotonic() < deadline:
            pass
        assert ids(qdrant) == [1]

    def test_skip_and_transport(self, double, qdrant, over_grpc):
        double.fault("internal", "*", skip=1, transport="rest" if over_grpc else "grpc")
        double.fault("internal", "Points/*", skip=1)
        qdrant.count(NAME)
        with pytest.raises(FAILURES):
            qdrant.count(NAME)
        qdrant.count(NAME)
        assert double.faults_left() == 1


class TestBrokenConnections:
    def test_cut(self, double, qdrant, over_grpc):
        double.fault("cut", "Points/Upsert")
        with pytest.raises(FAILURES) as caught:
            qdrant.upsert(NAME, [point(1)])
        if over_grpc:
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert ids(qdrant) == []

    def test_apply_then_cut(self, double, qdrant):
        double.fault("apply-then-cut", "Points/Upsert")
        with pytest.raises(FAILURES):
            qdrant.upsert(NAME, [point(1)])
        assert ids(qdrant) == [1]

    def test_cut_hits_one_client_only(self, double, qdrant, over_grpc):
        other = client(double, over_grpc=over_grpc)
        other.count(NAME)
        double.fault("cut", "Points/Upsert")
        with pytest.raises(FAILURES):
            qdrant.upsert(NAME, [point(1)])
        assert other.count(NAME).count == 0
        other.close()

    def test_closed_grpc_port(self, double, qdrant, over_grpc):
        qdrant.upsert(NAME, [point(1)])
        double.open_grpc(opened=False)
        try:
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", double.grpc_port))
            if over_grpc:
                assert refused(lambda: qdrant.count(NAME))[0] == "UNAVAILABLE"
            else:
                assert qdrant.count(NAME).count == 1
        finally:
            double.open_grpc(opened=True)
        assert ids(qdrant) == [1]


class TestDeath:
    def test_kill_before_applying(self, double, qdrant):
        qdrant.upsert(NAME, [point(1)])
        double.fault("kill-before", "Points/Upsert")
        with pytest.raises(FAILURES):
            qdrant.upsert(NAME, [point(2)])
        double.wait_until_dead()
        double.start()
        assert ids(qdrant) == [1]

    def test_kill_after_applying(self, double, qdrant):
        double.fault("kill-after", "Points/Upsert")
        with pytest.raises(FAILURES):
            qdrant.upsert(NAME, [point(2)])
        double.wait_until_dead()
        double.start()
        assert ids(qdrant) == [2]

    def test_a_dead_server(self, double, qdrant, over_grpc):
        double.kill()
        with pytest.raises(FAILURES) as caught:
            qdrant.count(NAME)
        if over_grpc:
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        else:
            assert "Connection refused" in str(caught.value)
        double.start()
        assert ids(qdrant) == []

    def test_all_that_was_acknowledged_is_there(self, double, qdrant):
        qdrant.create_payload_index(NAME, "n", "integer")
        qdrant.update_collection(NAME, metadata={"note": "kept"})
        for at in range(30):
            qdrant.upsert(NAME, [point(at, [[float(at), 1, 2, 3]], n=at, even=at % 2 == 0)])
        qdrant.delete(NAME, [0])
        qdrant.set_payload(NAME, {"even": "no"}, [2])
        double.restart()
        assert ids(qdrant) == list(range(1, 30))
        info = qdrant.get_collection(NAME)
        assert info.config.metadata == {"note": "kept"}
        assert info.payload_schema["n"].points == 29
        even = m.Filter(must=[m.FieldCondition(key="even", match=m.MatchValue(value=True))])
        assert qdrant.count(NAME, even).count == 13
        assert qdrant.retrieve(NAME, [7], with_vectors=True)[0].vector == {"colbert": [[7.0, 1, 2, 3]]}

    def test_refused_writes_do_no_harm(self, double, qdrant):
        """Ragged rows in the engine's log would stop the folder from being opened ever again."""
        qdrant.upsert(NAME, [point(1)])
        malformed: list[list[list[float]]] = [[[1.0, 0, 0, 0], [1.0]], [[]], [[1.0, 2.0]]]
        for rows in malformed:
            refused(partial(qdrant.upsert, NAME, [point(2), point(3, rows)]))
        double.restart()
        assert ids(qdrant) == [1]

    def test_stopped_in_good_order(self, double, qdrant):
        qdrant.upsert(NAME, [point(1)])
        double.stop()
        double.start()
        assert ids(qdrant) == [1]


class TestKeys:
    @pytest.fixture
    def with_key(self, locked, over_grpc):
        made = []

        def make(key: str | None) -> QdrantClient:
            if key is None:
                made.append(client(locked, over_grpc=over_grpc))
            else:
                with pytest.warns(UserWarning, match="insecure connection"):
                    made.append(client(locked, over_grpc=over_grpc, api_key=key))
            return made[-1]

        yield make
        for one in made:
            one.close()

    @pytest.mark.parametrize(
        ("key", "text"),
        [(None, "Must provide an API key or an Authorization bearer token"), ("wrong", "Invalid API key or JWT")],
    )
    def test_no_or_wrong_key(self, with_key, over_grpc, key, text):
        code, found = refused(lambda: with_key(key).get_collections())
        assert (code, found) == ("UNAUTHENTICATED" if over_grpc else "401", text)

    def test_read_only_key(self, with_key, over_grpc):
        full, read_only = with_key("full"), with_key("read")
        full.delete_collection(NAME)
        full.create_collection(NAME, vectors_config={"colbert": multivector()})
        assert read_only.count(NAME).count == 0
        for call in (
            lambda: read_only.create_collection("other", vectors_config={}),
            lambda: read_only.delete_collection(NAME),
            lambda: read_only.upsert(NAME, [point(1)]),
        ):
            code, text = refused(call)
            assert code == ("PERMISSION_DENIED" if over_grpc else "403")
            assert "Forbidden: Global manage access is required" in text

    def test_what_stays_open(self, locked):
        anyone = client(locked, over_grpc=False)
        assert anyone.info().version == "1.18.3"
        anyone.close()


class TestVersions:
    def test_slices_since_1_19(self, tmp_path, over_grpc):
        with Double(tmp_path, version="1.19.0") as newer:
            qdrant = client(newer, over_grpc=over_grpc)
            assert qdrant.info().version == "1.19.0"
            qdrant.create_collection(NAME, vectors_config={"colbert": multivector(memory=m.Memory.COLD)})
            assert vectors(qdrant)["colbert"].memory is m.Memory.COLD
            qdrant.upsert(NAME, [point(at) for at in range(100)])
            parts = [
                {record.id for record in qdrant.scroll(NAME, slice_filter(index), limit=100)[0]} for index in range(4)
            ]
            assert set.union(*parts) == set(range(100))
            assert sum(map(len, parts)) == 100
            assert all(parts)
            qdrant.close()

    def test_memory_is_not_read_before_1_19(self, double, over_grpc):
        qdrant = client(double, over_grpc=over_grpc)
        qdrant.delete_collection(NAME)
        qdrant.create_collection(NAME, vectors_config={"memory": multivector(memory=m.Memory.COLD)})
        assert vectors(qdrant)["memory"].memory is None
        qdrant.close()

    def test_vectors_in_their_deprecated_form(self, tmp_path):
        with Double(tmp_path, flattened=True) as older:
            qdrant = client(older, over_grpc=True)
            qdrant.create_collection(NAME, vectors_config={"colbert": multivector()})
            qdrant.upsert(NAME, [point(1, [[1, 2, 3, 4], [5, 6, 7, 8]])])
            (record,) = qdrant.retrieve(NAME, [1], with_vectors=True)
            assert record.vector == {"colbert": [[1, 2, 3, 4], [5, 6, 7, 8]]}
            qdrant.close()


def vectors(qdrant: QdrantClient) -> Any:
    return qdrant.get_collection(NAME).config.params.vectors


def slice_filter(index: int) -> m.Filter:
    return m.Filter(must=[m.SliceCondition(slice=m.Slice(total=4, index=index))])


class TestDiscovery:
    def test_order(self, double, tmp_path):
        url = f"qdrant://127.0.0.1:{double.rest_port}?grpc_port={double.grpc_port}"
        with discovery.qdrant(tmp_path, {"LATEINT_TEST_QDRANT_URL": url, "LATEINT_TEST_QDRANT_API_KEY": "k"}) as found:
            assert (found.kind, found.url, found.rest_url, found.api_key) == ("given", url, double.rest_url, "k")
        with discovery.qdrant(tmp_path, {"LATEINT_TEST_QDRANT_KIND": "double"}) as found:
            assert found.kind == "double"
            assert client(found, over_grpc=True).get_collections().collections == []

    def test_nothing_found(self, tmp_path, monkeypatch):
        monkeypatch.setattr(discovery, "_why_no_double", lambda: "qdrant_edge not installed")
        monkeypatch.setattr(container, "why_not", lambda: "docker is not installed")
        expected = "container: docker is not installed; double: qdrant_edge not installed"
        with pytest.raises(discovery.ServerNotFound, match=expected), discovery.qdrant(tmp_path, {}):
            pass

    def test_required(self):
        assert discovery.required({"LATEINT_REQUIRE_SERVERS": "qdrant, vespa"}) == {"qdrant", "vespa"}
        assert discovery.required({}) == set()


class TestCompose:
    def test_one_version(self):
        pinned = dict(line.split("=") for line in lines(container.COMPOSE / "versions.env"))
        assert f"qdrant/qdrant:${{QDRANT_VERSION:-{pinned['QDRANT_VERSION']}}}" in text(
            container.COMPOSE / "qdrant.yaml"
        )

    def test_every_file_is_included(self):
        files = {path.name for path in container.COMPOSE.glob("*.yaml")} - {"all.yaml"}
        assert {
            line.removeprefix("  - ").removeprefix("path: ")
            for line in lines(container.COMPOSE / "all.yaml")
            if line.startswith("  - ")
        } == files

    def test_no_port_is_published_twice(self):
        """All engines run at once with the ports of all.env, where two would want the same."""
        published = [
            (found[1], found[2])
            for path in sorted(container.COMPOSE.glob("*.yaml"))
            for found in re.finditer(r"\$\{(\w+_PORT):-(\d+)\}:", text(path))
        ]
        moved = dict(line.split("=") for line in lines(container.COMPOSE / "all.env") if not line.startswith("#"))
        assert moved.keys() <= dict(published).keys()
        ports = [moved.get(name, port) for name, port in published]
        assert len(ports) == 6
        assert len(set(ports)) == len(ports)

    def test_health_check(self, double):
        """Its command, taken out of the file, finds the double healthy and a dead port not."""
        given = text(container.COMPOSE / "qdrant.yaml").split(">-\n")[1].split("interval:")[0]
        command = " ".join(given.split()).replace("$$", "$")
        for port, healthy in ((double.rest_port, True), (1, False)):
            done = subprocess.run(
                ["bash", "-c", command.replace("/6333", f"/{port}")], capture_output=True, check=False
            )
            assert (done.returncode == 0) is healthy, done.stderr


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def lines(path: Path) -> list[str]:
    return [line for line in text(path).splitlines() if line and not line.startswith("#")]
