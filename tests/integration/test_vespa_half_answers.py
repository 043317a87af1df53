"""Whatever comes instead of an answer of Vespa: an error of the right kind, no half answer, no yes that was none.

The server misbehaves on order: as Vespa does, and as a gate or a proxy in front of it may.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.client import Index
from lateint.engine.payload import ID_FIELD
from lateint.vectors import normalized
from lateint_vespa import calls, probing
from lateint_vespa.filters import Condition
from lateint_vespa.schema import CAPABILITIES, MARKER, layout_of
from tests.servers.vespa.asking import Reply, call
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM, COUNT = 8, 16
SPEC = IndexSpec("faults", DIM, fields={"n": "integer"})
LAYOUT = layout_of(SPEC)
ONCE = RetryPolicy(attempts=1)
QUICK = RetryPolicy(attempts=5, base_s=0.01, longest_s=0.05, total_s=60.0)
QUERY = normalized(np.random.default_rng(0).standard_normal((4, DIM)).astype(np.float32))


def documents(version: int = 1, count: int = COUNT) -> list[Document]:
    rng = np.random.default_rng(version)
    return [
        Document(
            f"d{n}",
            normalized(rng.standard_normal((3, DIM)).astype(np.float32)),
            {"n": n + 1000 * version, "version": version},
        )
        for n in range(count)
    ]


NAMES = [document.id for document in documents()]


def same(read: Document, written: Document) -> bool:
    return read.payload == written.payload and np.array_equal(read.vectors, written.vectors)


def check_readable(error: errors.BackendError, verb: str) -> None:
    """It says where it was, in words that fit on a screen; servers and proxies say much more."""
    assert (error.backend, error.operation, error.index) == ("vespa", verb, "faults")
    assert 20 < len(str(error)) < 900
    assert "\n" not in str(error)


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one index."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        with lateint.connect(server.url) as client:
            client.create_index(SPEC)
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Control]:
    control: Control = server.control
    control.clear()
    yield control
    control.clear()


Connect = Callable[..., Index]


@pytest.fixture
def connect(server: Server, control: Control) -> Iterator[Connect]:
    """Opens the index by a client of its own, which tries once unless told otherwise."""
    clients = []

    def connect(**options: Any) -> Index:
        clients.append(lateint.connect(server.url, **{"retry": ONCE, "timeout_s": 20.0, **options}))
        return clients[-1].open("faults")

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def index(connect: Connect, control: Control) -> Index:
    """With documents of the first version."""
    index = connect()
    control.drop_documents()
    index.write(documents())
    return index


@pytest.fixture(scope="module")
def _filled(server: Server) -> None:
    server.control.clear()
    server.control.drop_documents()
    with lateint.connect(server.url) as client:
        client.open("faults").write(documents())


@pytest.fixture
def read(_filled: None, connect: Connect) -> Index:
    """With documents of the first version; not to be changed."""
    return connect()


Order = dict[str, Any]
Raises = type[errors.BackendError]

BY_A_GATE: dict[str, tuple[Order, Raises]] = {
    "no-key": ({"status": 401}, errors.AuthenticationFailed),
    "no-right": ({"status": 403}, errors.PermissionDenied),
    "back-pressure": ({"status": 429, "headers": {"Retry-After": "0"}}, errors.RateLimited),
    "broken": ({"status": 500, "body": "<html>" + 9000 * "x"}, errors.UnexpectedResponse),
    "bad-gateway": ({"status": 502, "body": "<html>bad gateway"}, errors.ConnectionFailed),
    "down": ({"status": 503, "body": ""}, errors.ConnectionFailed),
    "late": ({"status": 504}, errors.Timeout),
    "moved": ({"status": 302, "headers": {"Location": "https://login.example/"}}, errors.UnexpectedResponse),
    "empty": ({"status": 200, "body": ""}, errors.BackendError),
    "nothing": ({"status": 204, "body": ""}, errors.UnexpectedResponse),
    "login-page": ({"status": 200, "body": "<html>Please log in"}, errors.BackendError),
    "other-json": ({"status": 200, "body": '{"ok": true}'}, errors.BackendError),
    "not-found-here": ({"status": 404, "body": "<html>no such page"}, errors.UnexpectedResponse),
    "not-found-json": ({"status": 404, "body": '{"message": "no route"}'}, errors.UnexpectedResponse),
    "cut-before": ({"cut": "before"}, errors.ConnectionFailed),
    "cut-after": ({"cut": "after"}, errors.ConnectionFailed),
    "cut-at-the-body": ({"cut": "inside", "bytes": 0}, errors.ConnectionFailed),
    "cut-inside": ({"cut": "inside", "bytes": 30}, errors.ConnectionFailed),
    "ended-at-the-body": ({"cut": "short", "bytes": 0}, errors.BackendError),
    "ended-inside": ({"cut": "short", "bytes": 30}, errors.BackendError),
}
"""What comes instead of an answer, and what it becomes."""

BY_A_NODE: dict[str, tuple[Order, Raises]] = {
    "overload": ({"outcome": "OVERLOAD"}, errors.RateLimited),
    "full": ({"outcome": "INSUFFICIENT_STORAGE"}, errors.StorageFull),
    "late-node": ({"outcome": "TIMEOUT"}, errors.Timeout),
    "failing-node": ({"outcome": "ERROR", "message": "tensor " + 9000 * "0"}, errors.UnexpectedResponse),
    "ignored": ({"outcome": "IGNORED"}, errors.UnexpectedResponse),
}
"""What the content node says of a document."""

PASSING = [
    "overload",
    "late-node",
    "failing-node",
    "back-pressure",
    "broken",
    "down",
    "late",
    "cut-before",
    "cut-after",
]

READS: dict[str, tuple[str, str, Callable[[Index], Any]]] = {
    "search": ("POST", "/search", lambda index: [(hit.id, hit.score) for hit in index.search(QUERY, COUNT)]),
    "count": ("POST", "/search", lambda index: index.count(field("n") > 0)),
    "get": ("GET", "/document", lambda index: [document.id for document in index.get(["d1", "d2"])]),
    "scan": ("GET", "/document", lambda index: sorted(document.id for document in index.scan(with_vectors=True))),
    "filtered scan": (
        "GET",
        "/document",
        lambda index: {document.id for document in index.scan(filter=field("n") > 0)},
    ),
}
"""How each verb that reads asks, and what it gives."""


def order(control: Control, effect: str, *, skip: int, times: int = 1, **http: str) -> Raises:
    """Order one of the effects above, after so many requests; what it becomes."""
    details, raises = (BY_A_NODE | BY_A_GATE)[effect]
    control.fault(
        "document" if effect in BY_A_NODE else "http",
        skip=skip,
        times=times,
        **({} if effect in BY_A_NODE else {"path": "/document", **http}),
        **details,
    )
    return raises


class TestReads:
    @pytest.mark.parametrize("effect", BY_A_GATE)
    @pytest.mark.parametrize("verb", READS)
    def test_no_answer(self, read: Index, control: Control, verb: str, effect: str) -> None:
        """Whatever comes instead of the answer is an error, never an empty or a short one; then all is as before.

        Breaks when: a gate's own 404 is taken for a missing document, or an answer that ends early for a whole one.
        """
        method, path, ask = READS[verb]
        details, raises = BY_A_GATE[effect]
        whole = ask(read)
        control.fault("http", method=method, path=path, **details)
        with pytest.raises(raises) as caught:
            ask(read)
        check_readable(caught.value, verb.rsplit(maxsplit=1)[-1])
        assert control.faults_left() == 0
        assert ask(read) == whole

    @pytest.mark.parametrize("effect", [effect for effect in PASSING if effect in BY_A_GATE])
    @pytest.mark.usefixtures("_filled")
    def test_passing_trouble(self, connect: Connect, control: Control, effect: str) -> None:
        """One failure each on the way changes nothing of what comes back."""
        index = connect(retry=QUICK)
        for method, path, ask in READS.values():
            whole = ask(index)
            control.fault("http", method=method, path=path, **BY_A_GATE[effect][0])
            assert ask(index) == whole
            assert control.faults_left() == 0

    @pytest.mark.parametrize("effect", [effect for effect in BY_A_NODE if effect != "ignored"])
    def test_get_from_a_node_in_trouble(self, read: Index, control: Control, effect: str) -> None:
        """One document of several cannot be read: no short list."""
        raises = order(control, effect, skip=1)
        with pytest.raises(raises) as caught:
            read.get(NAMES[:4])
        check_readable(caught.value, "get")


Edit = Callable[[dict[str, Any]], Any]


def fourth(root: dict[str, Any]) -> dict[str, Any]:
    hit: dict[str, Any] = root["children"][3]
    return hit


HALF: dict[str, tuple[Edit, Raises]] = {
    "no coverage": (lambda root: root.pop("coverage"), errors.PartialResult),
    "not full": (lambda root: root["coverage"].update(full=False), errors.PartialResult),
    "99 %": (lambda root: root["coverage"].update(coverage=99), errors.PartialResult),
    "degraded": (lambda root: root["coverage"].update(degraded={"adaptive-timeout": True}), errors.PartialResult),
    "degraded anew": (lambda root: root["coverage"].update(degraded={"the-moon": "full"}), errors.PartialResult),
    "errors": (lambda root: root.update(errors=[{"code": 12, "message": "a node is gone"}]), errors.PartialResult),
    "many errors": (lambda root: root.update(errors=[{"message": "x" * 9000}] * 500), errors.PartialResult),
    "no root": (lambda root: root.clear(), errors.BackendError),
    "no count": (lambda root: root["fields"].pop("totalCount"), errors.UnexpectedResponse),
    "no hits": (lambda root: root.pop("children"), errors.PartialResult),
    "a hit less": (lambda root: root["children"].pop(), errors.PartialResult),
    "a hit more": (lambda root: root["children"].append(fourth(root)), errors.PartialResult),
    "a hit twice": (lambda root: root["children"].__setitem__(1, fourth(root)), errors.PartialResult),
    "no marker": (lambda root: fourth(root)["fields"]["matchfeatures"].pop(MARKER), errors.SchemaMismatch),
    "another marker": (
        lambda root: fourth(root)["fields"]["matchfeatures"].update({MARKER: LAYOUT.marker + 1}),
        errors.SchemaMismatch,
    ),
    "no match features": (lambda root: fourth(root)["fields"].pop("matchfeatures"), errors.SchemaMismatch),
    "no id": (lambda root: fourth(root)["fields"].pop(ID_FIELD), errors.PartialResult),
    "no fields": (lambda root: fourth(root).pop("fields"), errors.BackendError),
    "not a number": (lambda root: fourth(root).update(relevance="NaN"), errors.UnexpectedResponse),
    "minus infinity": (lambda root: fourth(root).update(relevance="-Infinity"), errors.UnexpectedResponse),
    "another score": (lambda root: fourth(root).update(relevance=0.5), errors.UnexpectedResponse),
}
"""What an answer with status 200 may lack, and what that becomes."""

OF_COUNTS = ("no coverage", "not full", "99 %", "degraded", "degraded anew", "errors", "many errors", "no count")


def answered(server: Server, asked: calls.Call) -> Reply:
    """What Vespa answers to a call."""
    return call(asked.method, f"{server.http_url}{asked.target}", asked.body, **asked.headers)


def searched(server: Server) -> dict[str, Any]:
    """The answer to the search of these tests."""
    asked = calls.search(
        LAYOUT,
        query=QUERY,
        limit=COUNT,
        condition=Condition("true"),
        with_payload=True,
        with_vectors=False,
        query_profile=True,
        timeout_s=20,
    )
    answer: dict[str, Any] = answered(server, asked).json
    assert len(answer["root"]["children"]) == COUNT
    return answer


class TestSearch:
    @pytest.mark.parametrize("lacking", HALF)
    def test_half_an_answer(self, server: Server, read: Index, control: Control, lacking: str) -> None:
        """Status 200 and a part of the documents, or scores of something else: an error, not a result."""
        answer = searched(server)
        edit, raises = HALF[lacking]
        edit(answer["root"])
        control.fault("http", path="/search", status=200, body=json.dumps(answer))
        with pytest.raises(raises) as caught:
            read.search(QUERY, COUNT)
        check_readable(caught.value, "search")
        assert control.faults_left() == 0

    def test_the_whole_answer(self, server: Server, read: Index, control: Control) -> None:
        """Unedited it is taken: what is refused above is what it lacks."""
        expected = READS["search"][-1](read)
        control.fault("http", path="/search", status=200, body=json.dumps(searched(server)))
        assert READS["search"][-1](read) == expected
        assert control.faults_left() == 0

    @pytest.mark.parametrize("lacking", OF_COUNTS)
    def test_half_a_count(self, server: Server, read: Index, control: Control, lacking: str) -> None:
        answer = searched(server)
        edit, raises = HALF[lacking]
        edit(answer["root"])
        del answer["root"]["children"]
        control.fault("http", path="/search", status=200, body=json.dumps(answer))
        with pytest.raises(raises) as caught:
            read.count()
        check_readable(caught.value, "count")

    @pytest.mark.parametrize(
        ("at", "details", "raises"),
        [
            ("search", {"share": 0.5}, errors.PartialResult),
            ("search", {"share": 0.99, "degraded": ["timeout"]}, errors.PartialResult),
            ("search", {"share": 0.99, "degraded": ["match-phase"]}, errors.PartialResult),
            ("search", {"share": 0.99, "degraded": ["ann"]}, errors.PartialResult),
            ("search", {"degraded": ["non-ideal-state"]}, errors.PartialResult),
            ("search", {"error": "disk on fire " + 9000 * "x"}, errors.BackendError),
            ("fill", {"error": "gone"}, errors.PartialResult),
            ("fill", {"missing": 1}, errors.PartialResult),
            ("fill", {"missing": COUNT}, errors.PartialResult),
        ],
    )
    def test_a_node_in_trouble(self, read: Index, control: Control, at: str, details: Order, raises: Raises) -> None:
        """As Vespa itself makes an answer of less than all; also as one of several that were asked for at once."""
        for ask in (lambda: read.search(QUERY, COUNT), lambda: read.search_many([QUERY] * 3, COUNT)):
            control.fault(at, **details)
            with pytest.raises(raises) as caught:
                ask()
            check_readable(caught.value, "search")
            assert control.faults_left() == 0
        if at == "search":
            control.fault(at, **details)
            with pytest.raises(raises):
                read.count()

    def test_too_slow(self, read: Index, control: Control) -> None:
        """Vespa has all of its time, and says when that is over, instead of answering with what it had by then."""
        control.fault("search", delay_ms=1500)
        with pytest.raises(errors.Timeout) as caught:
            read.search(QUERY, COUNT, timeout_s=0.5)
        check_readable(caught.value, "search")
        control.fault("search", delay_ms=3800)
        assert len(read.search(QUERY, COUNT, timeout_s=5.0)) == COUNT

    def test_a_long_query_is_not_repeated(self, read: Index, control: Control) -> None:
        """Vespa repeats the whole tensor in some of its refusals."""
        query = np.ones((1030, DIM), np.float32)
        body = json.dumps({"root": {"errors": [{"message": f"Could not set 'query' to '{query.tolist()}': no"}]}})
        control.fault("http", path="/search", status=400, body=body)
        with pytest.raises(errors.BackendError) as caught:
            read.search(query)
        check_readable(caught.value, "search")


class TestScan:
    @pytest.mark.parametrize("cut", ["short", "inside"])
    @pytest.mark.parametrize("with_vectors", [True, False])
    def test_ends_early(self, server: Server, read: Index, control: Control, with_vectors: bool, cut: str) -> None:
        """Wherever a proxy ends a visit, also between two lines, the scan is whole or fails: never short, never double.

        Breaks when: the end of the answer is taken for the end of the documents; or the place to go on, which Vespa
        writes one document late, for a place after that document.
        """
        asked = calls.visit(LAYOUT, cluster=None, token=None, limit=1000, with_vectors=with_vectors, timeout_s=20)
        ends = list(itertools.accumulate(map(len, answered(server, asked).body.splitlines(keepends=True))))
        failed = 0
        for size in sorted({0, *ends[:-1], *(end - 3 for end in ends)}):
            control.fault("http", path="/document", cut=cut, bytes=size)
            try:
                names = [document.id for document in read.scan(with_vectors=with_vectors)]
            except errors.BackendError as error:
                check_readable(error, "scan")
                failed += 1
            else:
                assert sorted(names) == sorted(NAMES)
            assert control.faults_left() == 0
        assert failed > COUNT

    @pytest.mark.parametrize("outcome", ["ERROR", "TIMEOUT", "OVERLOAD", "INSUFFICIENT_STORAGE", "REJECTED"])
    @pytest.mark.parametrize("after", [0, 1, COUNT - 1])
    def test_a_node_in_trouble(self, read: Index, control: Control, outcome: str, after: int) -> None:
        """Its status is 200 by then. The scan goes on later from where it was."""
        control.fault("visit", outcome=outcome, documents=after, message="bucket lost " + 9000 * "x")
        scan = read.scan(with_vectors=True)
        names: list[str] = []
        with pytest.raises(errors.BackendError) as caught:
            names.extend(document.id for document in scan)
        check_readable(caught.value, "scan")
        names += [document.id for document in read.scan(with_vectors=True, cursor=scan.cursor)]
        assert sorted(set(names)) == sorted(NAMES)

    @pytest.mark.usefixtures("_filled")
    def test_out_of_time(self, connect: Connect, control: Control) -> None:
        """A visit whose time is over ends in good order, with status 200 and a part; the scan asks for the rest."""
        hasty = connect(timeout_s=0.8)
        control.clear()
        control.fault("visit", delay_ms=150)
        assert sorted(document.id for document in hasty.scan(with_vectors=True)) == sorted(NAMES)
        assert control.calls()["GET /document/v1"] > 1

    @pytest.mark.parametrize("limit", [1, 3, 16])
    @pytest.mark.parametrize("with_vectors", [True, False])
    def test_pages_that_end_within_buckets(self, index: Index, limit: int, with_vectors: bool) -> None:
        """Every document once, however small the pages are, with several documents in most buckets.

        Breaks when: the place that Vespa names beside a document is taken for a place after it.
        """
        given = documents(3, 300)
        index.write(given)
        names: Counter[str] = Counter()
        cursor: str | None = ""
        while cursor is not None:
            page = index._client._backend.scan(
                index.info, cursor=cursor or None, limit=limit, condition=None, with_vectors=with_vectors
            )
            names.update(document.id for document in page.documents)
            cursor = page.cursor
        assert names == Counter({document.id: 1 for document in given})


def drawn(given: list[Document], taken: list[Document]) -> Iterator[Document]:
    """What was given, noted as it is taken."""
    for document in given:
        taken.append(document)
        yield document


def written(index: Index, given: list[Document]) -> tuple[list[Document], errors.BackendError | None]:
    """Those of which a report says that they were written, and what went wrong."""
    taken: list[Document] = []
    try:
        report = index.write(drawn(given, taken))
        caught = None
    except errors.BackendError as error:
        assert error.report is not None  # noqa: PT017 - a write that fails says what it did
        report, caught = error.report, error
    failed = {failure.id for failure in report.failed}
    done = [document for document in taken if document.id not in failed]
    assert report.written == len(done)
    return done, caught


def check_stored(index: Index, *, done: list[Document], before: list[Document], given: list[Document]) -> None:
    """What was acknowledged is there; everything else is as it was before, or as it was given, and nothing between."""
    there = {document.id: document for document in index.get([each.id for each in given], with_vectors=True)}
    for document in done:
        assert same(there[document.id], document)
    for document, old in zip(given, before, strict=True):
        assert same(there[document.id], document) or same(there[document.id], old)


class TestWrites:
    @pytest.fixture(autouse=True)
    def _small_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of four documents, so that some are acknowledged before others are refused."""
        small = replace(CAPABILITIES, max_batch_bytes=600, max_in_flight=2)
        monkeypatch.setattr(probing, "CAPABILITIES", small)

    @pytest.mark.parametrize("effect", [*BY_A_NODE, *BY_A_GATE])
    def test_write(self, index: Index, control: Control, effect: str) -> None:
        """After some batches one document is not taken, by a client that tries once.

        Breaks when: a yes that is none, such as Vespa's own "ignored", is taken for an acknowledgement.
        """
        given = documents(2)
        raises = order(control, effect, skip=9, method="POST")
        done, caught = written(index, given)
        assert isinstance(caught, raises)
        check_readable(caught, "write")
        assert control.faults_left() == 0
        assert 0 < len(done) < COUNT
        check_stored(index, done=done, before=documents(), given=given)

    @pytest.mark.parametrize("effect", [*BY_A_NODE, *BY_A_GATE])
    def test_update_payload(self, index: Index, control: Control, effect: str) -> None:
        """One update of several is not taken: said, and no document lost its vectors or half of its payload."""
        before = documents()
        given = [Document(each.id, each.vectors, {**each.payload, "n": -1}) for each in before]
        # Each is read first, by the node that is in trouble too.
        raises = order(control, effect, skip=COUNT + 3 if effect in BY_A_NODE else 3, method="PUT")
        with pytest.raises(raises) as caught:
            index.update_payload(NAMES, {"n": -1})
        check_readable(caught.value, "update_payload")
        assert control.faults_left() == 0
        check_stored(index, done=[], before=before, given=given)
        changed = {document.id for document in index.get(NAMES) if document.payload["n"] == -1}
        assert {document.id for document in index.scan(filter=field("n") == -1)} == changed
        assert index.count(field("n") == -1) == len(changed)

    @pytest.mark.parametrize("effect", [*BY_A_NODE, *BY_A_GATE])
    @pytest.mark.parametrize("by", ["ids", "filter"])
    def test_delete(self, index: Index, control: Control, effect: str, by: str) -> None:
        """One of several stays: said; and deleting again does the rest."""

        def delete() -> None:
            index.delete(NAMES[:12]) if by == "ids" else index.delete(filter=field("n") < 1012)

        raises = order(control, effect, skip=3, method="DELETE")
        with pytest.raises(raises) as caught:
            delete()
        check_readable(caught.value, "delete")
        assert control.faults_left() == 0
        delete()
        assert {document.id for document in index.scan()} == set(NAMES[12:])

    @pytest.mark.parametrize("details", [{"share": 0.5}, {"share": 0.99, "degraded": ["timeout"]}, {"error": "gone"}])
    def test_delete_what_a_part_of_the_nodes_found(self, index: Index, control: Control, details: Order) -> None:
        """Deleting by a filter does not say that it is done because half of the documents were not looked at."""
        control.fault("search", times=-1, **details)
        with pytest.raises(errors.BackendError):
            index.delete(filter=field("n") > 0)
        control.clear()
        assert index.count() == COUNT

    def test_refused_documents(self, index: Index, control: Control) -> None:
        """A refusal of a document for what it is names that one; the others are written."""
        control.fault("document", outcome="REJECTED", skip=5, times=2, message="no such cell " + 9000 * "0")
        given = documents(2)
        report = index.write(given)
        assert (report.written, len(report.failed)) == (COUNT - 2, 2)
        assert all("no such cell" in failure.reason and len(failure.reason) < 900 for failure in report.failed)
        failed = {failure.id for failure in report.failed}
        there = index.get(NAMES, with_vectors=True)
        for found, document, before in zip(there, given, documents(), strict=True):
            assert same(found, before if document.id in failed else document)

    def test_refused_updates(self, index: Index, control: Control) -> None:
        control.fault("document", outcome="REJECTED", skip=COUNT + 5, times=2)
        report = index.update_payload([*NAMES, "none"], {"n": -1})
        failed = {failure.id for failure in report.failed}
        assert (report.written, len(failed), "none" in failed) == (COUNT - 2, 3, True)
        changed = {document.id for document in index.get(NAMES) if document.payload["n"] == -1}
        assert changed == set(NAMES) - failed

    def test_fields_that_are_dropped(self, index: Index, control: Control) -> None:
        """An application may be set to drop what its schema does not have, with status 200 and a header."""
        said = {"id": f"id:lateint:{LAYOUT.schema}::d0", "pathId": "/"}
        ignored = {"headers": {"X-Vespa-Ignored-Fields": "true"}, "body": json.dumps(said)}
        control.fault("http", method="POST", path="/document", status=200, **ignored)
        done, caught = written(index, documents(2)[:1])
        assert not done
        assert "dropped fields" in str(caught)

    def test_storage_that_is_full_is_not_tried_again(self, index: Index, connect: Connect, control: Control) -> None:
        """It takes somebody to make room."""
        index = connect(retry=QUICK)
        control.clear()
        control.fault("document", outcome="INSUFFICIENT_STORAGE", times=-1)
        with pytest.raises(errors.StorageFull) as caught:
            index.write(documents(2))
        assert not caught.value.retryable
        assert control.calls()["POST /document/v1"] <= 8  # the batches in flight
        control.clear()
        check_stored(index, done=[], before=documents(), given=documents())

    @pytest.mark.parametrize("effect", PASSING)
    def test_passing_trouble(self, index: Index, connect: Connect, control: Control, effect: str) -> None:
        """Sent again, also where the first try had been applied; nothing is lost or doubled, and the retries are told."""
        index = connect(retry=QUICK)
        order(control, effect, skip=3, times=2, method="POST")
        report = index.write(documents(2))
        assert (report.written, report.failed) == (COUNT, ())
        assert report.retries >= 1
        assert control.faults_left() == 0
        check_stored(index, done=documents(2), before=documents(2), given=documents(2))
