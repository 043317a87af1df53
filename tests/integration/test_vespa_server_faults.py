"""The Vespa server that tests build misbehaves as told, in the ways that Vespa does, and then no more."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import numpy as np
import pytest

from tests.servers.vespa.asking import Client, blocks, call, example, hits
from tests.servers.vespa.control import Control

COUNT = 20
QUERY = {"input.query(qt)": blocks(np.eye(2, 128, dtype=np.float32))}
UPDATE = {"fields": {"price": {"assign": 7}}}


@pytest.fixture(scope="module")
def served(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Control]]:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        client = Client(server.http_url, server.config_url)
        client.deployed(example())
        for at in range(COUNT):
            client.put(f"p{at}", year=at, d=blocks(np.eye(2, 128, dtype=np.float32)))
        yield client, server.control


@pytest.fixture
def vespa(served: tuple[Client, Control]) -> Client:
    return served[0]


@pytest.fixture
def control(served: tuple[Client, Control]) -> Iterator[Control]:
    served[1].clear()
    yield served[1]
    served[1].clear()


class TestOrders:
    def test_unknown_faults_are_refused(self, control):
        """A fault that is misspelt would make a test of faults pass without one."""
        with pytest.raises(ValueError, match="nowhere"):
            control.fault("nowhere")
        with pytest.raises(ValueError, match="statsu"):
            control.fault("http", statsu=503)

    def test_skip_times_and_counts(self, vespa, control):
        control.fault("http", path="/search", method="POST", status=503, skip=1, times=2)
        assert [vespa.search().status for _ in range(4)] == [200, 503, 503, 200]
        assert vespa.document("GET", "p0").status == 200
        assert control.faults_left() == 0
        assert control.calls() == {"GET /document/v1": 1, "POST /search": 4}


class TestDocuments:
    @pytest.mark.parametrize(
        ("outcome", "status"),
        [
            ("OVERLOAD", 429),
            ("INSUFFICIENT_STORAGE", 507),
            ("TIMEOUT", 504),
            ("ERROR", 500),
            ("REJECTED", 400),
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
    def test_refused(self, vespa, control, outcome, status, method):
        before = vespa.fields("p1")
        control.fault("document", outcome=outcome, message="no more of this")
        body = UPDATE if method == "PUT" else {"fields": {"year": 1}} if method == "POST" else None
        reply = vespa.document(method, "p1", body)
        assert (reply.status, "no more of this" in reply.message) == (status, True)
        assert vespa.fields("p1") == before

    def test_an_ignored_operation_is_a_header(self, vespa, control):
        before = vespa.fields("p1")
        control.fault("document", outcome="IGNORED")
        reply = vespa.document("PUT", "p1", UPDATE)
        assert (reply.status, reply.headers["X-Vespa-Ignored-Operation"]) == (200, "true")
        assert vespa.fields("p1") == before

    def test_back_pressure_before_the_handler(self, vespa, control):
        control.fault("http", path="/document", status=429, headers={"Retry-After": "3"}, body='{"message":"wait"}')
        reply = vespa.document("PUT", "p1", UPDATE)
        assert (reply.status, reply.headers["Retry-After"], reply.message) == (429, "3", "wait")


class TestSearches:
    def test_half_coverage(self, vespa, control):
        control.fault("search", share=0.5, degraded=["timeout"])
        coverage = vespa.search(**QUERY).json["root"]["coverage"]
        assert (coverage["coverage"], coverage["full"], coverage["documents"]) == (50, False, COUNT // 2)
        assert vespa.search(**QUERY).json["root"]["coverage"]["full"]

    @pytest.mark.parametrize(
        ("order", "flag"), [("timeout", "timeout"), ("match-phase", "match-phase"), ("ann", "anntimeout")]
    )
    def test_degraded(self, vespa, control, order, flag):
        control.fault("search", degraded=[order], share=0.99)
        assert vespa.search(**QUERY).json["root"]["coverage"]["degraded"][flag]

    def test_documents_that_should_be_there(self, vespa, control):
        control.fault("search", degraded=["non-ideal-state"])
        coverage = vespa.search(**QUERY).json["root"]["coverage"]
        assert coverage["degraded"]["non-ideal-state"]
        assert coverage["coverage"] == 50

    def test_soft_timeout_gives_less_than_all(self, vespa, control):
        """Vespa's default: what was ranked in time, here nothing, with status 200."""
        control.fault("search", delay_ms=1500)
        reply = vespa.search(**QUERY, timeout="2s")
        assert reply.status == 200
        assert reply.json["root"]["coverage"]["degraded"]["timeout"]

    def test_a_slow_node_is_a_504_that_claims_full_coverage(self, vespa, control):
        control.fault("search", delay_ms=1500)
        reply = vespa.search(**QUERY, timeout="500ms")
        assert reply.status == 504
        assert reply.json["root"]["coverage"]["full"]

    def test_a_node_that_fails(self, vespa, control):
        control.fault("search", error="disk on fire")
        reply = vespa.search(**QUERY)
        assert reply.status >= 500
        assert "disk on fire" in reply.message

    def test_fields_that_cannot_be_had_are_an_error_with_status_200(self, vespa, control):
        control.fault("fill", error="gone")
        reply = vespa.search(**QUERY)
        assert reply.status == 200
        assert reply.json["root"]["errors"]
        assert "doc_id" not in hits(reply)[0]["fields"]

    def test_hits_without_fields(self, vespa, control):
        control.fault("fill", missing=3)
        reply = vespa.search(**QUERY)
        assert reply.status == 200
        assert sum("doc_id" not in hit["fields"] for hit in hits(reply)) == 3


class TestVisits:
    def test_a_page_that_fails_has_no_continuation(self, vespa, control):
        control.fault("visit", outcome="ERROR", documents=5)
        reply = vespa.visit(wantedDocumentCount=100)
        assert reply.status == 500
        assert "continuation" not in reply.json
        assert 5 <= len(reply.json["documents"]) < COUNT

    def test_a_stream_that_fails_says_so_with_status_200(self, vespa, control):
        control.fault("visit", outcome="ERROR", documents=5, message="bucket lost")
        reply = vespa.visit(lines=True, stream="true", concurrency="1")  # else other buckets have been begun
        assert reply.status == 200
        assert [line["message"]["text"] for line in reply.lines if "message" in line] == ["bucket lost"]
        assert "token" in reply.lines[-1]["continuation"]
        rest = vespa.visit(lines=True, stream="true", continuation=reply.lines[-1]["continuation"]["token"])
        names = [line["put"] for part in (reply, rest) for line in part.lines if "put" in line]
        assert len(names) == len(set(names)) == COUNT

    def test_a_page_that_takes_too_long_ends_early(self, vespa, control):
        """The reply is a 200 with fewer documents, and goes on by its continuation."""
        control.fault("visit", delay_ms=400)
        reply = vespa.visit(wantedDocumentCount=100, timeout="7s")
        assert reply.status == 200
        assert 0 < len(reply.json["documents"]) < COUNT
        rest = vespa.visit(wantedDocumentCount=100, continuation=reply.json["continuation"])
        assert len(reply.json["documents"]) + len(rest.json["documents"]) == COUNT

    def test_a_stream_that_is_cut(self, vespa, control):
        control.fault("http", path="/document", cut="inside", bytes=700)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            vespa.visit(lines=True, stream="true")

    def test_a_stream_that_a_proxy_ends_early_looks_like_an_end(self, vespa, control):
        control.fault("http", path="/document", cut="short", bytes=700)
        reply = vespa.visit(lines=True, stream="true")
        assert (reply.status, len(reply.body)) == (200, 700)


class TestConnections:
    def test_cut_before_it_is_applied(self, vespa, control):
        before = vespa.fields("p2")
        control.fault("http", path="/document", method="PUT", cut="before")
        with pytest.raises(ConnectionError):
            vespa.document("PUT", "p2", UPDATE)
        assert vespa.fields("p2") == before

    def test_cut_after_it_was_applied(self, vespa, control):
        control.fault("http", path="/document", method="PUT", cut="after")
        with pytest.raises(ConnectionError):
            vespa.document("PUT", "p3", UPDATE)
        assert vespa.fields("p3")["price"] == 7

    @pytest.mark.parametrize("size", [0, 50])
    def test_cut_in_the_body(self, vespa, control, size):
        control.fault("http", path="/search", cut="inside", bytes=size)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            vespa.search(**QUERY)

    def test_the_config_server_too(self, vespa, control):
        health = f"{vespa.config_url}/state/v1/health"
        control.fault("config", path="/state", status=503)
        assert call("GET", health).status == 503
        control.fault("config", path="/state", cut="before")
        with pytest.raises(ConnectionError):
            call("GET", health)
        assert call("GET", health).status == 200
