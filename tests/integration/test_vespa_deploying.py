"""Indexes created, changed and dropped through Vespa's config server, whoever else deploys at the same moment.

The steps are carried out here by a driver of a few lines, so that another client can be let in between any two calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.engine.steps import carried_out
from lateint.spec import IndexSpec
from lateint.testing.payloads import FIELDS
from lateint_vespa import calls, package
from lateint_vespa.answers import Answer, acknowledged, counted, found
from lateint_vespa.calls import Call, Door, Pause, Steps, T, Together
from lateint_vespa.deployment import Deployer
from lateint_vespa.errors import translated
from lateint_vespa.filters import Condition
from lateint_vespa.properties import stored
from lateint_vespa.schema import layout_of
from tests.servers.vespa.asking import APPLICATION, Client, Reply, edited, example
from tests.servers.vespa.control import Control

SMALL = IndexSpec("small", 16)
LARGE = IndexSpec("LateOn-Pages", 32, dtype="bfloat16", fields={"year": "integer"})


class Driver:
    """Carries out steps against a server; `before` is called with each call that is about to be made."""

    def __init__(self, server: Any, *, within_s: float = 60.0) -> None:
        self.ports = {Door.CONTAINER: server.port, Door.CONFIG: server.config_port}
        self.deployer = Deployer(backend="vespa", place=server.config_url, timeout_s=20.0, within_s=within_s)
        self.before: Callable[[Call], None] = lambda _: None
        self.made: list[Call] = []

    def __call__(self, steps: Steps[T], index: str = "small") -> T:
        return carried_out(steps, self.sent, partial(translated, "deployment", index, backend="vespa"))

    def sent(self, call: Any) -> Any:
        match call:
            case Pause(seconds):
                return time.sleep(seconds)
            case Together(many):
                with ThreadPoolExecutor(4) as pool:
                    return list(pool.map(self.sent, many))
        self.before(call)
        self.made.append(call)
        connection = HTTPConnection("127.0.0.1", self.ports[call.door], timeout=60)
        try:
            connection.request(call.method, call.target, call.body, call.headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def create(self, spec: IndexSpec) -> None:
        self(self.deployer.created(spec), spec.name)

    def update(self, spec: IndexSpec) -> None:
        self(self.deployer.updated(spec), spec.name)

    def drop(self, name: str) -> None:
        self(self.deployer.dropped(name), name)

    def names(self) -> list[str]:
        return self(self.deployer.listed())

    def spec(self, name: str) -> IndexSpec | None:
        return self(self.deployer.spec_of(name), name)

    def write(self, spec: IndexSpec, document: str, payload: dict[str, Any] | None = None) -> None:
        layout = layout_of(spec)
        rows = np.ones((1, spec.dim), np.float32)
        properties = stored(document, payload or {}, spec.fields)
        call = calls.put(layout, document, rows=rows, properties=properties, timeout_s=20)
        acknowledged(self.sent(call), layout, document)

    def count(self, spec: IndexSpec) -> int:
        layout = layout_of(spec)
        call = calls.passing(layout, condition=Condition("true"), limit=0, query_profile=True, timeout_s=20)
        with translated("count", spec.name, backend="vespa"):
            return counted(self.sent(call), layout)

    def has(self, spec: IndexSpec, document: str) -> bool:
        layout = layout_of(spec)
        call = calls.get(layout, document, with_vectors=True, timeout_s=20)
        return found(self.sent(call), layout, document, with_vectors=True) is not None


@pytest.fixture(scope="module")
def started(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture
def control(started) -> Iterator[Control]:
    control: Control = started.control
    yield control
    control.clear()


@pytest.fixture
def driver(started, control: Control) -> Driver:
    """A server that nothing was deployed to."""
    control.clear()
    control.drop_application()
    control.drop_documents()
    return Driver(started)


@pytest.fixture
def client(started) -> Client:
    return Client(started.http_url, started.config_url)


def file(client: Client, path: str) -> Reply:
    return client.config("GET", f"{APPLICATION}/content/{path}")


def prepared(call: Call) -> bool:
    """The call is the first after a session was made of what was active."""
    return call.target.endswith("/prepared")


class TestCreate:
    def test_the_first_and_the_next(self, driver: Driver, client: Client) -> None:
        assert driver.names() == []
        driver.create(SMALL)
        driver.write(SMALL, "a")
        driver.create(LARGE)
        assert driver.names() == ["LateOn-Pages", "small"]
        assert [driver.spec(name) for name in ("small", "LateOn-Pages")] == [SMALL, LARGE]
        assert (driver.count(SMALL), driver.count(LARGE)) == (1, 0)
        assert driver.has(SMALL, "a")
        assert package.is_ours(file(client, "services.xml").body.decode())

    def test_one_that_exists(self, driver: Driver) -> None:
        driver.create(SMALL)
        driver.write(SMALL, "a")
        with pytest.raises(errors.IndexExists):
            driver.create(SMALL.replace(dim=32))
        assert driver.spec("small") == SMALL
        assert driver.has(SMALL, "a")

    def test_texts_of_other_schemas_and_files_stay_as_they_are(self, driver: Driver, client: Client) -> None:
        """An index of another version of lateint is not written anew by this one, and a file that somebody added stays."""
        text = package.schema_text(SMALL).replace("    rank-profile", "    # by hand\n    rank-profile", 1)
        profile = "rank-profile mine {\n    first-phase {\n        expression: 1\n    }\n}\n"
        files = package.files({"small": text}) | {"schemas/small/mine.profile": profile}
        client.deployed(files)
        driver.create(LARGE)
        assert file(client, "schemas/small.sd").body.decode() == text
        assert file(client, "schemas/small/mine.profile").body.decode() == profile
        driver.drop("small")
        assert file(client, "schemas/small/mine.profile").status == 404

    def test_no_canary_is_left(self, driver: Driver) -> None:
        """It is written, found by its score, and removed, whatever cells the index has."""
        for spec in (SMALL, LARGE, IndexSpec("one", 1), IndexSpec("all", 8, fields=FIELDS)):
            driver.made.clear()
            driver.create(spec)
            layout = layout_of(spec)
            there = f"/document/v1/lateint/{layout.schema}/docid/lateint-canary-"
            assert [call.method for call in driver.made if call.target.startswith(there)] == ["PUT", "POST", "DELETE"]
            assert driver.count(spec) == 0

    @pytest.mark.parametrize("where", ["document", "search"])
    def test_a_container_that_takes_its_time(self, driver: Driver, control: Control, where: str) -> None:
        """It answers with errors for a while: a new type of documents is not known everywhere at once."""
        fault = {"outcome": "OVERLOAD"} if where == "document" else {"error": "not now"}
        control.fault(where, times=3, **fault)
        driver.create(SMALL)
        assert driver.count(SMALL) == 0
        assert control.faults_left() == 0

    def test_services_that_follow_later_are_waited_for(self, driver: Driver, control: Control) -> None:
        driver.create(SMALL)
        control.fault("converge", delay_ms=1500)
        driver.create(LARGE)
        assert driver.count(LARGE) == 0

    def test_what_never_converges_is_said(self, started, driver: Driver, control: Control) -> None:
        """With the services that are missing; and that the index is there, so that nobody creates it again in vain."""
        driver.create(SMALL)
        control.fault("converge", delay_ms=10**9)
        hurried = Driver(started, within_s=1.0)
        with pytest.raises(errors.Timeout, match=r"not yet in use: container at \S+ has \d+") as caught:
            hurried.create(LARGE)
        assert not caught.value.retryable
        assert "drop_index() takes it away" in caught.value.__notes__[0]
        assert driver.names() == ["LateOn-Pages", "small"]

    def test_a_container_that_never_answers_is_said(self, started, driver: Driver, control: Control) -> None:
        driver.create(SMALL)
        control.fault("document", outcome="TIMEOUT", times=-1)
        hurried = Driver(started, within_s=6.0)
        with pytest.raises(errors.Timeout, match=r"does not yet know schema .*: ordered by a test\."):
            hurried.create(LARGE)

    def test_a_canary_that_scores_wrong_is_said(self, driver: Driver) -> None:
        """A schema that answers with another number than MaxSim must not be handed out as an index."""
        honest = driver.sent

        def lying(call: Any) -> Any:
            answer = honest(call)
            if isinstance(call, Call) and b"1.5" in answer.body and call.target == calls.SEARCH:
                return replace(answer, body=answer.body.replace(b"1.5", b"1.25"))
            return answer

        driver.sent = lying  # type: ignore[method-assign]
        with pytest.raises(errors.UnexpectedResponse, match=r"1\.25 that has a MaxSim of 1\.5"):
            driver.create(SMALL)

    def test_no_config_server(self, started) -> None:
        """The one thing that reading and writing does not need, and that is often not published."""
        driver = Driver(started)
        driver.ports[Door.CONFIG] = 1
        with pytest.raises(errors.ConnectionFailed, match="config_port"):
            driver.create(SMALL)
        driver.ports[Door.CONFIG] = started._control_port
        with pytest.raises(errors.UnexpectedResponse, match="config_port"):
            driver.names()


class TestUpdate:
    WIDER = SMALL.replace(fields=FIELDS, pending=sorted(FIELDS), metadata={"a": 1})

    def test_a_field_is_added_and_documents_stay(self, driver: Driver) -> None:
        driver.create(SMALL)
        driver.write(SMALL, "before", {"number": 1})
        driver.update(self.WIDER)
        assert driver.spec("small") == self.WIDER
        driver.write(self.WIDER, "after", {"number": 2})
        assert driver.has(self.WIDER, "before")
        assert driver.count(self.WIDER) == 2

    def test_nothing_to_change_deploys_nothing(self, driver: Driver) -> None:
        driver.create(SMALL)
        driver.made.clear()
        driver.update(SMALL)
        assert not [call for call in driver.made if "/session" in call.target]

    @pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"dim": 32}])
    def test_an_incompatible_one_is_refused_by_vespa(self, driver: Driver, change: dict) -> None:
        driver.create(SMALL)
        driver.write(SMALL, "a")
        with pytest.raises(errors.SchemaMismatch, match="field-type-change"):
            driver.update(SMALL.replace(**change))
        assert driver.spec("small") == SMALL
        assert driver.has(SMALL, "a")

    def test_what_takes_more_than_a_deployment_is_refused(self, driver: Driver, client: Client) -> None:
        """Vespa takes such a change and says what is to be done by hand before it has any effect."""
        driver.create(SMALL)
        honest = driver.sent
        action = (
            b'{"refeed":[{"name":"x","messages":["Field \'f\' changed: you must re-feed."],"documentType":"small"}]'
        )

        def sent(call: Any) -> Any:
            answer = honest(call)
            if isinstance(call, Call) and call.target.endswith("/prepared"):
                return replace(
                    answer, body=answer.body.replace(b'{"restart":[],"refeed":[]', action + b',"restart":[]')
                )
            return answer

        driver.sent = sent  # type: ignore[method-assign]
        with pytest.raises(errors.SchemaMismatch, match=r"refeed: Field 'f' changed: you must re-feed"):
            driver.update(self.WIDER)
        assert driver.spec("small") == SMALL

    def test_an_edited_schema_is_left_alone(self, driver: Driver, client: Client) -> None:
        text = package.schema_text(SMALL).replace("    rank-profile", "    # by hand\n    rank-profile", 1)
        client.deployed(package.files({"small": text}))
        with pytest.raises(errors.SchemaMismatch, match="edited"):
            driver.update(self.WIDER)
        assert file(client, "schemas/small.sd").body.decode() == text

    def test_a_field_that_somebody_else_added_is_not_taken_away(self, driver: Driver) -> None:
        driver.create(SMALL)
        driver.update(SMALL.replace(fields={"theirs": "integer"}))
        with pytest.raises(errors.SchemaMismatch, match="'theirs'"):
            driver.update(SMALL.replace(fields={"mine": "integer"}))

    def test_one_that_is_not_there(self, driver: Driver) -> None:
        with pytest.raises(errors.IndexNotFound):
            driver.update(SMALL)
        driver.create(LARGE)
        with pytest.raises(errors.IndexNotFound):
            driver.update(SMALL)


class TestDrop:
    def test_its_documents_first_and_no_others(self, driver: Driver, client: Client) -> None:
        driver.create(SMALL)
        driver.create(LARGE)
        for place in range(50):
            driver.write(SMALL, f"s{place}")
        driver.write(LARGE, "a")
        counts: list[int] = []
        driver.before = lambda call: counts.append(driver_count(driver)) if prepared(call) else None
        driver.drop("small")
        assert counts == [0]
        assert driver.names() == ["LateOn-Pages"]
        assert driver.has(LARGE, "a")
        with pytest.raises(errors.IndexNotFound):
            driver.count(SMALL)

    def test_the_leave_to_drop_is_gone_with_the_next_deployment(self, driver: Driver, client: Client) -> None:
        """No other index can be lost by it."""
        driver.create(SMALL)
        driver.create(LARGE)
        assert file(client, package.OVERRIDES).status == 404
        driver.drop("small")
        overrides = file(client, package.OVERRIDES).body.decode()
        assert "schema-removal" in overrides
        assert "lateint drops the index of schema small" in overrides
        until = datetime.strptime(overrides.partition('until="')[2][:10], "%Y-%m-%d").replace(tzinfo=UTC)
        assert timedelta(0) < until - datetime.now(UTC) < timedelta(days=30)
        driver.create(SMALL)
        assert file(client, package.OVERRIDES).status == 404
        refused = client.deploy(package.files({"small": package.schema_text(SMALL)}))
        assert "schema-removal" in refused.message

    def test_created_again_it_is_empty(self, driver: Driver) -> None:
        driver.create(SMALL)
        driver.write(SMALL, "a")
        driver.drop("small")
        assert driver.names() == []
        driver.create(SMALL.replace(dim=32))
        assert driver.count(SMALL) == 0

    def test_one_that_is_not_there(self, driver: Driver) -> None:
        with pytest.raises(errors.IndexNotFound):
            driver.drop("small")
        driver.create(LARGE)
        for name in ("small", "lateint"):
            with pytest.raises(errors.IndexNotFound):
                driver.drop(name)
        assert driver.names() == ["LateOn-Pages"]

    def test_documents_that_cannot_be_removed(self, started, driver: Driver, control: Control) -> None:
        """Nothing is dropped that is not empty: its documents could come back with a schema of that name."""
        driver.create(SMALL)
        driver.write(SMALL, "a")
        control.fault("document", outcome="ERROR", times=-1)
        hurried = Driver(started, within_s=1.0)
        with pytest.raises(errors.Timeout, match="'small' could not be emptied"):
            hurried.drop("small")
        control.clear()
        assert driver.names() == ["small"]

    @pytest.mark.parametrize("name", ["in", "now", "where", "contains", "nan", "all", "id", "or", "version", "bucket"])
    def test_names_that_are_words_of_selections(self, driver: Driver, name: str) -> None:
        spec = IndexSpec(name, 8)
        driver.create(spec)
        driver.write(spec, "a")
        driver.drop(name)
        assert driver.names() == []


def driver_count(driver: Driver) -> int:
    return driver.count(SMALL)


class TestForeign:
    """An application that lateint did not deploy is read, and never replaced."""

    @pytest.fixture
    def foreign(self, client: Client, driver: Driver) -> dict[str, str]:
        more = '<document type="page" mode="index"/><document type="small" mode="index"/>'
        files = edited("services.xml", '<document type="page" mode="index"/>', more) | package.additions(SMALL)
        client.deployed(files)
        return files

    def test_its_indexes_are_listed(self, driver: Driver, foreign: dict[str, str]) -> None:
        assert driver.names() == ["small"]
        assert driver.spec("small") == SMALL
        assert driver.spec("page") is None
        with pytest.raises(errors.IndexNotFound):
            driver.spec("none")

    def test_one_more_is_refused_with_the_files_to_merge(
        self, driver: Driver, client: Client, foreign: dict[str, str]
    ) -> None:
        driver.made.clear()
        with pytest.raises(errors.UnsupportedFeature, match=r"schemas/LateOn_Pages__d1\.sd") as caught:
            driver.create(LARGE)
        assert '<document type="LateOn_Pages__d1" mode="index"/>' in str(caught.value)
        assert caught.value.__notes__ == [f"{path}:\n{text}" for path, text in package.additions(LARGE).items()]
        assert {call.method for call in driver.made} == {"GET"}

    @pytest.mark.parametrize("verb", ["update", "drop"])
    def test_so_is_any_other_change(self, driver: Driver, client: Client, foreign: dict[str, str], verb: str) -> None:
        driver.write(SMALL, "a")
        driver.made.clear()
        with pytest.raises(errors.UnsupportedFeature):
            driver.update(TestUpdate.WIDER) if verb == "update" else driver.drop("small")
        assert {call.method for call in driver.made} == {"GET"}
        assert driver.has(SMALL, "a")

    def test_services_that_somebody_edited_make_it_theirs(self, driver: Driver, client: Client) -> None:
        files = package.files({"small": package.schema_text(SMALL)})
        files["services.xml"] = files["services.xml"].replace("<redundancy>1", "<redundancy>2")
        client.deployed(files)
        with pytest.raises(errors.UnsupportedFeature, match="edited since"):
            driver.create(LARGE)
        assert "<redundancy>2" in file(client, "services.xml").body.decode()


class TestRaces:
    """Two clients that deploy at once: a deployment replaces all that is active, so either could lose the other's."""

    STEPS = ("POST session", "PUT prepared", "GET compared", "PUT active")

    @staticmethod
    def let_in(driver: Driver, where: str, meanwhile: Callable[[], None]) -> list[str]:
        """Let somebody else do something before one call of a deployment, once."""
        seen: list[str] = []

        def before(call: Call) -> None:
            kind = f"{call.method} {call.target.rsplit('/', 1)[-1]}"
            if kind == "GET default" and seen and seen[-1] == "PUT prepared":
                kind = "GET compared"
            seen.append(kind)
            if kind == where and seen.count(where) == 1:
                meanwhile()

        driver.before = before
        return seen

    @pytest.mark.parametrize("where", STEPS)
    def test_somebody_creates_meanwhile(self, started, driver: Driver, where: str) -> None:
        third, other = IndexSpec("third", 8), Driver(started)
        other.create(third)
        other.write(third, "t")

        def meanwhile() -> None:
            other.create(LARGE)
            other.write(LARGE, "a")

        seen = self.let_in(driver, where, meanwhile)
        driver.create(SMALL)
        assert driver.names() == ["LateOn-Pages", "small", "third"]
        assert seen.count("POST session") == 2
        assert driver.has(LARGE, "a")
        assert driver.has(third, "t")

    @pytest.mark.parametrize("where", STEPS)
    def test_nothing_was_deployed_before(self, started, driver: Driver, where: str) -> None:
        """Vespa does not notice that one: of two first deployments the later one wins."""
        other = Driver(started)

        def meanwhile() -> None:
            other.create(LARGE)
            other.write(LARGE, "a")

        self.let_in(driver, where, meanwhile)
        driver.create(SMALL)
        assert driver.names() == ["LateOn-Pages", "small"]
        assert driver.has(LARGE, "a")

    def test_the_later_of_two_first_sessions(self, started, driver: Driver) -> None:
        """The one case that Vespa lets pass: of two sessions from before anything was active the later one takes all."""
        other = Driver(started)
        waiting, go, done = threading.Event(), threading.Event(), threading.Event()

        def first(call: Call) -> None:
            if call.target.endswith("/active") and not waiting.is_set():
                waiting.set()
                assert go.wait(60)

        def creates() -> None:
            other.create(LARGE)
            other.write(LARGE, "a")
            done.set()

        def meanwhile() -> None:
            go.set()
            assert done.wait(60)

        other.before = first
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(creates)
            assert waiting.wait(60)
            self.let_in(driver, "PUT active", meanwhile)
            driver.create(SMALL)
            theirs.result()
        assert driver.names() == ["LateOn-Pages", "small"]
        assert driver.has(LARGE, "a")

    @pytest.mark.parametrize("where", STEPS)
    def test_somebody_creates_while_another_is_dropped(self, started, driver: Driver, where: str) -> None:
        """A deployment with the leave to drop takes whatever it does not know of."""
        other = Driver(started)
        other.create(SMALL)

        def meanwhile() -> None:
            other.create(LARGE)
            other.write(LARGE, "a")

        self.let_in(driver, where, meanwhile)
        driver.drop("small")
        assert driver.names() == ["LateOn-Pages"]
        assert driver.has(LARGE, "a")

    @pytest.mark.parametrize("where", STEPS)
    def test_somebody_makes_anew_what_is_dropped(self, started, driver: Driver, control: Control, where: str) -> None:
        """Breaks when: documents go that came after it was emptied, into an index that another client has made since.

        What they wrote is removed as what was there before is: by its own removal, and counted.
        """
        other = Driver(started)
        other.create(SMALL)
        counts: list[int] = []

        def meanwhile() -> None:
            other.drop("small")
            other.create(SMALL)
            other.write(SMALL, "a")

        seen = self.let_in(driver, where, meanwhile)
        let_in = driver.before

        def before(call: Call) -> None:
            let_in(call)
            if prepared(call):
                counts.append(other.count(SMALL))

        driver.before = before
        driver.drop("small")
        assert seen.count("POST session") == 2
        assert counts[-1] == 0
        assert driver.names() == []

    def test_somebody_changes_what_is_dropped(self, started, driver: Driver) -> None:
        """It is another one than that which was to be dropped."""
        other = Driver(started)
        other.create(SMALL)

        def meanwhile() -> None:
            other.drop("small")
            other.create(SMALL.replace(dim=32))
            other.write(SMALL.replace(dim=32), "a")

        self.let_in(driver, "PUT active", meanwhile)
        with pytest.raises(errors.SchemaMismatch, match="changed index 'small' meanwhile"):
            driver.drop("small")
        assert driver.has(SMALL.replace(dim=32), "a")

    def test_somebody_makes_it_anew_before_it_was_seen_gone(self, started, driver: Driver) -> None:
        """Breaks when: a drop that is done waits for minutes for what will not come to pass."""
        other = Driver(started)
        other.create(SMALL)
        anew: list[int] = []

        def before(call: Call) -> None:
            if call.target.endswith("/serviceconverge") and not anew:
                anew.append(1)
                other.create(SMALL)

        driver.before = before
        driver.drop("small")
        assert anew == [1]
        assert driver.names() == ["small"]

    def test_somebody_creates_the_same(self, started, driver: Driver) -> None:
        other = Driver(started)
        other.create(LARGE)

        def meanwhile() -> None:
            other.create(SMALL)
            other.write(SMALL, "a")

        self.let_in(driver, "PUT active", meanwhile)
        with pytest.raises(errors.IndexExists):
            driver.create(SMALL)
        assert driver.has(SMALL, "a")

    def test_somebody_deploys_an_application_of_their_own(self, driver: Driver, client: Client) -> None:
        driver.create(LARGE)
        theirs = example() | {
            package.OVERRIDES: "<validation-overrides>"
            + "".join(
                f"<allow until='{datetime.now(UTC):%Y-%m-%d}'>{what}</allow>"
                for what in ("schema-removal", "content-cluster-removal")
            )
            + "</validation-overrides>"
        }
        self.let_in(driver, "PUT active", lambda: client.await_convergence() if client.deploy(theirs) else None)
        with pytest.raises(errors.UnsupportedFeature):
            driver.create(SMALL)
        assert file(client, "schemas/page.sd").status == 200

    def test_at_once(self, started, driver: Driver) -> None:
        """From nothing deployed to six indexes by two clients; then each drops one. Nobody's is lost, nor a document."""
        # The container of this server starts anew with each deployment: patience is what clients need beside it.
        patient = lateint.RetryPolicy(attempts=1000, longest_s=1.0)
        names = [[f"c{client}r{turn}" for turn in range(3)] for client in range(2)]

        def creates(client: lateint.Client, mine: list[str]) -> None:
            for name in mine:
                index = client.create_index(IndexSpec(name, 8))
                index.write([lateint.Document(name, np.ones((1, 8)))])

        def drops(client: lateint.Client, mine: list[str]) -> None:
            client.drop_index(mine[0])

        with lateint.connect(started.url, retry=patient) as one, lateint.connect(started.url, retry=patient) as other:
            for turn in (creates, drops):
                with ThreadPoolExecutor(2) as pool:
                    list(pool.map(turn, (one, other), names))
            kept = sorted(name for mine in names for name in mine[1:])
            assert one.list_indexes() == kept
            assert [[hit.id for hit in other.open(name).search(np.ones((1, 8)))] for name in kept] == [
                [name] for name in kept
            ]

    @pytest.mark.parametrize(("cut", "created"), [("after", True), ("before", False)])
    def test_the_answer_to_an_activation_is_lost(
        self, driver: Driver, control: Control, cut: str, *, created: bool
    ) -> None:
        """The server knows whether it has come; nobody has to guess."""
        driver.create(LARGE)

        def before(call: Call) -> None:
            if call.target.endswith("/active"):
                control.fault("config", method="PUT", path=call.target, cut=cut)

        driver.before = before
        if created:
            driver.create(SMALL)
        else:
            with pytest.raises(errors.ConnectionFailed):
                driver.create(SMALL)
        assert ("small" in driver.names()) == created
