"""The filter algebra: one meaning, held by the evaluator that every engine is compared with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.engine.payload import checked
from lateint.filters import (
    MAX_DEPTH,
    And,
    Comparison,
    Filter,
    IsIn,
    Not,
    Operator,
    Or,
    bound,
    field,
    fields_of,
    from_json,
    ids,
    matches,
    to_json,
)
from lateint.spec import FieldType


class Autumn(tzinfo):
    """The night in which clocks go back: every time comes twice, told apart by `fold`."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment is not None and moment.fold else 2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None) -> str:
        return "autumn"


FIELDS = {kind.name.lower(): kind for kind in FieldType}
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
NOON_IN_DELHI = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
FIRST_HALF_PAST_TWO = datetime(2024, 10, 27, 2, 30, tzinfo=Autumn())
SECOND_HALF_PAST_TWO = FIRST_HALF_PAST_TWO.replace(fold=1)

texts = st.sampled_from(["", "a", "A", "en", "en ", "x:y"])
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])).map(
    lambda moment: moment.replace(fold=0)
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.KEYWORD: texts,
    FieldType.TEXT: texts,
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0]),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: moments,
}


def _comparisons(name: str, kind: FieldType) -> st.SearchStrategy[Filter]:
    operators = list(Operator) if kind.is_ordered else [Operator.EQUAL]
    value = VALUES[kind.element]
    return (
        st.builds(Comparison, st.just(name), st.sampled_from(operators), value)
        | st.builds(IsIn, st.just(name), st.lists(value, max_size=3).map(tuple))
        | st.just(field(name).exists())
    )


names = st.sampled_from(["d-1", "d-2", "d-3"])
leaves: st.SearchStrategy[Filter] = st.one_of(
    *(_comparisons(name, kind) for name, kind in FIELDS.items()), st.lists(names, max_size=3).map(ids)
)
conditions: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda left, right: left & right, inner, inner)
        | st.builds(lambda left, right: left | right, inner, inner)
        | inner.map(lambda part: ~part)
    ),
    max_leaves=6,
)
payloads: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | (st.lists(VALUES[kind.element], max_size=3) if kind.is_list else VALUES[kind])
        for name, kind in FIELDS.items()
    },
)


def holds(condition: Filter, payload: dict[str, Any], *, document: str = "d-1") -> bool:
    """As the pipelines do it: filter bound, payload checked."""
    plain, _ = checked(payload, FIELDS, document=document)
    return matches(bound(condition, FIELDS), document=document, payload=plain)


class Language(str, Enum):  # noqa: UP042 - the form that older code has, and whose str() is its name
    ENGLISH = "en"


class Level(IntEnum):
    HIGH = 2


class TestMeaning:
    """The sentences of the module's docstring, case by case."""

    @pytest.mark.parametrize(
        "condition",
        [
            field("integer") == 1,
            field("integer") < 1,
            field("integer") <= 1,
            field("integer") > 1,
            field("integer") >= 1,
            field("integer").is_in([1]),
            field("integer").between(0, 2),
            field("integer").exists(),
            field("integers").contains(1),
            field("integers").exists(),
        ],
    )
    @pytest.mark.parametrize("payload", [{}, {"integer": None, "integers": None}], ids=["missing", "null"])
    def test_missing_and_null_match_nothing_and_their_negation(
        self, condition: Filter, payload: dict[str, Any]
    ) -> None:
        """Engines differ most here: three-valued logic, defaults of 0, nulls that are not indexed."""
        assert not holds(condition, payload)
        assert holds(~condition, payload)

    def test_not_equal_is_negated_equal(self) -> None:
        """`!=` on a missing field holds, for there it is not equal."""
        condition = field("keyword") != "a"
        assert condition == ~(field("keyword") == "a")
        assert holds(condition, {})
        assert holds(condition, {"keyword": "b"})
        assert not holds(condition, {"keyword": "a"})
        assert not holds(field("keywords") != "a", {"keywords": ["a", "b"]})

    @pytest.mark.parametrize(
        ("payload", "there"),
        [
            ({"keyword": ""}, True),
            ({"keywords": []}, True),
            ({"boolean": False}, True),
            ({"integer": 0}, True),
            ({"keyword": None}, False),
            ({}, False),
        ],
    )
    def test_exists(self, payload: dict[str, Any], *, there: bool) -> None:
        """Empty is there; null is not. Several engines say otherwise of empty lists and texts."""
        name = next(iter(payload), "keyword")
        assert holds(field(name).exists(), payload) is there

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (field("integers") == 3, True),
            (field("integers").contains(3), True),
            (field("integers") == 2, False),
            (field("integers") > 4, True),
            (field("integers") > 5, False),
            (field("integers").is_in([0, 1]), True),
            (field("integers").between(2, 4), True),
            (field("integers").between(6, 9), False),
        ],
    )
    def test_any_element_of_a_list(self, condition: Filter, *, expected: bool) -> None:
        """`between` on a list is two conditions, each met by any element: 5 is above 4, 1 is below it."""
        assert holds(condition, {"integers": [1, 3, 5]}) is expected

    def test_empty_list_has_no_element(self) -> None:
        """It exists and equals nothing."""
        assert not holds(field("keywords").contains(""), {"keywords": []})
        assert holds(field("keywords").contains(""), {"keywords": [""]})

    @pytest.mark.parametrize(
        ("low", "high", "inside"), [(2, 2, True), (1, 2, True), (2, 3, True), (3, 4, False), (3, 1, False)]
    )
    def test_between_is_inclusive(self, low: int, high: int, *, inside: bool) -> None:
        """Both ends belong; an empty range matches nothing."""
        assert holds(field("integer").between(low, high), {"integer": 2}) is inside

    @pytest.mark.parametrize("value", ["a", "A ", " A", "A b", "a\u0301", "Á"])
    def test_text_is_whole_and_exact(self, value: str) -> None:
        """An analyser would match all of these."""
        for name in ("keyword", "text"):
            assert holds(field(name) == value, {name: value})
            assert not holds(field(name) == "A", {name: value})

    @pytest.mark.parametrize("value", [2**53, 2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1])
    def test_integers_are_exact_over_64_bits(self, value: int) -> None:
        """An engine that compares as doubles finds the neighbours too."""
        assert holds(field("integer") == value, {"integer": value})
        other = value - 1 if value > 0 else value + 1
        assert not holds(field("integer") == value, {"integer": other})

    def test_boolean_is_not_an_integer(self) -> None:
        """Python says True == 1; filters do not, also where types were not checked."""
        assert not matches(field("x") == 1, document="a", payload={"x": True})
        assert not matches(field("x") == True, document="a", payload={"x": 1})  # noqa: E712
        assert not matches(field("x").is_in([0, 1]), document="a", payload={"x": [True, False]})
        assert matches(field("x") == True, document="a", payload={"x": [1, True]})  # noqa: E712

    def test_zeros_are_equal(self) -> None:
        """-0.0 and 0.0 are one number, though not one sequence of bits."""
        assert holds(field("float") == 0.0, {"float": -0.0})

    def test_ids(self) -> None:
        """By the document's id, whatever its payload."""
        assert holds(ids(["d-1", "x"]), {}, document="d-1")
        assert not holds(ids(["d-1"]), {"keyword": "d-1"}, document="d-2")

    def test_no_alternatives_match_nothing(self) -> None:
        """`is_in([])` comes out of computed lists; it must not mean "no filter"."""
        assert not holds(field("keyword").is_in([]), {"keyword": "a"})
        assert not holds(ids([]), {})
        assert holds(~ids([]), {})


class TestInstants:
    """Datetimes compare as instants, whatever zone they are written in."""

    @pytest.mark.parametrize("written", [NOON, NOON_IN_DELHI])
    def test_same_instant_in_another_zone(self, written: datetime) -> None:
        """12:00 in London is 17:30 in Delhi."""
        payload = {"datetime": written}
        assert holds(field("datetime") == NOON, payload)
        assert holds(field("datetime").between(NOON, NOON_IN_DELHI), payload)
        assert not holds(field("datetime") < NOON, payload)
        assert holds(field("datetime") < NOON + timedelta(microseconds=1), payload)

    @pytest.mark.parametrize("written", [FIRST_HALF_PAST_TWO, SECOND_HALF_PAST_TWO], ids=["first", "second"])
    def test_hour_that_comes_twice_equals_itself_in_utc(self, written: datetime) -> None:
        """Python's == is False between zones for a time in the repeated hour (PEP 495)."""
        assert holds(field("datetime") == written.astimezone(UTC), {"datetime": written})
        assert holds(field("datetime") == written, {"datetime": written.astimezone(UTC)})

    def test_hour_that_comes_twice_is_two_hours(self) -> None:
        """Python compares within one zone by the clock on the wall, which shows the same twice."""
        payload = {"datetime": SECOND_HALF_PAST_TWO}
        assert not holds(field("datetime") == FIRST_HALF_PAST_TWO, payload)
        assert holds(field("datetime") > FIRST_HALF_PAST_TWO, payload)

    def test_ends_of_the_calendar(self) -> None:
        """The UTC form of these is outside of Python's years."""
        early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
        late = datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12)))
        assert holds(field("datetime") < datetime(1, 1, 1, tzinfo=UTC), {"datetime": early})
        assert holds(field("datetime") > early, {"datetime": late})


class TestAlgebra:
    """Laws that an optimiser, ours or an engine's, relies on."""

    @given(conditions, conditions, payloads, names)
    def test_de_morgan(self, left: Filter, right: Filter, payload: dict[str, Any], document: str) -> None:
        """Negation pushed inwards means the same: that is how filters are lowered where an engine has no `~`."""
        assert holds(~(left & right), payload, document=document) is holds(~left | ~right, payload, document=document)
        assert holds(~(left | right), payload, document=document) is holds(~left & ~right, payload, document=document)

    @given(conditions, payloads, names)
    def test_double_negation(self, condition: Filter, payload: dict[str, Any], document: str) -> None:
        """There is no third truth value."""
        assert holds(~~condition, payload, document=document) is holds(condition, payload, document=document)

    @given(conditions, conditions, payloads)
    def test_and_or_are_pythons(self, left: Filter, right: Filter, payload: dict[str, Any]) -> None:
        """Combining filters is combining their answers."""
        both, either = (holds(left, payload), holds(right, payload)), holds(left | right, payload)
        assert holds(left & right, payload) is all(both)
        assert either is any(both)

    def test_chains_are_flat(self) -> None:
        """A chain of a thousand parts, as a program builds it, must not be a thousand deep."""
        parts = [field("integer") == number for number in range(1000)]
        assert reduce(lambda left, right: left & right, parts) == And(tuple(parts))
        assert reduce(lambda left, right: left | right, parts) == Or(tuple(parts))
        bound(reduce(lambda left, right: left | right, parts), FIELDS)

    def test_mixed_chains_keep_their_meaning(self) -> None:
        """Flattening stops where the operator changes."""
        first, second, third = (field("integer") == number for number in range(3))
        assert (first & second) | third == Or((And((first, second)), third))
        assert first & (second | third) == And((first, Or((second, third))))

    def test_fields_of(self) -> None:
        """What a filter needs is what is checked and fetched."""
        condition = (field("a") == 1) & ~(field("b").exists() | field("c").is_in(["x"])) & ids(["d"])
        assert fields_of(condition) == {"a", "b", "c"}


class TestRefusedExpressions:
    """What Python would evaluate to something else."""

    def test_and_or_not(self) -> None:
        """`a and b` is b: half of the condition would be gone without a word."""
        condition = field("integer") > 1
        for expression in (
            lambda: condition and condition,
            lambda: condition or condition,
            lambda: not condition,
            lambda: 1 < field("integer") < 3,
            lambda: field("integer") in [1, 2],
            lambda: bool(condition),
        ):
            with pytest.raises(errors.InvalidInput, match=r"Use `&`, `\|`, `~`"):
                expression()

    def test_bare_field_has_no_truth_value(self) -> None:
        """`field("draft") and …` is the second half alone."""
        with pytest.raises(errors.InvalidInput):
            bool(field("boolean"))

    @pytest.mark.parametrize("word", ["abc", b"abc"])
    def test_one_word_for_several(self, word: Any) -> None:
        """Text is iterable: is_in("abc") would be any of a, b, c."""
        with pytest.raises(errors.InvalidInput, match=r"Write is_in\(\["):
            field("keyword").is_in(word)
        with pytest.raises(errors.InvalidInput, match=r"Write ids\(\["):
            ids(word)

    @pytest.mark.parametrize(
        "value", [None, [1], (1,), {"a": 1}, b"a", object(), 1j, "\ud800", np.arange(2), field("other")]
    )
    def test_values_that_are_no_scalars(self, value: Any) -> None:
        """Refused where it is written, not when it is sent."""
        for make in (
            lambda: field("integer") == value,
            lambda: field("integer") != value,
            lambda: field("integer") < value,
            lambda: field("integer").is_in([value]),
            lambda: field("integer").contains(value),
        ):
            with pytest.raises(errors.InvalidInput, match="field 'integer'"):
                make()

    def test_none_says_what_to_write(self) -> None:
        """`== None` is what people write for "missing"."""
        with pytest.raises(errors.InvalidInput, match=r"~field\(…\)\.exists\(\)"):
            field("integer") == None  # noqa: B015, E711

    @pytest.mark.parametrize("name", ["", None, 1])
    def test_field_name(self, name: Any) -> None:
        """`field(column)` with the wrong variable."""
        with pytest.raises(errors.InvalidInput):
            field(name)

    @pytest.mark.parametrize("other", [True, "x", None, field("integer")])
    def test_operand_that_is_no_filter(self, other: Any) -> None:
        """`filter & True` comes from a forgotten comparison."""
        condition = field("integer") > 1
        with pytest.raises(errors.InvalidInput, match="is not a filter"):
            condition & other
        with pytest.raises(errors.InvalidInput, match="is not a filter"):
            condition | other

    def test_ids_are_checked(self) -> None:
        """An id that cannot exist is a mistake, not an empty answer."""
        with pytest.raises(errors.InvalidInput, match="document id"):
            ids(["a", 7])  # type: ignore[list-item]

    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (np.int64(3), 3),
            (np.uint8(3), 3),
            (np.float32(0.5), 0.5),
            (np.float64(0.5), 0.5),
            (np.bool_(True), True),
            (np.str_("a"), "a"),
            (Language.ENGLISH, "en"),
            (Level.HIGH, 2),
        ],
    )
    def test_values_become_plain(self, value: Any, plain: Any) -> None:
        """Values come out of data frames and enums; JSON and protobuf know no int64, and an f-string shows an enum's name."""
        made = field("x") == value
        assert made == Comparison("x", Operator.EQUAL, plain)
        assert isinstance(made, Comparison)
        assert type(made.value) is type(plain)
        assert field("x").is_in([value]) == IsIn("x", (plain,))

    def test_arrays_hold_several_values(self) -> None:
        """`is_in(frame["year"].unique())`."""
        assert field("x").is_in(np.array([1, 2])) == IsIn("x", (1, 2))

    def test_numpy_nanoseconds_are_no_number(self) -> None:
        """`datetime64[ns].item()` is an integer: the filter would compare with 1.7e18."""
        with pytest.raises(errors.InvalidInput):
            field("integer").contains(np.datetime64("2024-01-01T00:00:00.000000000"))  # type: ignore[arg-type]


BAD_BOUNDS: list[tuple[str, Filter, str]] = [
    ("undeclared", field("yaer") == 1, "'yaer', which the index does not declare"),
    ("undeclared, exists", field("yaer").exists(), "'yaer', which the index does not declare"),
    ("undeclared, in", field("yaer").is_in([]), "'yaer', which the index does not declare"),
    ("undeclared, deep inside", ~((field("integer") == 1) | ~(field("yaer") == 1)), "'yaer'"),
    ("text for integer", field("integer") == "1", "'1' (str) is not a 64-bit integer"),
    ("float for integer", field("integer") == 1.0, "1.0 (float) is not a 64-bit integer"),
    ("bool for integer", field("integer") == True, "True (bool) is not a 64-bit integer"),  # noqa: E712
    ("65 bits", field("integer") == 2**63, "is not a 64-bit integer"),
    ("65 bits, negative", field("integer") == -(2**63) - 1, "is not a 64-bit integer"),
    ("integer for keyword", field("keyword") == 1, "1 (int) is not text"),
    ("integer for text", field("text") == 1, "1 (int) is not text"),
    ("integer for boolean", field("boolean") == 1, "1 (int) is not True or False"),
    ("bool for float", field("float") == True, "True (bool) is not a finite number"),  # noqa: E712
    ("NaN", field("float").is_in([1.0, float("nan")]), "nan (float) is not a finite number"),
    ("infinity", field("float") <= float("inf"), "inf (float) is not a finite number"),
    ("integer that no float is", field("float") == 2**53 + 1, "9007199254740993 (int) is not a finite number"),
    ("integer beyond floats", field("float") == 10**400, "is not a finite number"),
    ("text for datetime", field("datetime") == "2024-01-01", "is not a datetime with a time zone"),
    ("naive datetime", field("datetime") == datetime(2024, 1, 1), "is not a datetime with a time zone"),  # noqa: DTZ001
    ("in, one is wrong", field("integer").is_in([1, "2"]), "'2' (str) is not a 64-bit integer"),
    ("wrong element of a list field", field("integers") == "a", "'a' (str) is not a 64-bit integer"),
    ("order on keyword", field("keyword") < "a", "< has no meaning for type 'keyword'"),
    ("order on text", field("text") >= "a", ">= has no meaning for type 'text'"),
    ("order on boolean", field("boolean") > False, "> has no meaning for type 'boolean'"),
    ("order on keywords", field("keywords").between("a", "b"), ">= has no meaning for type 'keyword[]'"),
    ("not a filter", "year > 2020", "'year > 2020' is not a filter"),  # type: ignore[list-item]
]


class TestBound:
    """Against the declared fields, before anything is sent."""

    @pytest.mark.parametrize(
        ("condition", "words"), [row[1:] for row in BAD_BOUNDS], ids=[row[0] for row in BAD_BOUNDS]
    )
    def test_refused(self, condition: Filter, words: str) -> None:
        """Engines answer a filter of the wrong type with nothing, everything, or an error; lateint with this."""
        with pytest.raises(errors.InvalidInput) as raised:
            bound(condition, FIELDS)
        assert words in str(raised.value)

    def test_suggests_the_nearest_field(self) -> None:
        """A typo is the usual reason."""
        with pytest.raises(errors.InvalidInput, match="Did you mean 'year'"):
            bound(field("yaer") == 1, {"year": FieldType.INTEGER, "lang": FieldType.KEYWORD})

    @pytest.mark.parametrize("value", [0, -1, 2**53, -(2**53), 2**60, 10**22])
    def test_integers_become_floats_where_exact(self, value: int) -> None:
        """`field("price") >= 10` is what people write on a float field."""
        made = bound(field("float") >= value, FIELDS)
        assert isinstance(made, Comparison)
        assert type(made.value) is float
        assert int(made.value) == value

    @given(conditions)
    def test_binding_twice_changes_nothing(self, condition: Filter) -> None:
        """A filter that was read from a cursor is bound again."""
        once = bound(condition, FIELDS)
        assert repr(bound(once, FIELDS)) == repr(once)

    @given(conditions, payloads)
    def test_binding_keeps_the_meaning(self, condition: Filter, payload: dict[str, Any]) -> None:
        """It converts, drops repetitions, and nothing else."""
        plain, _ = checked(payload, FIELDS, document="d-1")
        before = matches(condition, document="d-1", payload=plain)
        assert matches(bound(condition, FIELDS), document="d-1", payload=plain) is before

    def test_as_deep_as_allowed(self) -> None:
        """The limit itself works."""
        condition: Filter = field("integer") == 1
        for _ in range(MAX_DEPTH):
            condition = Not(condition)
        assert holds(condition, {"integer": 1})

    @pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
    def test_too_deep(self, depth: int) -> None:
        """A filter built in a loop must be refused by name, before it breaks Python's stack or a parser's."""
        condition: Filter = field("integer") == 1
        for _ in range(depth):
            condition = Not(condition)
        with pytest.raises(errors.InvalidInput, match=f"deeper than {MAX_DEPTH}"):
            bound(condition, FIELDS)
        while isinstance(condition, Not):  # taken apart by hand: the interpreter would recurse
            condition = condition.filter


YEAR: dict[str, Any] = {"field": "year", "op": "==", "value": 2020}

MALFORMED: list[tuple[str, Any]] = [
    ("null", None),
    ("text", "year > 2020"),
    ("list", [YEAR]),
    ("number", 1),
    ("empty object", {}),
    ("no operator", {"field": "year", "value": 1}),
    ("no field", {"op": "==", "value": 1}),
    ("no value", {"field": "year", "op": "=="}),
    ("unknown operator", {"field": "year", "op": "=", "value": 1}),
    ("operator not text", {"field": "year", "op": 1, "value": 1}),
    ("field not text", {"field": 1, "op": "==", "value": 1}),
    ("field empty", {"field": "", "op": "exists"}),
    ("field empty in a comparison", {"field": "", "op": "==", "value": 1}),
    ("value null", {"field": "year", "op": "==", "value": None}),
    ("value a list", {"field": "year", "op": "==", "value": [1]}),
    ("value an object", {"field": "year", "op": "==", "value": {"a": 1}}),
    ("not equal to null", {"field": "year", "op": "!=", "value": None}),
    ("in without a list", {"field": "year", "op": "in", "value": "abc"}),
    ("in with null", {"field": "year", "op": "in", "value": [None]}),
    ("exists with a value", {"field": "year", "op": "exists", "value": True}),
    ("extra key", {**YEAR, "boost": 2}),
    ("extra key beside and", {"and": [YEAR], "or": [YEAR]}),
    ("extra key beside not", {"not": YEAR, "field": "year"}),
    ("and of nothing", {"and": []}),
    ("or of nothing", {"or": []}),
    ("and of no list", {"and": YEAR}),
    ("not of a list", {"not": [YEAR]}),
    ("a bad part within", {"and": [YEAR, {"or": [{"field": "year"}]}]}),
    ("ids not a list", {"ids": "abc"}),
    ("ids not text", {"ids": [1]}),
    ("id that cannot be", {"ids": [""]}),
    ("datetime not ISO", {"field": "day", "op": "<", "value": {"datetime": "yesterday"}}),
    ("datetime not text", {"field": "day", "op": "<", "value": {"datetime": 0}}),
    ("datetime with more", {"field": "day", "op": "<", "value": {"datetime": "2024-01-01T00:00:00Z", "x": 1}}),
]


class TestJson:
    """The form for the command line, cursors and logs."""

    @given(conditions)
    def test_round_trip(self, condition: Filter) -> None:
        """Through real JSON text; compared by repr, for which 1, 1.0 and True differ."""
        read = from_json(json.loads(json.dumps(to_json(condition))))
        assert repr(bound(read, FIELDS)) == repr(bound(condition, FIELDS))

    def test_form(self) -> None:
        """People write it by hand, so it is part of the interface."""
        condition = (field("year") >= 2020) & ~field("lang").is_in(["en"]) | (field("day") < NOON) | ids(["a"])
        assert to_json(condition | field("x").exists()) == {
            "or": [
                {
                    "and": [
                        {"field": "year", "op": ">=", "value": 2020},
                        {"not": {"field": "lang", "op": "in", "value": ["en"]}},
                    ]
                },
                {"field": "day", "op": "<", "value": {"datetime": "2024-06-01T12:00:00+00:00"}},
                {"ids": ["a"]},
                {"field": "x", "op": "exists"},
            ]
        }

    def test_not_equal_can_be_written(self) -> None:
        """`!=` has no node of its own, but people write it."""
        assert from_json({"field": "year", "op": "!=", "value": 1}) == (field("year") != 1)

    @pytest.mark.parametrize("data", [data for _, data in MALFORMED], ids=[name for name, _ in MALFORMED])
    def test_malformed(self, data: Any) -> None:
        """What is not understood is refused: a part left out would find the wrong documents."""
        with pytest.raises(errors.InvalidInput):
            from_json(data)

    @pytest.mark.parametrize("key", ["not", "and"])
    def test_too_deep(self, key: str) -> None:
        """JSON from outside must not end in a RecursionError."""
        data: dict[str, Any] = YEAR
        for _ in range(5000):
            data = {key: data if key == "not" else [data]}
        with pytest.raises(errors.InvalidInput, match="deeper"):
            from_json(data)

    def test_datetimes_keep_their_offset(self) -> None:
        """The instant counts, but a person reads the filter too."""
        made = from_json(to_json(field("day") == NOON_IN_DELHI))
        assert isinstance(made, Comparison)
        assert isinstance(made.value, datetime)
        assert made.value.isoformat() == NOON_IN_DELHI.isoformat()
