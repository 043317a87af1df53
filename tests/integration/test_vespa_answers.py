"""Documents and scores through Vespa's own container, and every way in which an answer of it is not whole.

The node of the test server computes in double precision: these tests prove what was sent, stored, deployed and read, not
the float32 loops of Vespa's engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lateint import errors
from lateint.engine.payload import checked
from lateint.scoring import maxsim, mirrored, tolerance
from lateint.spec import FieldType, IndexSpec
from lateint.testing.payloads import SHAPES
from lateint_vespa import calls, package, wire
from lateint_vespa.answers import Answer, Record, acknowledged, counted, found, passing, ranked
from lateint_vespa.errors import Refused, translated
from lateint_vespa.filters import Condition
from lateint_vespa.properties import stored
from lateint_vespa.schema import Cells, Layout, layout_of
from lateint_vespa.visiting import Visit
from tests.servers.vespa.asking import Client, call
from tests.servers.vespa.control import Control
from tests.servers.vespa.sending import sent

DIM, COUNT = 128, 500
ALL = Condition("true")
FIELDS = {"year": FieldType.INTEGER, "lang": FieldType.KEYWORD}
FLOAT = layout_of(IndexSpec("floats", DIM, fields=FIELDS))
BFLOAT16 = layout_of(IndexSpec("bfloats", DIM, dtype="bfloat16"))
BITS = Layout(schema="bits", dim=DIM, cells=Cells.BITS, fields={})
LAYOUTS = (FLOAT, BFLOAT16, BITS)
RANDOM = np.random.default_rng(4)


def unit_rows(count: int) -> NDArray[np.float32]:
    rows = RANDOM.standard_normal((count, DIM))
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


DOCUMENTS = {f"d{at}": unit_rows(1 + at % 13) for at in range(COUNT)}
QUERIES = [unit_rows(1 + 4 * at) for at in range(10)]


def kept(rows: NDArray[np.float32], cells: Cells) -> NDArray[np.float32]:
    """What a schema of these cells holds, by the rounding of lateint and NumPy."""
    match cells:
        case Cells.FLOAT:
            return rows
        case Cells.BFLOAT16:
            return mirrored(rows, "bfloat16")
    return (rows > 0).astype(np.float32)


@pytest.fixture(scope="module")
def served(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Control]]:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        client = Client(server.http_url, server.config_url)
        client.deployed(package.files({layout.schema: package.rendered(layout) for layout in LAYOUTS}))
        for layout in LAYOUTS:
            for at, (name, rows) in enumerate(DOCUMENTS.items()):
                payload = {"year": at, "lang": "en"} if layout is FLOAT else {}
                put(client, layout, name, rows, payload)
        yield client, server.control


@pytest.fixture
def vespa(served: tuple[Client, Control]) -> Client:
    return served[0]


@pytest.fixture
def control(served: tuple[Client, Control]) -> Iterator[Control]:
    yield served[1]
    served[1].clear()


def put(client: Client, layout: Layout, name: str, rows: NDArray[np.float32], payload: Mapping[str, Any]) -> None:
    plain, _ = checked(payload, layout.fields, document=name)
    made = calls.put(layout, name, rows=rows, properties=stored(name, plain, layout.fields), timeout_s=20)
    acknowledged(sent(client, made), layout, name)


def got(
    client: Client, layout: Layout, name: str, *, with_vectors: bool = True, with_digest: bool = False
) -> Record | None:
    answer = sent(client, calls.get(layout, name, with_vectors=with_vectors, with_digest=with_digest, timeout_s=20))
    return found(answer, layout, name, with_vectors=with_vectors)


def search(layout: Layout, query: NDArray[np.float32] = QUERIES[0], **changes: Any) -> calls.Call:
    asked: dict[str, Any] = {
        "query": query,
        "limit": 10,
        "condition": ALL,
        "with_payload": True,
        "with_vectors": False,
        "query_profile": True,
        "timeout_s": 20.0,
    }
    return calls.search(layout, **(asked | changes))


def searched(client: Client, layout: Layout, query: NDArray[np.float32] = QUERIES[0], **changes: Any) -> list[Record]:
    answer = sent(client, search(layout, query, **changes))
    return ranked(
        answer,
        layout,
        limit=changes.get("limit", 10),
        with_vectors=changes.get("with_vectors", False),
        with_payload=changes.get("with_payload", True),
    )


class TestScores:
    @pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.schema)
    def test_of_all_documents(self, vespa: Client, layout: Layout) -> None:
        """By hex of our own rounding and by the deployed expression: as the reference has them for what is stored."""
        for query in QUERIES:
            hits = searched(vespa, layout, query, limit=1000)
            assert {hit.id for hit in hits} == DOCUMENTS.keys()
            assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))
            for hit in hits:
                rows = kept(DOCUMENTS[hit.id], layout.cells)
                norm = float(np.linalg.norm(rows, axis=1).max())
                truth = maxsim(query, rows)
                assert abs(hit.score - truth) <= tolerance(rows=len(query), dim=DIM, score=truth, norm=norm)

    @pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.schema)
    def test_vectors_come_back_as_they_were_kept(self, vespa: Client, layout: Layout) -> None:
        """Bit for bit, by all three ways: what is copied to another engine is what was searched here."""
        for hit in searched(vespa, layout, limit=50, with_vectors=True):
            assert hit.rows is not None
            assert np.array_equal(hit.rows, kept(DOCUMENTS[hit.id], layout.cells))
        record = got(vespa, layout, "d12")
        assert record is not None
        assert record.rows is not None
        assert np.array_equal(record.rows, kept(DOCUMENTS["d12"], layout.cells))
        for each in visited(vespa, layout, with_vectors=True):
            assert each.rows is not None
            assert np.array_equal(each.rows, kept(DOCUMENTS[each.id], layout.cells))

    def test_a_query_of_a_thousand_rows(self, vespa: Client) -> None:
        query = unit_rows(1030)
        (hit,) = searched(vespa, FLOAT, query, limit=1)
        best = max(maxsim(query, rows) for rows in DOCUMENTS.values())
        assert abs(hit.score - best) <= tolerance(rows=1030, dim=DIM, score=best)

    def test_special_values(self, vespa: Client) -> None:
        """Zeros of both signs, subnormals and the largest floats pass through the hexadecimal."""
        rows = np.zeros((2, DIM), np.float32)
        rows[0, :4] = [-0.0, 1e-45, 3.4028235e38, -1.1754944e-38]
        put(vespa, FLOAT, "special", rows, {})
        try:
            record = got(vespa, FLOAT, "special")
            assert record is not None
            assert record.rows is not None
            assert record.rows.tobytes() == rows.tobytes()
        finally:
            removed(vespa, FLOAT, "special")

    def test_many_rows(self, vespa: Client) -> None:
        """Labels of one to five digits are rows in their order."""
        rows = np.arange(12_000 * DIM, dtype=np.float32).reshape(-1, DIM)
        put(vespa, FLOAT, "long", rows, {})
        try:
            record = got(vespa, FLOAT, "long")
            assert record is not None
            assert record.rows is not None
            assert np.array_equal(record.rows, rows)
        finally:
            removed(vespa, FLOAT, "long")


def removed(client: Client, layout: Layout, name: str) -> None:
    acknowledged(sent(client, calls.remove(layout, name, timeout_s=20)), layout, name)


def visited(client: Client, layout: Layout, *, with_vectors: bool = False, limit: int = 100) -> list[Record]:
    """All documents, page by page."""
    seen: list[Record] = []
    token: str | None = None
    while True:
        visit = Visit(layout, with_vectors=with_vectors, token=token)
        asked = calls.visit(
            layout, cluster=package.CLUSTER, token=token, limit=limit, with_vectors=with_vectors, timeout_s=20
        )
        answer = sent(client, asked)
        assert answer.status == 200
        seen += visit.feed(answer.body)
        visit.close()
        token = visit.token
        if visit.done:
            return seen


class TestDocuments:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_payload_comes_back(self, vespa: Client, shape: str) -> None:
        """In every way of reading: undeclared fields are nobody's business but the user's."""
        payload = {**SHAPES[shape], "year": 9999}
        put(vespa, FLOAT, "shape", unit_rows(1), payload)
        try:
            record = got(vespa, FLOAT, "shape", with_vectors=False)
            assert record is not None
            (hit,) = searched(vespa, FLOAT, condition=Condition("year in (9999L)"))
            for each in (record, hit):
                assert repr(each.payload) == repr(checked(payload, FIELDS, document="")[0])
            (bare,) = searched(vespa, FLOAT, condition=Condition("year in (9999L)"), with_payload=False)
            assert bare.payload == {}
        finally:
            removed(vespa, FLOAT, "shape")

    def test_update(self, vespa: Client) -> None:
        """The whole payload is another, fields that it lacks are gone from filters, vectors stay."""
        rows = unit_rows(3)
        put(vespa, FLOAT, "changing", rows, {"year": 7777, "lang": "xx", "old": 1})
        try:
            changed = stored("changing", {"lang": "yy", "new": 2}, FIELDS)
            before = got(vespa, FLOAT, "changing", with_vectors=False, with_digest=True)
            assert before is not None
            update = calls.update(FLOAT, "changing", properties=changed, digest=before.digest, timeout_s=20)
            acknowledged(sent(vespa, update), FLOAT, "changing")
            record = got(vespa, FLOAT, "changing")
            assert record is not None
            assert record.payload == {"lang": "yy", "new": 2}
            assert record.rows is not None
            assert np.array_equal(record.rows, rows)
            assert count(vespa, FLOAT, Condition("year in (7777L) or lang contains 'xx'")) == 0
            assert count(vespa, FLOAT, Condition("lang contains 'yy'")) == 1
        finally:
            removed(vespa, FLOAT, "changing")

    def test_update_of_a_missing_document(self, vespa: Client) -> None:
        """Vespa says 200 to it, unless it is asked to look."""
        update = calls.update(FLOAT, "nobody", properties=stored("nobody", {}, FIELDS), digest=None, timeout_s=20)
        with pytest.raises(Refused) as refused:
            acknowledged(sent(vespa, update), FLOAT, "nobody")
        assert refused.value.status == 412
        assert got(vespa, FLOAT, "nobody") is None

    def test_a_put_leaves_no_rows_of_before(self, vespa: Client) -> None:
        for rows in (unit_rows(5), unit_rows(2)):
            put(vespa, FLOAT, "again", rows, {})
        record = got(vespa, FLOAT, "again")
        removed(vespa, FLOAT, "again")
        assert record is not None
        assert record.rows is not None
        assert np.array_equal(record.rows, rows)

    def test_hits_and_counts(self, vespa: Client) -> None:
        assert count(vespa, FLOAT, ALL) == COUNT
        made = calls.passing(FLOAT, condition=ALL, limit=1000, query_profile=True, timeout_s=20)
        assert set(passing(sent(vespa, made), FLOAT, limit=1000)) == DOCUMENTS.keys()


def count(client: Client, layout: Layout, condition: Condition) -> int:
    made = calls.passing(layout, condition=condition, limit=0, query_profile=False, timeout_s=20)
    return counted(sent(client, made), layout)


class TestVisits:
    @pytest.mark.parametrize("limit", [1, 7, 1000])
    def test_every_document_once(self, vespa: Client, limit: int) -> None:
        names = [each.id for each in visited(vespa, FLOAT, limit=limit)]
        assert sorted(names) == sorted(DOCUMENTS)

    @pytest.mark.parametrize("size", [1, 100, 5000])
    def test_in_pieces(self, vespa: Client, size: int) -> None:
        """Responses come in pieces that end anywhere."""
        answer = sent(vespa, calls.visit(FLOAT, cluster=None, token=None, limit=50, with_vectors=True, timeout_s=20))
        whole = list(Visit(FLOAT, with_vectors=True).feed(answer.body))
        visit = Visit(FLOAT, with_vectors=True)
        pieces = [answer.body[start : start + size] for start in range(0, len(answer.body), size)]
        found = [record for piece in pieces for record in visit.feed(piece)]
        visit.close()
        assert [record.id for record in found] == [record.id for record in whole]

    def test_cut_anywhere(self, vespa: Client) -> None:
        """A proxy may end a response in good order in the middle: what was read up to a token can be gone on from."""
        asked = calls.visit(FLOAT, cluster=None, token=None, limit=1000, with_vectors=False, timeout_s=20)
        body = sent(vespa, asked).body
        for end in range(0, len(body) - 2, 997):
            visit = Visit(FLOAT, with_vectors=False)
            before = [record.id for record in visit.feed(body[:end])]
            with pytest.raises(errors.PartialResult):
                visit.close()
            assert not visit.done
            assert len(before) <= COUNT

    def test_failing_node(self, vespa: Client, control: Control) -> None:
        control.fault("visit", outcome="ERROR", documents=30, message="the node is gone")
        asked = calls.visit(FLOAT, cluster=None, token=None, limit=1000, with_vectors=False, timeout_s=20)
        visit = Visit(FLOAT, with_vectors=False)
        seen: list[Record] = []
        with pytest.raises(errors.PartialResult, match="the node is gone"):
            seen.extend(visit.feed(sent(vespa, asked).body))
        assert visit.token is not None

    def test_out_of_time(self, vespa: Client, control: Control) -> None:
        """A slow visit ends early and in good order: it says where to go on."""
        control.fault("visit", delay_ms=300, times=-1)
        asked = calls.visit(FLOAT, cluster=None, token=None, limit=1000, with_vectors=False, timeout_s=0.5)
        visit = Visit(FLOAT, with_vectors=False)
        seen = list(visit.feed(sent(vespa, asked).body))
        visit.close()
        assert not visit.done
        assert 0 < len(seen) < COUNT
        assert visit.token is not None


def refused(client: Client, made: calls.Call, layout: Layout = FLOAT, **expected: Any) -> errors.LateintError:
    """What a search that went wrong becomes."""
    with pytest.raises(errors.LateintError) as caught, translated("search", layout.schema, backend="vespa"):
        ranked(sent(client, made), layout, **({"limit": 10, "with_vectors": False} | expected))
    assert len(str(caught.value)) < 600
    return caught.value


class TestHalfAnswers:
    """Each of them has a body that looks like a result."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"at": "search", "share": 0.5},
            {"at": "search", "share": 0.998},
            {"at": "search", "degraded": ["ann"]},
            {"at": "search", "degraded": ["timeout"]},
            {"at": "search", "degraded": ["match-phase"]},
            {"at": "search", "degraded": ["non-ideal-state"]},
            {"at": "fill", "missing": 1},
            {"at": "fill", "error": "the disk is gone"},
        ],
        ids=str,
    )
    def test_with_status_200(self, vespa: Client, control: Control, fault: dict[str, Any]) -> None:
        control.fault(**fault)
        answer = sent(vespa, search(FLOAT))
        assert answer.status == 200
        with pytest.raises(errors.PartialResult):
            ranked(answer, FLOAT, limit=10, with_vectors=False)

    def test_counts_of_a_part(self, vespa: Client, control: Control) -> None:
        control.fault("search", share=0.5)
        with pytest.raises(errors.PartialResult):
            count(vespa, FLOAT, ALL)

    def test_no_such_schema(self, vespa: Client) -> None:
        """Vespa says 200 and no hits, which reads like an empty index."""
        gone = replace(FLOAT, schema="gone")
        answer = sent(vespa, search(gone))
        assert answer.status == 200
        with pytest.raises(errors.IndexNotFound):
            ranked(answer, gone, limit=10, with_vectors=False)
        with pytest.raises(errors.IndexNotFound):
            count(vespa, gone, ALL)

    def test_not_a_number(self, vespa: Client) -> None:
        """A NaN in a query ranks at random."""
        query = QUERIES[0].copy()
        query[0, 0] = np.nan
        assert isinstance(refused(vespa, search(FLOAT, query)), errors.UnexpectedResponse)

    def test_another_profile(self, vespa: Client) -> None:
        """The default one, one that ranks nothing, and one of another layout."""
        made = search(FLOAT)
        assert made.body is not None
        for other in (b"default", b"lateint_filter"):
            body = made.body.replace(b'"lateint_float"', b'"%s"' % other)
            error = refused(vespa, replace(made, body=body))
            assert isinstance(error, (errors.SchemaMismatch, errors.UnexpectedResponse)), other
        assert isinstance(refused(vespa, made, replace(FLOAT, dim=64)), errors.SchemaMismatch)

    def test_a_query_of_another_dimension(self, vespa: Client) -> None:
        """Vespa takes hexadecimal of half the length for cells of half the size, and scores that."""
        for dim in (64, 127, 256):
            query = np.ones((1, dim), np.float32)
            with pytest.raises(errors.DimensionMismatch):
                search(FLOAT, query)
        accepted = sent(vespa, search(replace(FLOAT, dim=64), QUERIES[0][:, :64]))
        assert accepted.status == 200
        assert isinstance(refused(vespa, search(replace(FLOAT, dim=127), QUERIES[0][:, :127])), errors.BackendError)

    def test_unknown_profile(self, vespa: Client) -> None:
        made = search(FLOAT)
        assert made.body is not None
        error = refused(vespa, replace(made, body=made.body.replace(b'"lateint_float"', b'"nope"')))
        assert isinstance(error, errors.SchemaMismatch)

    def test_more_hits_than_allowed(self, vespa: Client) -> None:
        error = refused(vespa, search(FLOAT, limit=20_000), limit=20_000)
        assert "configured limit" in str(error)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"at": "search", "delay_ms": 3000}, errors.Timeout),
            ({"at": "search", "error": "out of memory"}, errors.UnexpectedResponse),
            ({"at": "http", "status": 429}, errors.RateLimited),
            ({"at": "http", "status": 503}, errors.ConnectionFailed),
            ({"at": "http", "status": 401}, errors.AuthenticationFailed),
            ({"at": "http", "status": 403}, errors.PermissionDenied),
            ({"at": "http", "status": 404}, errors.UnexpectedResponse),
            ({"at": "http", "status": 200, "body": "<html>a login page</html>"}, errors.UnexpectedResponse),
            ({"at": "http", "status": 200, "body": "[]"}, errors.UnexpectedResponse),
            ({"at": "http", "status": 200, "body": "{}"}, errors.UnexpectedResponse),
        ],
        ids=str,
    )
    def test_no_answer(
        self, vespa: Client, control: Control, fault: dict[str, Any], kind: type[errors.BackendError]
    ) -> None:
        control.fault(**fault)
        error = refused(vespa, search(FLOAT, timeout_s=0.5))
        assert type(error) is kind


class TestWritesThatWereNot:
    @pytest.mark.parametrize(
        ("outcome", "kind", "retryable"),
        [
            ("OVERLOAD", errors.RateLimited, True),
            ("INSUFFICIENT_STORAGE", errors.StorageFull, False),
            ("TIMEOUT", errors.Timeout, True),
            ("ERROR", errors.UnexpectedResponse, True),
            ("REJECTED", errors.UnexpectedResponse, False),
            ("IGNORED", errors.UnexpectedResponse, False),
        ],
    )
    @pytest.mark.parametrize("verb", ["put", "update", "remove"])
    def test_outcomes(
        self,
        vespa: Client,
        control: Control,
        verb: str,
        outcome: str,
        kind: type[errors.BackendError],
        retryable: bool,
    ) -> None:
        properties = stored("d0", {}, FIELDS)
        made = {
            "put": calls.put(FLOAT, "d0", rows=DOCUMENTS["d0"], properties=properties, timeout_s=20),
            "update": calls.update(FLOAT, "d0", properties=properties, digest=None, timeout_s=20),
            "remove": calls.remove(FLOAT, "d0", timeout_s=20),
        }[verb]
        control.fault("document", outcome=outcome)
        answer = sent(vespa, made)
        with pytest.raises(kind) as caught, translated("write", "floats", backend="vespa"):
            acknowledged(answer, FLOAT, "d0")
        assert caught.value.retryable is retryable

    def test_fields_that_the_application_drops(self) -> None:
        answer = Answer(200, b'{"id":"id:lateint:floats::a"}', {"x-vespa-ignored-fields": "true"})
        with pytest.raises(errors.UnexpectedResponse, match="dropped fields"):
            acknowledged(answer, FLOAT, "a")

    def test_another_document(self) -> None:
        """A proxy that tidies up paths."""
        answer = Answer(200, json.dumps({"id": "id:lateint:floats::b"}).encode())
        with pytest.raises(errors.UnexpectedResponse, match="answered for"):
            acknowledged(answer, FLOAT, "a/../b")

    def test_no_such_schema(self, vespa: Client) -> None:
        gone = replace(FLOAT, schema="gone")
        made = calls.put(gone, "a", rows=DOCUMENTS["d0"], properties=stored("a", {}, {}), timeout_s=20)
        with pytest.raises(errors.IndexNotFound), translated("write", "gone", backend="vespa"):
            acknowledged(sent(vespa, made), gone, "a")

    @pytest.mark.parametrize("dim", [64, 129])
    def test_rows_of_another_dimension(self, dim: int) -> None:
        with pytest.raises(errors.DimensionMismatch, match="'a'"):
            calls.put(FLOAT, "a", rows=np.ones((2, dim), np.float32), properties=stored("a", {}, {}), timeout_s=20)

    def test_a_document_of_another_application(self, vespa: Client) -> None:
        """It has no id of lateint: no hit makes one up for it, and a visit of lateint's own passes it by."""
        path = "/document/v1/other/floats/docid/x"
        tensor = json.loads(b"".join(wire.blocks(DOCUMENTS["d0"], Cells.FLOAT)))
        assert call("POST", vespa.http_url + path, {"fields": {"lateint_vectors": tensor}}).status == 200
        try:
            with pytest.raises(errors.LateintError):
                searched(vespa, FLOAT, limit=1000)
            assert len(visited(vespa, FLOAT)) == COUNT
        finally:
            assert call("DELETE", vespa.http_url + path).status == 200
