"""Qdrant's in-process engine: payload comes back as it went in, and fields can change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")


from lateint import IndexSpec, field, filters
from lateint.engine.backend import IndexInfo
from lateint.engine.payload import checked
from lateint.types import Document, SearchRequest
from lateint_qdrant.edge import EdgeBackend

ROW = np.ones((1, 4), np.float32)
SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"})


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def index(backend: EdgeBackend) -> IndexInfo:
    return backend.create_index(SPEC)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(lambda key: not key.startswith("lateint_"))
ODD_KEYS = [
    "a.b",
    "a",
    'q"',
    '"',
    "x[0]",
    "[]",
    "back\\slash",
    "",
    " ",
    "*",
    "123",
    "日本",
    "a\x00",
    "new\nline",
    "$",
    "'",
]


class TestPayload:
    @settings(max_examples=100, deadline=None, suppress_health_check=[*HealthCheck])
    @given(
        payload=st.dictionaries(KEYS | st.sampled_from(ODD_KEYS), VALUES, max_size=5),
        changes=st.dictionaries(KEYS, VALUES, max_size=2),
    )
    def test_comes_back_as_it_went_in(
        self, backend: EdgeBackend, payload: dict[str, Any], changes: dict[str, Any]
    ) -> None:
        """Users keep whatever they have beside their vectors; the engine alone would change one float in ten.

        Types are compared too: True is not 1, and 1 is not 1.0.
        """
        if not backend.list_indexes():
            backend.create_index(IndexSpec("pages", 4))
        index = backend.describe_index("pages")
        payload, changes = (checked(part, {}, document="a")[0] for part in (payload, changes))
        backend.write(index, [Document("a", ROW, payload), Document("b", ROW, {"a": 1})])
        (document,) = backend.get(index, ["a"], with_vectors=False)
        assert repr(sorted(document.payload.items())) == repr(sorted(payload.items()))
        for name in payload:
            (result,) = backend.search(index, [SearchRequest(query=ROW, payload=(name, "absent"))])
            (hit,) = (hit for hit in result if hit.id == "a")
            assert repr(hit.payload) == repr({name: payload[name]})
        assert backend.update_payload(index, ["a"], changes=changes) == ()
        (document,) = backend.get(index, ["a"], with_vectors=True)
        assert repr(sorted(document.payload.items())) == repr(sorted({**payload, **changes}.items()))
        assert np.array_equal(document.vectors, ROW)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_can_be_asked_for(self, backend: EdgeBackend, index: IndexInfo, key: str) -> None:
        """A key with dots, quotes or brackets is no path into something else."""
        payload = {key: {"b": 1}, "other": 0.1}
        backend.write(index, [Document("x", ROW, payload)])
        (result,) = backend.search(index, [SearchRequest(query=ROW, payload=(key,))])
        assert result[0].payload == {key: {"b": 1}}

    def test_update_payload(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """Top-level fields are set, others stay, filters see it at once, and what was not there is reported."""
        backend.write(index, [Document("a", ROW, {"year": 1, "lang": "en", "x": {"y": 1}}), Document("b", ROW)])
        failures = backend.update_payload(index, ["a", "zz"], changes={"year": 2, "x": {"z": 0.1}, "lang": None})
        assert [(failure.id, failure.retryable) for failure in failures] == [("zz", False)]
        documents = {
            document.id: document.payload for document in backend.get(index, ["a", "b", "zz"], with_vectors=False)
        }
        assert documents == {"a": {"year": 2, "lang": None, "x": {"z": 0.1}}, "b": {}}
        assert backend.count(index, field("year") == 2) == 1
        assert backend.count(index, field("lang").exists()) == 0
        assert backend.count(index, None) == 2

    def test_field_declared_later(self, backend: EdgeBackend, index: IndexInfo, tmp_path: Path) -> None:
        """Documents written before are found by a new field once their payload is projected again, which `{}` does."""
        moment = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))
        payload = {"price": 0.1, "draft": False, "seen": moment, "tags": ["a"], "n": 3}
        backend.write(index, [Document("a", ROW, payload), Document("b", ROW)])
        fields = {"price": "float", "draft": "boolean", "seen": "datetime", "tags": "keyword[]", "n": "float"}
        changed = backend.update_index(index, spec=SPEC.replace(fields={**SPEC.fields, **fields}, metadata={"m": 1}))
        assert backend.describe_index("pages") == changed
        backend.close()
        backend = EdgeBackend(tmp_path)
        assert backend.update_payload(changed, ["a", "b"], changes={}) == ()
        for condition in (
            field("price") == 0.1,
            field("price") < 0.2,
            field("draft") == False,  # noqa: E712 - this is how it is written
            field("seen") == moment.astimezone(UTC),
            field("tags").contains("a"),
            field("n") == 3,
            field("n") >= 3,
        ):
            bound = filters.bound(condition, changed.spec.fields)
            page = backend.scan(changed, cursor=None, limit=9, condition=bound, with_vectors=False)
            assert [document.id for document in page.documents] == ["a"], condition
        (document,) = backend.get(changed, ["a"], with_vectors=False)
        assert document.payload == payload
        backend.close()

    def test_delete(self, backend: EdgeBackend, index: IndexInfo) -> None:
        """By id, ids that are not there being no error; by filter; and nothing by a filter that holds for nothing."""
        backend.write(index, [Document(str(n), ROW, {"year": n}) for n in range(10)])
        backend.delete(index, ["0", "zz"])
        backend.delete(index, [])
        backend.delete(index, filters.ids([]))
        backend.delete(index, field("lang").is_in([]))
        assert backend.count(index, None) == 9
        backend.delete(index, (field("year") > 7) | filters.ids(["1"]))
        assert sorted(
            document.id
            for document in backend.scan(index, cursor=None, limit=100, condition=None, with_vectors=False).documents
        ) == ["2", "3", "4", "5", "6", "7"]
