"""Filters in Weaviate: their form. That the server means by them what lateint does is shown on the server itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the messages come with lateint[weaviate]")

from lateint import errors, field, filters, ids
from lateint.spec import FieldType
from lateint.testing.payloads import FIELDS, elements
from lateint_weaviate.filters import everything, found, lowered, matching_ids, nothing
from lateint_weaviate.properties import sort_key, text_word
from lateint_weaviate.protocol import base_pb2
from lateint_weaviate.schema import object_id

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
SAME_NOON = NOON.astimezone(timezone(timedelta(hours=6, minutes=1, seconds=40)))
NOON_TEXT = "2024-02-29T12:00:00.000000+00:00"
ANCIENT = datetime(1, 1, 1, tzinfo=UTC)
OLDEST_TEXT = "1678-01-01T00:00:00.000000+00:00"
SIGNS = {
    "EQUAL": "==",
    "LESS_THAN": "<",
    "LESS_THAN_EQUAL": "<=",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUAL": ">=",
    "CONTAINS_ANY": "in",
    "IS_NULL": "null",
}


def shown(condition: base_pb2.Filters) -> Any:
    """A filter as (property, operator, value), or a list with the connective first."""
    operator = base_pb2.Filters.Operator.Name(condition.operator).removeprefix("OPERATOR_")
    if condition.filters:
        assert operator != "NOT" or len(condition.filters) == 1
        return [operator.lower(), *map(shown, condition.filters)]
    value = getattr(condition, condition.WhichOneof("test_value") or "")
    return (condition.target.property, SIGNS[operator], list(value.values) if operator == "CONTAINS_ANY" else value)


def bound(condition: filters.Filter) -> filters.Filter:
    return filters.bound(condition, FIELDS)


NOTHING = ("_id", "==", "")

GOLDEN = [
    (field("word") == "en", ("word", "==", "en")),
    (field("word") != "en", ["not", ("word", "==", "en")]),
    (field("word") == " en", ("lateint_fields", "==", text_word("word", " en"))),
    (field("word") == "", ("lateint_fields", "==", text_word("word", ""))),
    (field("word") == "x" * 257, ("lateint_fields", "==", text_word("word", "x" * 257))),
    (field("word").is_in(["en", "de"]), ("word", "in", ["en", "de"])),
    (
        field("word").is_in(["en", "", "de", "\u00a0"]),
        [
            "or",
            ("word", "in", ["en", "de"]),
            ("lateint_fields", "in", [text_word("word", ""), text_word("word", "\u00a0")]),
        ],
    ),
    (field("word").is_in([]), NOTHING),
    (field("prose") == "a b", ("lateint_fields", "==", text_word("prose", "a b"))),
    (field("words").contains("a"), ("words", "==", "a")),
    (field("flag") == False, ("flag", "==", False)),  # noqa: E712 - this is how it is written
    (field("flag").is_in([True, False]), ("flag", "in", [True, False])),
    (field("number") == 7, ("number", "==", 7)),
    (field("number") == 2**53 + 1, ("lateint_far_number", "==", sort_key(2**53 + 1))),
    (
        field("number").is_in([1, 2, -(2**63)]),
        ["or", ("number", "in", [1, 2]), ("lateint_far_number", "==", "0" * 16)],
    ),
    (field("number") < 5, ["or", ("lateint_far_number", "<", sort_key(5)), ("number", "<", 5)]),
    (
        field("number") <= 2**62,
        ["or", ("lateint_far_number", "<=", sort_key(2**62)), ("number", ">=", -(2**53))],
    ),
    (field("number") > 2**62, ("lateint_far_number", ">", sort_key(2**62))),
    (
        field("numbers") >= -(2**62),
        ["or", ("lateint_far_numbers", ">=", sort_key(-(2**62))), ("numbers", ">=", -(2**53))],
    ),
    (field("numbers") < -(2**62), ("lateint_far_numbers", "<", sort_key(-(2**62)))),
    (field("ratio") == 0.5, ("ratio", "==", 0.5)),
    (field("ratio") == 0.0, ("ratio", "in", [0.0, -0.0])),
    (field("ratio").is_in([0.5, 2]), ("ratio", "in", [0.5, 2.0])),
    (field("ratios") >= 0.5, ("ratios", ">=", 0.5)),
    (field("moment") == SAME_NOON, ("moment", "==", NOON_TEXT)),
    (field("moment") == ANCIENT, ("lateint_far_moment", "==", sort_key(ANCIENT))),
    (
        field("moment") < SAME_NOON,
        ["or", ("lateint_far_moment", "<", sort_key(NOON)), ("moment", "<", NOON_TEXT)],
    ),
    (
        field("moment") > ANCIENT,
        ["or", ("lateint_far_moment", ">", sort_key(ANCIENT)), ("moment", ">=", OLDEST_TEXT)],
    ),
    (field("words").exists(), ("lateint_fields", "==", "words")),
    (~field("words").exists(), ["not", ("lateint_fields", "==", "words")]),
    (ids(["a"]), ("_id", "==", object_id("a"))),
    (ids(["a", "b"]), ("_id", "in", [object_id("a"), object_id("b")])),
    (ids([]), NOTHING),
    (
        (field("word") == "a") & ~((field("flag") == True) | (field("number") == 1)),  # noqa: E712
        ["and", ("word", "==", "a"), ["not", ["or", ("flag", "==", True), ("number", "==", 1)]]],
    ),
]


class TestLowered:
    @pytest.mark.parametrize(("condition", "expected"), GOLDEN, ids=[str(case) for case in range(len(GOLDEN))])
    def test_golden(self, condition: filters.Filter, expected: Any) -> None:
        assert shown(lowered(bound(condition), FIELDS)) == expected

    @pytest.mark.parametrize(
        ("condition", "sign"),
        [
            (field("ratio") < 0.0, -1.0),
            (field("ratio") >= -0.0, -1.0),
            (field("ratio") <= -0.0, 1.0),
            (field("ratio") > 0.0, 1.0),
        ],
    )
    def test_zeros(self, condition: filters.Filter, sign: float) -> None:
        """The server's index puts -0.0 before 0.0; no bound may fall between them."""
        value = lowered(bound(condition), FIELDS).value_number
        assert (value, math.copysign(1, value)) == (0, sign)

    @pytest.mark.parametrize("name", FIELDS)
    def test_every_value_can_be_sent(self, name: str) -> None:
        """Each bound of each type, years 1 and 9999 and 64 bits among them, has a form that protobuf takes."""
        kind = FIELDS[name]
        for value in elements(kind):
            conditions = [field(name) == value, field(name).is_in([value, elements(kind)[0]])]
            if kind.is_ordered:
                conditions += [field(name) < value, field(name) <= value, field(name) > value, field(name) >= value]
            for condition in conditions:
                assert lowered(bound(condition), FIELDS).SerializeToString()

    def test_names(self) -> None:
        """Properties have other names than their fields where Weaviate would not take those."""
        fields = {"MyProp": FieldType.KEYWORD, "id": FieldType.INTEGER}
        assert shown(lowered(field("MyProp") == "a", fields)) == ("myProp__5", "==", "a")
        assert shown(lowered(field("id") > 2**62, fields)) == ("lateint_far_id__0", ">", sort_key(2**62))
        assert shown(lowered(field("MyProp").exists(), fields)) == ("lateint_fields", "==", "MyProp")

    def test_constants(self) -> None:
        assert shown(everything()) == ("lateint_all", "==", True)
        assert shown(nothing()) == NOTHING
        assert shown(matching_ids([])) == NOTHING


TEXT = {"tokenization": "field", "indexFilterable": True}


class TestFound:
    """Collections of other applications: what their indexes say exactly works, anything else is refused."""

    @staticmethod
    def lower(condition: filters.Filter, *, null_state: bool = True, **definition: Any) -> Any:
        properties = dict.fromkeys(FIELDS, TEXT | definition)
        return shown(found(bound(condition), FIELDS, properties=properties, null_state=null_state))

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (field("word") == "en", ("word", "==", "en")),
            (~field("words").is_in(["a", "b"]), ["not", ("words", "in", ["a", "b"])]),
            (field("number") > -(2**60), ("number", ">", -(2**60))),
            (field("moment") <= NOON, ("moment", "<=", NOON_TEXT)),
            (
                field("ratio").is_in([0.5]) & field("flag").is_in([True]),
                ["and", ("ratio", "==", 0.5), ("flag", "==", True)],
            ),
            (field("number").exists(), ("number", "null", False)),
            (field("word").is_in([]), NOTHING),
            (ids(["6f3c1f5e-0000-5000-8000-000000000001"]), ("_id", "==", "6f3c1f5e-0000-5000-8000-000000000001")),
        ],
    )
    def test_golden(self, condition: filters.Filter, expected: Any) -> None:
        assert self.lower(condition) == expected

    @pytest.mark.parametrize(
        ("condition", "definition"),
        [
            (field("word") == "en", {"tokenization": "word"}),
            (field("word") == "en", {"tokenization": None}),
            (field("word") == "en", {"indexFilterable": False}),
            (field("word") == " en", {}),
            (field("word").is_in(["en", ""]), {}),
            (field("number") > 1, {"indexFilterable": False}),
            (field("moment") > ANCIENT, {}),
            (field("word").exists(), {}),
            (field("numbers").exists(), {}),
            (~field("number").exists(), {"null_state": False}),
        ],
    )
    def test_refused(self, condition: filters.Filter, definition: dict[str, Any]) -> None:
        with pytest.raises(errors.UnsupportedFeature, match="filter on field"):
            self.lower(condition, **definition)

    def test_range_index_alone(self) -> None:
        assert self.lower(field("number") > 1, indexFilterable=False, indexRangeFilters=True) == ("number", ">", 1)
