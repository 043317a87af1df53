"""Answers of Vespa: a whole one is read, and anything less is an error, though its status says 200."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.spec import FieldType
from lateint_vespa import calls, wire
from lateint_vespa.answers import Answer, acknowledged, counted, found, passing, ranked
from lateint_vespa.errors import Refused, translated
from lateint_vespa.filters import Condition
from lateint_vespa.schema import Cells, Layout
from lateint_vespa.visiting import Visit

LAYOUT = Layout(schema="pages", dim=8, cells=Cells.FLOAT, fields={"year": FieldType.INTEGER})
ROWS = np.arange(16, dtype=np.float32).reshape(2, 8)
TENSOR = {"type": LAYOUT.stored_type, **json.loads(b"".join(wire.blocks(ROWS, Cells.FLOAT)))}


def hit(name: str, score: float) -> dict[str, Any]:
    return {
        "id": "index:lateint_content/0/1",
        "relevance": score,
        "fields": {
            "matchfeatures": {"lateint_marker": float(LAYOUT.marker), "lateint_score": score},
            "sddocname": "pages",
            "lateint_id": name,
            "lateint_payload": '{"year":1}',
            "lateint_vectors": TENSOR,
        },
    }


WHOLE: dict[str, Any] = {
    "root": {
        "id": "toplevel",
        "relevance": 1.0,
        "fields": {"totalCount": 3},
        "coverage": {"coverage": 100, "documents": 3, "full": True, "nodes": 1, "results": 1, "resultsFull": 1},
        "children": [hit("b", 2.0), hit("c", 1.5), hit("a", 2.0)],
    }
}


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode())


def changed(change: Callable[[Any], Any]) -> Answer:
    data = deepcopy(WHOLE)
    change(data["root"])
    return answer(data)


def features(root: Any) -> Any:
    return root["children"][1]["fields"]["matchfeatures"]


class TestSearch:
    def test_whole(self) -> None:
        """The best first, equal ones by their ids: engines give them in no order."""
        records = ranked(answer(WHOLE), LAYOUT, limit=10, with_vectors=True)
        assert [(each.id, each.score, each.payload) for each in records] == [
            ("a", 2.0, {"year": 1}),
            ("b", 2.0, {"year": 1}),
            ("c", 1.5, {"year": 1}),
        ]
        assert all(np.array_equal(each.rows, ROWS) for each in records if each.rows is not None)
        assert [each.rows for each in ranked(answer(WHOLE), LAYOUT, limit=3, with_vectors=False)] == [None] * 3
        assert counted(answer(WHOLE), LAYOUT) == 3
        assert passing(answer(WHOLE), LAYOUT, limit=3) == ["b", "c", "a"]

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (lambda root: root.update(errors=[{"code": 12, "message": "Timed out"}]), errors.PartialResult),
            (lambda root: root.pop("coverage"), errors.PartialResult),
            (lambda root: root.update(coverage={}), errors.PartialResult),
            (lambda root: root["coverage"].update(coverage=99), errors.PartialResult),
            (lambda root: root["coverage"].update(full=False), errors.PartialResult),
            (lambda root: root["coverage"].pop("full"), errors.PartialResult),
            (lambda root: root["coverage"].update(degraded={"timeout": True}), errors.PartialResult),
            (lambda root: root["coverage"].update(degraded={"something-new": True}), errors.PartialResult),
            (lambda root: root["children"].pop(), errors.PartialResult),
            (lambda root: root.pop("children"), errors.PartialResult),
            (lambda root: root["children"].append(root["children"][0]), errors.PartialResult),
            (lambda root: root["children"][1]["fields"].pop("lateint_id"), errors.PartialResult),
            (lambda root: root["children"][1].pop("fields"), errors.SchemaMismatch),
            (lambda root: features(root).pop("lateint_marker"), errors.SchemaMismatch),
            (lambda root: features(root).update(lateint_marker=LAYOUT.marker + 1), errors.SchemaMismatch),
            (lambda root: root["children"][1]["fields"].pop("matchfeatures"), errors.SchemaMismatch),
            (lambda root: features(root).pop("lateint_score"), errors.UnexpectedResponse),
            (lambda root: features(root).update(lateint_score=1.25), errors.UnexpectedResponse),
            (lambda root: features(root).update(lateint_score="NaN"), errors.UnexpectedResponse),
            (lambda root: root["children"][1].update(relevance="-Infinity"), errors.UnexpectedResponse),
            (lambda root: root["children"][1].pop("relevance"), errors.UnexpectedResponse),
            (lambda root: root["children"][1]["fields"].pop("lateint_vectors"), errors.UnexpectedResponse),
            (lambda root: root["children"][1]["fields"].update(lateint_payload="{"), errors.UnexpectedResponse),
            (lambda root: root["children"][1]["fields"].pop("lateint_payload"), errors.PartialResult),
            (lambda root: root["children"][1]["fields"].update(lateint_id=7), errors.UnexpectedResponse),
            (lambda root: root["fields"].pop("totalCount"), errors.UnexpectedResponse),
            (
                lambda root: root["children"][1]["fields"]["lateint_vectors"].update(type="tensor<float>(x[8])"),
                errors.SchemaMismatch,
            ),
        ],
    )
    def test_less(self, change: Callable[[Any], Any], kind: type[errors.BackendError]) -> None:
        """What an application would otherwise take for the best documents of its whole corpus."""
        with pytest.raises(kind):
            ranked(changed(change), LAYOUT, limit=3, with_vectors=True)

    def test_nothing_was_searched(self) -> None:
        """As Vespa says it of a schema that is not deployed."""
        nothing = answer({"root": {"id": "toplevel", "relevance": 1.0, "fields": {"totalCount": 0}}})
        with pytest.raises(errors.IndexNotFound):
            ranked(nothing, LAYOUT, limit=3, with_vectors=False)
        with pytest.raises(errors.IndexNotFound):
            counted(nothing, LAYOUT)

    def test_nan_that_is_no_json(self) -> None:
        body = json.dumps(WHOLE).replace('"relevance": 1.5', '"relevance": NaN').replace(
            '"lateint_score": 1.5', '"lateint_score": NaN'
        )  # fmt: skip
        with pytest.raises(errors.UnexpectedResponse):
            ranked(Answer(200, body.encode()), LAYOUT, limit=3, with_vectors=False)

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["root", "errors", "coverage", "children", "fields", "full", "degraded", "totalCount", "x"]),
            inner, max_size=4)), max_leaves=12))  # fmt: skip
    def test_anything_else(self, data: Any) -> None:
        """No answer that is not a search's is an empty result, and none leaves as another error than one of lateint."""
        with pytest.raises(errors.LateintError), translated("search", "pages", backend="vespa"):
            ranked(answer(data), LAYOUT, limit=3, with_vectors=False)


class TestDocuments:
    DONE: dict[str, Any] = {"pathId": "/document/v1/…", "id": "id:lateint:pages::a"}  # noqa: RUF012

    def test_acknowledged(self) -> None:
        acknowledged(answer(self.DONE), LAYOUT, "a")

    @pytest.mark.parametrize("name", ["x-vespa-ignored-fields", "x-vespa-ignored-operation"])
    def test_ignored(self, name: str) -> None:
        said = Answer(200, json.dumps(self.DONE).encode(), {name: "true"})
        with pytest.raises(errors.UnexpectedResponse, match="said yes and"):
            acknowledged(said, LAYOUT, "a")

    @pytest.mark.parametrize("data", [{}, {"id": "id:lateint:pages::b"}, {"id": "id:lateint:other::a"}, {"id": None}])
    def test_of_another_document(self, data: Any) -> None:
        with pytest.raises(errors.UnexpectedResponse, match="answered for"):
            acknowledged(answer(data), LAYOUT, "a")

    def test_message_with_status_200(self) -> None:
        with pytest.raises(Refused):
            acknowledged(answer({**self.DONE, "message": "but"}), LAYOUT, "a")

    def test_found(self) -> None:
        fields = {"lateint_id": "a", "lateint_payload": '{"x":1}', "lateint_vectors": TENSOR}
        record = found(answer({**self.DONE, "fields": fields}), LAYOUT, "a", with_vectors=True)
        assert record is not None
        assert (record.id, record.payload) == ("a", {"x": 1})
        assert record.rows is not None
        assert np.array_equal(record.rows, ROWS)

    def test_missing(self) -> None:
        """404 about this document is no document; any other 404, such as a proxy's, is no answer."""
        assert found(answer(self.DONE, 404), LAYOUT, "a", with_vectors=False) is None
        for other in (b"<html>not found</html>", b'{"message":"Nothing at"}', b'{"id":"id:lateint:pages::b"}', b""):
            with pytest.raises(errors.LateintError), translated("get", "pages", backend="vespa"):
                found(Answer(404, other), LAYOUT, "a", with_vectors=False)

    def test_without_its_payload(self) -> None:
        """Breaks when: it is read as an empty one, to which the next update adds its changes."""
        with pytest.raises(errors.PartialResult, match="lateint_payload"):
            found(answer({**self.DONE, "fields": {"lateint_id": "a"}}), LAYOUT, "a", with_vectors=False)

    @pytest.mark.parametrize("fields", [{}, {"lateint_id": "b", "lateint_payload": "{}"}, {"lateint_id": 1}])
    def test_not_of_lateint(self, fields: Any) -> None:
        with pytest.raises(errors.UnexpectedResponse):
            found(answer({**self.DONE, "fields": fields}), LAYOUT, "a", with_vectors=False)


LINES = [
    {"put": "id:lateint:pages::a", "fields": {"lateint_id": "a", "lateint_payload": "{}"}},
    {"continuation": {"token": "AAA", "percentFinished": 30.5}},
    {"put": "id:lateint:pages::b", "fields": {"lateint_id": "b", "lateint_payload": "{}"}},
    {"put": "id:lateint:pages::c", "fields": {"lateint_id": "c", "lateint_payload": "{}"}},
    {"continuation": {"token": "BBB", "percentFinished": 60.5}},
    {"message": {"text": "slow", "severity": "warning"}},
    {"sessionStats": {"documentCount": 3}},
    {"continuation": {"percentFinished": 100.0}},
]
BODY = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


class TestVisit:
    @given(st.lists(st.integers(0, len(BODY)), max_size=8))
    def test_in_any_pieces(self, cuts: list[int]) -> None:
        visit = Visit(LAYOUT, with_vectors=False)
        ends = sorted(cuts)
        pieces = [BODY[start:end] for start, end in zip([0, *ends], [*ends, len(BODY)], strict=True)]
        assert [record.id for piece in pieces for record in visit.feed(piece)] == ["a", "b", "c"]
        visit.close()
        assert (visit.done, visit.token) == (True, None)

    @given(st.integers(0, len(BODY) - 2))
    def test_cut_anywhere(self, end: int) -> None:
        """Either it is noticed, or where to go on leaves no document out."""
        visit = Visit(LAYOUT, with_vectors=False)
        seen = [record.id for record in visit.feed(BODY[:end])]
        assert not visit.done
        try:
            visit.close()
        except errors.PartialResult:
            return
        assert {"AAA": ["a"], "BBB": ["a", "b", "c"]}[visit.token or ""] == seen

    def test_documents_that_were_lost_on_the_way(self) -> None:
        visit = Visit(LAYOUT, with_vectors=False)
        list(visit.feed(BODY.replace(b"\n" + json.dumps(LINES[2]).encode(), b"")))
        with pytest.raises(errors.PartialResult):
            visit.close()

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            (b'{"message":{"text":"boom","severity":"error"}}', errors.PartialResult),
            (b'{"message":{"text":"boom","severity":"fatal"}}', errors.PartialResult),
            (b"<html>", errors.UnexpectedResponse),
            (b"[]", errors.UnexpectedResponse),
            (b'{"remove":"id:lateint:pages::a"}', errors.UnexpectedResponse),
            (b'{"continuation":{"percentFinished":99.0}}', errors.UnexpectedResponse),
            (
                b'{"put":"id:other:pages::a","fields":{"lateint_id":"a","lateint_payload":"{}"}}',
                errors.UnexpectedResponse,
            ),
            (
                b'{"put":"id:lateint:pages::a","fields":{"lateint_id":"b","lateint_payload":"{}"}}',
                errors.UnexpectedResponse,
            ),
            (b'{"put":"id:lateint:pages::a","fields":{}}', errors.UnexpectedResponse),
        ],
    )
    def test_lines_that_are_not_understood(self, line: bytes, kind: type[errors.BackendError]) -> None:
        with pytest.raises(kind):
            list(Visit(LAYOUT, with_vectors=False).feed(line + b"\n"))


class TestCalls:
    """What Vespa would assume is told."""

    def test_search(self) -> None:
        made = calls.search(
            LAYOUT,
            query=ROWS,
            limit=7,
            condition=Condition("year in (1L)", {"li0": '"'}),
            with_payload=False,
            with_vectors=False,
            query_profile=True,
            timeout_s=1.5,
        )
        body = json.loads(made.body or b"")
        assert body.pop("input.query(lateint_query)") == {"blocks": TENSOR["blocks"]}
        assert body == {
            "queryProfile": "lateint",
            "model.restrict": "pages",
            "yql": "select * from sources * where year in (1L)",
            "li0": '"',
            "hits": 7,
            "offset": 0,
            "timeout": "1500ms",
            "ranking.profile": "lateint_float",
            "ranking.softtimeout.enable": False,
            "presentation.summary": "lateint_ids",
            "presentation.format.tensors": "hex",
        }
        assert made.headers == {"Accept": "application/json", "Content-Type": "application/json"}

    @pytest.mark.parametrize(("digest", "shown"), [(2**53 - 1, "9007199254740991"), (0, "0"), (None, "null")])
    def test_update_clears_what_is_not_there(self, digest: int | None, shown: str) -> None:
        properties = {"lateint_id": "a", "lateint_payload": "{}", "lateint_digest": 7}
        made = calls.update(LAYOUT, "a", properties=properties, digest=digest, timeout_s=1)
        assert json.loads(made.body or b"") == {
            "fields": {
                "lateint_fields": {"assign": None},
                "lateint_payload": {"assign": "{}"},
                "lateint_digest": {"assign": 7},
                "year": {"assign": None},
            }
        }
        query = parse_qs(urlsplit(made.target).query)
        assert query == {"condition": [f"pages.lateint_digest=={shown}"], "timeout": ["1000ms"]}

    def test_get(self) -> None:
        """A digest is asked for where one is needed: an index that was opened without its schema may lack it."""
        for with_digest, fields in ((False, "pages:lateint_id,lateint_payload"), (True, None)):
            made = calls.get(LAYOUT, "a", with_vectors=False, with_digest=with_digest, timeout_s=1)
            query = parse_qs(urlsplit(made.target).query)
            assert query["fieldSet"] == [fields or "pages:lateint_id,lateint_payload,lateint_digest"]

    def test_visit(self) -> None:
        made = calls.visit(LAYOUT, cluster="c", token="A+/=", limit=9, with_vectors=True, timeout_s=2)
        assert parse_qs(urlsplit(made.target).query) == {
            "stream": ["true"],
            "concurrency": ["1"],
            "wantedDocumentCount": ["9"],
            "cluster": ["c"],
            "continuation": ["A+/="],
            "fieldSet": ["pages:lateint_id,lateint_payload,lateint_vectors"],
            "format.tensors": ["hex"],
            "timeout": ["2000ms"],
        }
        assert made.headers == {"Accept": "application/jsonl"}

    @pytest.mark.parametrize("dim", [4, 7, 16])
    def test_other_dimensions(self, dim: int) -> None:
        """Half as many digits are, to Vespa, as many cells of half the size: it would not say."""
        rows = np.ones((1, dim), np.float32)
        with pytest.raises(errors.DimensionMismatch, match="'a'"):
            calls.put(LAYOUT, "a", rows=rows, properties={"lateint_id": "a"}, timeout_s=1)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "kind", "retryable"),
        [
            (401, b"", errors.AuthenticationFailed, False),
            (403, b"", errors.PermissionDenied, False),
            (429, b"", errors.RateLimited, True),
            (502, b"", errors.ConnectionFailed, True),
            (503, b"", errors.ConnectionFailed, True),
            (504, b"", errors.Timeout, True),
            (507, b'{"message":"feed blocked"}', errors.StorageFull, False),
            (500, b'{"message":"boom"}', errors.UnexpectedResponse, True),
            (400, b'{"message":"Document type x does not exist"}', errors.IndexNotFound, False),
            (413, b"", errors.UnexpectedResponse, False),
            (418, b"teapot", errors.UnexpectedResponse, False),
        ],
    )
    def test_statuses(self, status: int, body: bytes, kind: type[errors.BackendError], retryable: bool) -> None:
        with pytest.raises(kind) as caught, translated("write", "pages", backend="vespa"):
            raise Refused(status, body, headers={"retry-after": "3"})
        assert (type(caught.value), caught.value.retryable, caught.value.status) == (kind, retryable, status)
        if isinstance(caught.value, errors.RateLimited):
            assert caught.value.retry_after == 3

    @pytest.mark.parametrize(
        ("error", "kind", "retryable"),
        [
            (ConnectionRefusedError(111, "refused"), errors.ConnectionFailed, True),
            (TimeoutError("timed out"), errors.Timeout, True),
            (OSError("[SSL: CERTIFICATE_VERIFY_FAILED]"), errors.ConnectionFailed, False),
            (OSError("[SSL: WRONG_VERSION_NUMBER]"), errors.ConnectionFailed, False),
            (KeyError("root"), errors.UnexpectedResponse, False),
        ],
    )
    def test_of_the_connection(self, error: Exception, kind: type[errors.BackendError], retryable: bool) -> None:
        with pytest.raises(kind) as caught, translated("search", None, backend="vespa"):
            raise error
        assert caught.value.retryable is retryable
        assert caught.value.__cause__ is error

    def test_a_cut_answer(self) -> None:
        for error in (IncompleteRead(b"x"), RemoteDisconnected("gone")):
            with pytest.raises(errors.ConnectionFailed), translated("search", None, backend="vespa"):
                raise error

    def test_tensors_are_not_repeated(self) -> None:
        """Vespa's messages hold the whole query: what is wrong with it stands behind."""
        message = f"Could not set 'q' to '{'3f800000' * 5000}': No profile named 'x' exists in schemas [pages]"
        body = json.dumps({"root": {"errors": [{"code": 3, "message": message}]}}).encode()
        with pytest.raises(errors.SchemaMismatch) as caught, translated("search", "pages", backend="vespa"):
            raise Refused(400, body, headers={})
        assert len(str(caught.value)) < 500
        assert "No profile named 'x'" in str(caught.value)
