"""Properties of objects in Weaviate: payload comes back as it was, and what its index would fold is kept out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.engine.payload import checked
from lateint.spec import FieldType
from lateint.testing.payloads import FIELDS, SHAPES
from lateint_weaviate import properties
from lateint_weaviate.properties import sort_key, text_word

INDIA = timezone(timedelta(hours=5, minutes=30))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
integers = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(timezones=st.sampled_from([UTC, INDIA, timezone(timedelta(hours=-8))]))
floats = st.floats(allow_nan=False, allow_infinity=False)

OF_TYPE = {
    FieldType.KEYWORD: texts | st.sampled_from([" a", "a\u00a0", "x" * 257]),
    FieldType.INTEGER: integers | st.sampled_from([2**53, 2**53 + 1]),
    FieldType.FLOAT: floats,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: moments,
    FieldType.TEXT: texts,
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


def trimmed(value: str) -> str:
    """What the server's tokenizer makes of text: Go's definition of white space, written out."""
    return re.sub(r"\A[\s\x85\xa0]+|[\s\x85\xa0]+\Z", "", value)


class TestRoundTrip:
    @given(payloads)
    def test_any_payload(self, payload: dict[str, Any]) -> None:
        """Through JSON, because that is how the server keeps objects and how a partial update is sent."""
        kept = json.loads(json.dumps(stored(payload)))
        document, found = properties.restored(kept)
        assert document == "d"
        assert found == payload
        assert repr(found) == repr(checked(payload, FIELDS, document="d")[0])

    @pytest.mark.parametrize("shape", SHAPES)
    def test_shapes(self, shape: str) -> None:
        kept = json.loads(json.dumps(stored(SHAPES[shape], {})))
        assert properties.restored(kept) == ("d", SHAPES[shape])

    def test_only_what_is_wanted(self) -> None:
        """The id is always needed; the blob, which may be large, only for payload."""
        kept = stored({"word": "a"})
        assert properties.restored({name: kept[name] for name in properties.wanted(payload=False)}) == ("d", {})
        for wanted in (True, ("word",)):
            asked = {name: kept[name] for name in properties.wanted(wanted)}
            assert properties.restored(asked) == ("d", {"word": "a"})
        assert properties.wanted(()) == properties.wanted(payload=False)

    def test_foreign(self) -> None:
        with pytest.raises(errors.UnexpectedResponse, match="lateint_id"):
            properties.restored({"title": "a"})


class TestColumns:
    @given(payloads)
    def test_fit_their_definitions(self, payload: dict[str, Any]) -> None:
        """The server refuses an object with an undeclared property, or a value of another type."""
        types: dict[str, tuple[type, bool]] = {
            "text": (str, False),
            "text[]": (str, True),
            "int": (int, False),
            "int[]": (int, True),
            "number": (float, False),
            "number[]": (float, True),
            "boolean": (bool, False),
            "date": (str, False),
        }
        made = {each["name"]: each["dataType"][0] for each in properties.definitions(FIELDS)}
        for name, value in stored(payload).items():
            kind, is_list = types[made[name]]
            assert isinstance(value, list) == is_list
            assert value != []
            assert all(type(element) is kind for element in (value if is_list else [value]))

    @given(payloads)
    def test_nothing_in_them_is_folded(self, payload: dict[str, Any]) -> None:
        """Text that the tokenizer trims, integers that a double rounds, years whose nanoseconds overflow."""
        kept = stored(payload)
        for text in [kept.get("word", "a"), *kept.get("words", [])]:
            assert text == trimmed(text) != ""
        for number in [kept.get("number", 0), *kept.get("numbers", [])]:
            assert int(float(number)) == number
            assert abs(number) <= 2**53
        moment = datetime.fromisoformat(kept.get("moment", "2000-01-01T00:00:00+00:00"))
        assert abs((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)) * 1000 < 2**63

    def test_readable_by_other_tools(self) -> None:
        kept = stored(
            {"word": "a b", "prose": " x ", "number": 7, "flag": False, "ratios": [0.5], "words": ["a", " b"]}
        )
        del kept["lateint_payload"]
        assert kept == {
            "lateint_id": "d",
            "lateint_all": True,
            "lateint_fields": [
                "flag",
                "flag:false",
                "number",
                "prose",
                "ratios",
                "word",
                "words",
                text_word("prose", " x "),
                text_word("words", " b"),
            ],
            "word": "a b",
            "prose": " x ",
            "number": 7,
            "flag": False,
            "ratios": [0.5],
            "words": ["a"],
        }

    def test_far_values(self) -> None:
        kept = stored({"number": 2**53 + 1, "numbers": [1, -(2**63)], "moment": datetime(1, 1, 1, tzinfo=INDIA)})
        assert kept["lateint_far_number"] == [sort_key(2**53 + 1)]
        assert kept["lateint_far_numbers"] == ["0" * 16]
        assert kept["numbers"] == [1]
        assert kept["lateint_far_moment"] == [sort_key(datetime(1, 1, 1, tzinfo=INDIA))]
        assert not kept.keys() & {"number", "moment"}

    def test_empty_payload(self) -> None:
        assert stored({}) == {"lateint_id": "d", "lateint_all": True}

    def test_null_is_not_sent(self) -> None:
        """The server drops nulls; the blob keeps them apart from what is missing."""
        kept = stored({"word": None, "other": None})
        assert kept.keys() == {"lateint_id", "lateint_all", "lateint_payload"}
        assert properties.restored(kept)[1] == {"word": None, "other": None}

    def test_names(self) -> None:
        """Properties are in lower case at their first letter, and some names are reserved."""
        fields = {"MyProp": FieldType.KEYWORD, "id": FieldType.INTEGER}
        kept = stored({"MyProp": "a", "id": 2**60}, fields)
        made = {each["name"] for each in properties.definitions(fields)}
        assert kept.keys() <= made
        assert (kept["myProp__5"], kept["lateint_far_id__0"]) == ("a", [sort_key(2**60)])
        assert properties.restored(kept)[1] == {"MyProp": "a", "id": 2**60}


class TestSortKeys:
    @given(integers, integers)
    def test_integers(self, one: int, other: int) -> None:
        assert (sort_key(one) < sort_key(other)) == (one < other)
        assert len(sort_key(one)) == 16

    @given(moments, moments)
    def test_datetimes(self, one: datetime, other: datetime) -> None:
        assert (sort_key(one) < sort_key(other)) == (one < other)
        assert (sort_key(one) == sort_key(other)) == (one == other)

    @given(texts, texts)
    def test_words(self, one: str, other: str) -> None:
        """The tokenizer finds nothing to trim in a word, and no two texts share one."""
        assert trimmed(text_word("a", one)) == text_word("a", one)
        assert (text_word("a", one) == text_word("a", other)) == (one == other)


def test_definitions() -> None:
    made = {each["name"]: each for each in properties.definitions(FIELDS)}
    assert made["lateint_payload"]["indexFilterable"] is False
    assert made["prose"]["indexFilterable"] is False
    assert not any(each["indexSearchable"] for each in made.values())
    assert {name for name, each in made.items() if each["indexRangeFilters"]} == {"number", "ratio", "moment"}
    assert all(each.get("tokenization", "field") == "field" for each in made.values())
    assert {name for name in made if name.startswith("lateint_far_")} == {
        "lateint_far_number",
        "lateint_far_numbers",
        "lateint_far_moment",
    }
    assert len({name.lower() for name in made}) == len(made)
