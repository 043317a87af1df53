"""The Vespa server that tests build takes, refuses, keeps and forgets applications as Vespa's config server does.

What is in a package, and what a change of it means, Vespa's own config-model decides. Sessions and their conflicts follow
the source of its config server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.servers.vespa.asking import APPLICATION, TENANT, Client, Reply, blocks, call, edited, example, zipped
from tests.servers.vespa.control import Control

PAGE = "schemas/page.sd"
SMALL = """schema small {
    document small {
        field name type string { indexing: attribute | summary }
    }
}
"""
DOCUMENT_TYPE = '<document type="page" mode="index"/>'
ROWS = np.eye(3, 128, dtype=np.float32)


def with_small(files: dict[str, str] | None = None) -> dict[str, str]:
    both = f'{DOCUMENT_TYPE}<document type="small" mode="index"/>'
    return edited("services.xml", DOCUMENT_TYPE, both, files) | {"schemas/small.sd": SMALL}


def allowing(files: dict[str, str], what: str) -> dict[str, str]:
    until = (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%d")
    overrides = f"<validation-overrides><allow until='{until}'>{what}</allow></validation-overrides>"
    return files | {"validation-overrides.xml": overrides}


@pytest.fixture(scope="module")
def started(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture
def control(started) -> Control:
    control: Control = started.control
    return control


@pytest.fixture
def fresh(started, control: Control) -> Client:
    """A server that nothing was deployed to."""
    control.clear()
    control.drop_application()
    return Client(started.http_url, started.config_url)


@pytest.fixture
def vespa(fresh: Client) -> Client:
    fresh.deployed(example())
    return fresh


def session(vespa: Client, files: dict[str, str]) -> int:
    return int(vespa.config("POST", f"{TENANT}/session", zipped(files)).json["session-id"])


def prepared(vespa: Client, number: int) -> Reply:
    return vespa.config("PUT", f"{TENANT}/session/{number}/prepared")


def activated(vespa: Client, number: int) -> Reply:
    return vespa.config("PUT", f"{TENANT}/session/{number}/active")


class TestPackages:
    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            pytest.param(PAGE, "attribute(d), v), max", "attribute(dd), v), max", "attribute(dd)", id="unknown field"),
            pytest.param(
                PAGE,
                "query(qt)      tensor<float>(qt{}, v[128])",
                "query(qt) tensor<float>(qt{}, v[64])",
                "Unequal dimension v",
                id="dimensions",
            ),
            pytest.param(
                PAGE,
                "first-phase { expression: exact_score }",
                "first-phase { expression: query(qt) * attribute(d) }",
                "must produce",
                id="no scalar",
            ),
            pytest.param(PAGE, "field year type int ", "field year typ int ", "page.sd", id="syntax"),
            pytest.param(
                "services.xml", "<min-redundancy>1", "<bogus>3</bogus><min-redundancy>1", "bogus", id="unknown element"
            ),
        ],
    )
    def test_refused_in_the_words_of_vespa(self, fresh, file, old, new, message):
        reply = fresh.deploy(edited(file, old, new))
        assert (reply.status, reply.json["error-code"]) == (400, "INVALID_APPLICATION_PACKAGE")
        assert message in reply.message
        assert fresh.config("GET", APPLICATION).status == 404

    def test_not_a_zip(self, fresh):
        reply = call("POST", f"{fresh.config_url}{TENANT}/prepareandactivate", b"{}")
        assert (reply.status, reply.json["error-code"]) == (400, "BAD_REQUEST")


class TestChanges:
    @pytest.mark.parametrize(
        ("old", "new", "override"),
        [
            ("d      type tensor<float>", "d      type tensor<bfloat16>", "field-type-change"),
            ("distance-metric: dotproduct", "distance-metric: euclidean", "hnsw-settings-change"),
        ],
    )
    def test_refused_unless_overridden(self, vespa, old, new, override):
        before = vespa.convergence()["wantedGeneration"]
        reply = vespa.deploy(edited(PAGE, old, new))
        assert (reply.status, reply.json["error-code"]) == (400, "INVALID_APPLICATION_PACKAGE")
        assert override in reply.message
        assert vespa.convergence()["wantedGeneration"] == before

    def test_refeed(self, vespa):
        vespa.put("a", d=blocks(ROWS), year=3)
        change = edited(PAGE, "d      type tensor<float>", "d      type tensor<bfloat16>")
        reply = vespa.deployed(allowing(change, "field-type-change"))
        (action,) = reply.json["configChangeActions"]["refeed"]
        assert (action["name"], action["documentType"], action["clusterName"]) == ("field-type-change", "page", "pages")
        assert action["messages"]
        assert action["services"]
        assert vespa.fields("a")["year"] == 3
        assert "d" not in vespa.fields("a")

    def test_restart(self, vespa):
        reply = vespa.deployed(
            edited(
                PAGE, "v[16])      { indexing: attribute }", "v[16]) {\nindexing: attribute\nattribute: fast-rank\n}"
            )
        )
        (action,) = reply.json["configChangeActions"]["restart"]
        assert (action["clusterName"], action["clusterType"], action["serviceType"]) == (
            "pages",
            "search",
            "searchnode",
        )

    def test_a_second_schema_keeps_the_documents_of_the_first(self, vespa):
        vespa.put("a", d=blocks(ROWS))
        reply = vespa.deployed(with_small())
        assert reply.json["configChangeActions"] == {"restart": [], "refeed": [], "reindex": []}
        small = f"{vespa.http_url}/document/v1/ns/small/docid/s"
        assert call("POST", small, {"fields": {"name": "n"}}).status == 200
        assert set(vespa.fields("a")["d"]["blocks"]) == {"0", "1", "2"}

    def test_dropping_a_schema_needs_an_override_and_drops_its_documents(self, vespa):
        vespa.put("a", d=blocks(ROWS))
        vespa.deployed(with_small())
        small = f"{vespa.http_url}/document/v1/ns/small/docid/s"
        call("POST", small, {"fields": {"name": "n"}})
        refused = vespa.deploy(example())
        assert refused.status == 400
        assert "schema-removal" in refused.message
        vespa.deployed(allowing(example(), "schema-removal"))
        assert call("GET", small).status != 200
        vespa.deployed(with_small())
        assert call("GET", small).status == 404
        assert set(vespa.fields("a")["d"]["blocks"]) == {"0", "1", "2"}


class TestFiles:
    def test_come_back(self, vespa):
        listed = vespa.config("GET", f"{APPLICATION}/content/?recursive=true").json
        files = {url.partition("/content/")[2]: call("GET", url) for url in listed if not url.endswith("/")}
        assert {name: reply.body.decode() for name, reply in files.items()} == example()
        assert vespa.config("GET", f"{APPLICATION}/content/schemas/").json == [
            f"{vespa.config_url}{APPLICATION}/content/schemas/page.sd"
        ]

    def test_missing(self, vespa):
        reply = vespa.config("GET", f"{APPLICATION}/content/schemas/none.sd")
        assert (reply.status, reply.json["error-code"]) == (404, "NOT_FOUND")

    def test_of_a_session_that_is_not_active(self, vespa):
        number = session(vespa, with_small())
        assert vespa.config("GET", f"{TENANT}/session/{number}/content/schemas/small.sd").body.decode() == SMALL
        assert vespa.config("GET", f"{APPLICATION}/content/schemas/small.sd").status == 404


class TestGenerations:
    def test_nothing_deployed(self, fresh):
        for path in ("", "/serviceconverge", "/content/"):
            assert fresh.config("GET", APPLICATION + path).status == 404
        assert fresh.config("GET", f"{TENANT}/application/").json == []
        assert fresh.config("GET", "/state/v1/health").json["status"]["code"] == "up"
        assert fresh.config("GET", "/state/v1/version").json["version"] == "8.700.24"
        with pytest.raises(ConnectionError):
            fresh.search()

    def test_a_generation_is_a_session(self, vespa):
        reply = vespa.deployed(example())
        number = int(reply.json["session-id"])
        assert reply.message == f"Session {number} for tenant 'default' prepared and activated."
        assert vespa.config("GET", APPLICATION).json["generation"] == number
        state = vespa.convergence()
        assert (state["wantedGeneration"], state["currentGeneration"]) == (number, number)
        container = next(service for service in state["services"] if service["type"] == "container")
        assert str(container["port"]) == vespa.http_url.rpartition(":")[2]
        assert vespa.config("GET", f"{APPLICATION}/serviceconverge/localhost:{container['port']}").json["converged"]
        assert vespa.config("GET", f"{TENANT}/application/").json == [vespa.config_url + APPLICATION]

    def test_the_container_follows_later(self, vespa, control):
        """Until it does, it answers with what it had: a client that does not wait asks the wrong application."""
        control.fault("converge", delay_ms=3000)
        reply = vespa.deploy(with_small())
        small = f"{vespa.http_url}/document/v1/ns/small/docid/s"
        state = vespa.convergence()
        assert not state["converged"]
        assert state["currentGeneration"] < state["wantedGeneration"] == int(reply.json["session-id"])
        assert call("POST", small, {"fields": {"name": "n"}}).status == 400
        vespa.await_convergence()
        assert call("POST", small, {"fields": {"name": "n"}}).status == 200

    def test_a_container_that_never_follows_does_once_all_is_cleared(self, vespa, control):
        control.fault("converge", delay_ms=10**9)
        vespa.deploy(with_small())
        assert not vespa.convergence()["converged"]
        control.clear()
        vespa.await_convergence()


class TestRaces:
    """Of two clients, by sessions and by deployments at once: what lateint must notice and try again."""

    def test_a_session_that_was_overtaken_is_refused(self, vespa):
        first, second = session(vespa, with_small()), session(vespa, example())
        assert prepared(vespa, first).json["message"] == f"Session {first} for tenant 'default' prepared."
        assert prepared(vespa, second).status == 200
        assert activated(vespa, second).json["message"] == f"Session {second} for tenant 'default' activated."
        reply = activated(vespa, first)
        assert (reply.status, reply.json["error-code"]) == (409, "ACTIVATION_CONFLICT")
        assert f"but session {second} has since become active" in reply.message
        vespa.await_convergence()
        assert (
            vespa.config("PUT", f"{TENANT}/session/{first}/active?force=true").status == 409
        )  # older than the active one

    def test_unprepared_unknown_and_active_sessions(self, vespa):
        assert activated(vespa, session(vespa, example())).status == 400
        assert activated(vespa, 9999).status == 404
        number = vespa.convergence()["wantedGeneration"]
        assert "Session is active" in prepared(vespa, number).message

    def test_a_session_that_cannot_be_prepared_is_gone(self, vespa):
        number = session(vespa, edited(PAGE, "tensor<float>(token{}, v[128])", "tensor<bfloat16>(token{}, v[128])"))
        assert prepared(vespa, number).json["error-code"] == "INVALID_APPLICATION_PACKAGE"
        assert prepared(vespa, number).status == 404

    def test_a_deployment_that_is_overtaken_is_refused(self, vespa, control):
        control.fault("prepare", delay_ms=2000)
        replies: list[Reply] = []
        slow = threading.Thread(target=lambda: replies.append(vespa.deploy(with_small())))
        slow.start()
        while control.faults_left():
            pass
        assert vespa.deploy(example()).status == 200
        slow.join()
        assert replies[0].json["error-code"] == "ACTIVATION_CONFLICT"
        vespa.await_convergence()

    def test_at_once(self, vespa):
        """At least one gets through; the others conflict, or came after it."""
        replies: list[Reply] = []
        together = threading.Barrier(4)

        def deploy() -> None:
            together.wait()
            replies.append(vespa.deploy(example()))

        threads = [threading.Thread(target=deploy) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = [reply.json.get("error-code") for reply in replies]
        assert None in codes
        assert set(codes) <= {None, "ACTIVATION_CONFLICT"}
        vespa.await_convergence()
        assert vespa.search().status == 200

    def test_one_after_the_other_the_later_one_wins_in_silence(self, vespa):
        """No conflict: a client that posts what it read a while ago takes a schema away."""
        vespa.deployed(with_small())
        refused = vespa.deploy(example())
        assert "schema-removal" in refused.message
        assert vespa.deploy(allowing(example(), "schema-removal")).status == 200
        vespa.await_convergence()

    def test_of_two_first_deployments_the_later_one_wins(self, fresh):
        first, second = session(fresh, example()), session(fresh, example())
        assert [prepared(fresh, number).status for number in (first, second)] == [200, 200]
        assert [activated(fresh, number).status for number in (first, second)] == [200, 200]
        fresh.await_convergence()


class TestProcess:
    def test_what_was_acknowledged_outlives_a_kill(self, started, vespa):
        vespa.deployed(with_small())
        for at in range(10):
            vespa.put(f"p{at}", d=blocks(ROWS))
        vespa.document("DELETE", "p3")
        page = vespa.visit(wantedDocumentCount=3).json
        started.restart()
        assert vespa.convergence()["converged"]
        assert set(vespa.fields("p7")["d"]["blocks"]) == {"0", "1", "2"}
        assert vespa.document("GET", "p3").status == 404
        rest = vespa.visit(wantedDocumentCount=100, continuation=page["continuation"]).json
        assert len(page["documents"]) + len(rest["documents"]) == 9
        assert vespa.deployed(with_small()).json["configChangeActions"]["refeed"] == []
        started.stop()
        started.start()
        assert vespa.fields("p7")["doc_id"] == "p7"
