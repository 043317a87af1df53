"""Fields of documents in Vespa: payload comes back as it was, and what an attribute would lose is kept out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.engine.payload import checked
from lateint.spec import FieldType
from lateint.testing.payloads import FIELDS, SHAPES, VALUES
from lateint_vespa import properties

INDIA = timezone(timedelta(hours=5, minutes=30))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
integers = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(timezones=st.sampled_from([UTC, INDIA, timezone(timedelta(hours=-8))]))
floats = st.floats(allow_nan=False, allow_infinity=False)

OF_TYPE = {
    FieldType.KEYWORD: texts | st.sampled_from(["", "x" * 256, "x" * 257, "\ufffe", "\x00", "\U0010ffff"]),
    FieldType.TEXT: texts,
    FieldType.INTEGER: integers | st.sampled_from([-(2**63), 2**53 + 1]),
    FieldType.FLOAT: floats,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: moments,
}
anything = st.recursive(
    st.none() | st.booleans() | integers | floats | texts | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
declared = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | (st.lists(OF_TYPE[kind.element], max_size=4) if kind.is_list else OF_TYPE[kind])
        for name, kind in FIELDS.items()
    },
)
undeclared = st.dictionaries(
    texts.filter(lambda name: not name.startswith("lateint_") and name not in FIELDS), anything, max_size=3
)
payloads = st.builds(lambda some, more: {**some, **more}, declared, undeclared)


def stored(payload: Mapping[str, Any], fields: Mapping[str, FieldType] = FIELDS) -> dict[str, Any]:
    plain, _ = checked(payload, fields, document="d")
    return properties.stored("d", plain, fields)


class TestRoundTrip:
    @given(payloads)
    def test_any_payload(self, payload: dict[str, Any]) -> None:
        """Through JSON, which is how it travels."""
        document, found = properties.restored(json.loads(json.dumps(stored(payload))))
        assert document == "d"
        assert repr(found) == repr(checked(payload, FIELDS, document="d")[0])

    @pytest.mark.parametrize("shape", SHAPES)
    def test_shapes(self, shape: str) -> None:
        assert properties.restored(json.loads(json.dumps(stored(SHAPES[shape], {})))) == ("d", SHAPES[shape])

    def test_foreign(self) -> None:
        with pytest.raises(errors.UnexpectedResponse, match="lateint_id"):
            properties.restored({"title": "a"})

    def test_no_payload(self) -> None:
        """One that was empty when it was written comes as such; one that was taken away on the way is missed."""
        assert properties.restored(stored({})) == ("d", {})
        with pytest.raises(errors.PartialResult, match="lateint_payload"):
            properties.restored({"lateint_id": "d"})
        assert properties.restored({"lateint_id": "d"}, with_payload=False) == ("d", {})


class TestFields:
    @given(payloads)
    def test_fit_the_schema(self, payload: dict[str, Any]) -> None:
        """Vespa refuses a document with another field, or a value of another type, or text that it does not take."""
        types: dict[str, type] = {"string": str, "long": int, "int": int, "double": float, "bool": bool}
        kinds = {each.name: each.type for each in properties.definitions(FIELDS)}
        for name, value in stored(payload).items():
            kind = kinds[name]
            if kind.startswith("array<"):
                assert isinstance(value, list)
            for element in value if isinstance(value, list) else [value]:
                assert type(element) is types[kind.removeprefix("array<").removesuffix(">")]
                assert not isinstance(element, int) or -(2**63) < element < 2**63
                assert not isinstance(element, str) or not properties._ILLEGAL.search(element)

    @given(payloads)
    def test_nothing_empty_is_sent(self, payload: dict[str, Any]) -> None:
        """Vespa takes empty text and empty lists for nothing: words say so instead."""
        assert all(value not in ("", []) for value in stored(payload).values())

    @given(payloads)
    def test_an_update_knows_all_of_them(self, payload: dict[str, Any]) -> None:
        """What it does not set, it clears: a field that it forgets would keep the value of before."""
        assert {"lateint_id", *properties.changeable(FIELDS)} >= stored(payload).keys()

    @given(payloads, payloads)
    def test_a_digest_is_of_the_whole_payload(self, one: dict[str, Any], another: dict[str, Any]) -> None:
        """Another payload has another one, a double can hold it, and the declared fields are no part of it."""
        digest = stored(one)["lateint_digest"]
        assert 0 <= digest < 2**53
        assert (stored(another)["lateint_digest"] == digest) is (
            stored(another)["lateint_payload"] == stored(one)["lateint_payload"]
        )
        assert stored(one, {})["lateint_digest"] == digest

    @pytest.mark.parametrize("kind", FieldType)
    def test_every_value_is_found_in_one_place(self, kind: FieldType) -> None:
        """By the attribute or by a word, and by no other value."""
        for value in VALUES[kind]:
            for element in value if kind.is_list else [value]:
                if properties.is_near(element, kind):
                    continue
                assert properties.far_word("name", element) in stored({"name": value}, {"name": kind})["lateint_fields"]

    @given(st.lists(texts | integers, min_size=2, max_size=2, unique=True))
    def test_words_tell_values_apart(self, values: list[Any]) -> None:
        assert len({properties.far_word("name", value) for value in values if isinstance(value, str)}) == len(
            [value for value in values if isinstance(value, str)]
        )
        assert properties.far_word("a", "b=#c") != properties.far_word("a=#b", "c")

    @given(moments)
    def test_datetimes_are_whole_seconds_and_the_rest(self, value: datetime) -> None:
        """Both are small enough for what Vespa compares exactly, and together they are the instant."""
        whole, micros = properties.seconds(value)
        assert abs(whole) < 2**53
        assert 0 <= micros < 1_000_000
        since = value - datetime(1970, 1, 1, tzinfo=UTC)
        assert timedelta(seconds=whole, microseconds=micros) == since
