"""Payload: whatever is accepted comes back equal, through any engine; whatever cannot be kept is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lateint import errors
from lateint.engine.payload import (
    MAX_DEPTH,
    Native,
    boolean_word,
    checked,
    decoded,
    encoded,
    iso,
    microseconds,
    projected,
    restored,
    selected,
    words,
)
from lateint.spec import FieldType
from lateint.types import Payload


class Autumn(tzinfo):
    """The night in which clocks go back: every time comes twice, told apart by `fold`."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment is not None and moment.fold else 2)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None) -> str:
        return "autumn"


FIELDS = {kind.name.lower(): kind for kind in FieldType}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
integers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1, 0])
floats = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets | st.just(UTC)).map(lambda moment: moment.replace(fold=0))
keys = text | st.sampled_from(["$datetime", "$object", "$", "", "a.b", "é"])
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | text | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.KEYWORD: text,
    FieldType.TEXT: text,
    FieldType.INTEGER: integers,
    FieldType.FLOAT: floats,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: moments,
}
declared: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | (st.lists(VALUES[kind.element], max_size=3) if kind.is_list else VALUES[kind])
        for name, kind in FIELDS.items()
    },
)
undeclared = st.dictionaries(
    keys.filter(lambda key: key not in FIELDS and not key.startswith("lateint_")), anything, max_size=4
)
payloads: st.SearchStrategy[dict[str, Any]] = st.builds(lambda left, right: {**left, **right}, declared, undeclared)


def exactly(value: Any) -> str:
    """A form in which 1, 1.0 and True differ, and so do two offsets of one instant."""
    return repr(value)


def through_json(native: dict[str, Any]) -> dict[str, Any]:
    """What an engine that speaks JSON does to native fields."""
    text: dict[str, Any] = json.loads(json.dumps(native, default=iso, allow_nan=False))
    return text


def as_it_is(native: dict[str, Any]) -> dict[str, Any]:
    """What an engine with types of its own does to native fields."""
    return native


class TestRoundTrip:
    """Taken apart and put together again: equal to the last bit, whatever the engine can say."""

    @pytest.mark.parametrize("native", Native)
    @pytest.mark.parametrize("engine", [through_json, as_it_is])
    @given(payload=payloads)
    @example(payload={"x": {"$datetime": "2024-01-01"}})
    @example(payload={"x": {"$object": {"$datetime": "2024-01-01"}}})
    @example(payload={"x": [{"$object": [datetime(2024, 1, 1, tzinfo=UTC)]}], "$datetime": "no"})
    @example(payload={"$object": {"a": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}})
    @example(payload={"datetime": datetime(9999, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-12)))})
    @example(payload={"integer": 2**63 - 1, "x": -(2**63), "float": 5e-324, "y": [1.7976931348623157e308, -0.0]})
    @example(payload={"keyword": "", "keywords": [], "x": {}, "y": [], "z": ""})
    def test_checked_projected_restored(
        self, native: Native, engine: Callable[[dict[str, Any]], dict[str, Any]], payload: dict[str, Any]
    ) -> None:
        """The promise of the module, with fields declared or not, nested, and named like the blob's own tags."""
        plain, _ = checked(payload, FIELDS, document="a")
        projection = projected(plain, FIELDS, native)
        back = restored(engine(projection.native), projection.blob, FIELDS)
        assert {key: exactly(value) for key, value in back.items()} == {
            key: exactly(value) for key, value in payload.items()
        }

    @given(payloads)
    def test_blob_alone(self, payload: dict[str, Any]) -> None:
        """The blob is pure ASCII, as engines mangle text beyond it, and says everything by itself."""
        blob = encoded(payload)
        assert blob.isascii()
        assert exactly(decoded(blob)) == exactly(payload)

    @given(payloads)
    def test_checking_twice_changes_nothing(self, payload: dict[str, Any]) -> None:
        """What was read from an index is checked again when it is copied."""
        plain, size = checked(payload, FIELDS, document="a")
        again, same = checked(plain, FIELDS, document="a")
        assert (exactly(again), same) == (exactly(plain), size)

    def test_blob_wins(self) -> None:
        """An engine that stores a shortened or rounded value next to the blob must not be believed."""
        assert restored({"x": "cu", "keyword": "a"}, '{"x":"cut"}', FIELDS) == {"x": "cut", "keyword": "a"}

    def test_reserved_fields_do_not_come_back(self) -> None:
        """lateint's own columns are no payload."""
        assert restored({"lateint_id": "a", "lateint_fields": ["x"], "x": 1}, None, FIELDS) == {"x": 1}

    def test_text_of_undeclared_fields_stays_text(self) -> None:
        """Only a declared datetime is read as one."""
        noon = "2024-06-01T12:00:00+00:00"
        assert restored({"x": noon, "datetime": noon}, None, FIELDS) == {
            "x": noon,
            "datetime": datetime(2024, 6, 1, 12, tzinfo=UTC),
        }

    @pytest.mark.parametrize(
        "blob", ["", "{", "[1]", "null", '{"x":{"$datetime":"no"}}', '{"x":{"$datetime":5}}', '{"x":{"$object":5}}']
    )
    def test_foreign_blob(self, blob: str) -> None:
        """Somebody else wrote to the index: an error of lateint with the text, not a ValueError from inside."""
        with pytest.raises(errors.UnexpectedResponse, match="not readable"):
            decoded(blob)


MIXED: Payload = {"integer": 1, "keyword": None, "datetime": datetime(2024, 1, 1, tzinfo=UTC), "x": "y"}


class TestProjected:
    """Who keeps what."""

    def test_engine_that_keeps_json(self) -> None:
        """Everything native: no blob, no double storage."""
        projection = projected(MIXED, FIELDS, Native.JSON)
        assert (projection.native, projection.blob) == (MIXED, None)

    def test_what_json_cannot_say_goes_to_the_blob(self) -> None:
        """A datetime in an undeclared field, however deep."""
        payload: Payload = {"x": [{"y": datetime(2024, 1, 1, tzinfo=UTC)}], "z": 1}
        projection = projected(payload, FIELDS, Native.JSON)
        assert projection.native == {"z": 1}
        assert projection.blob is not None
        assert list(json.loads(projection.blob)) == ["x"]

    def test_engine_with_columns(self) -> None:
        """Declared fields are columns for filters; the blob is the truth."""
        projection = projected(MIXED, FIELDS, Native.DECLARED)
        assert set(projection.native) == {"integer", "datetime"}
        assert projection.blob is not None
        assert decoded(projection.blob) == MIXED

    @pytest.mark.parametrize("native", Native)
    def test_empty(self, native: Native) -> None:
        """Nothing in, nothing stored."""
        projection = projected({}, FIELDS, native)
        assert (projection.native, projection.blob, projection.words) == ({}, None, [])


class TestWords:
    """The list to which `exists`, `~` and `== ""` are lowered."""

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            ({}, []),
            ({"keyword": None}, []),
            ({"keyword": "a"}, ["keyword"]),
            ({"keyword": ""}, ["keyword", "keyword:empty"]),
            ({"keywords": []}, ["keywords", "keywords:empty"]),
            ({"keywords": [""]}, ["keywords"]),
            ({"boolean": True}, ["boolean", "boolean:true"]),
            ({"boolean": False}, ["boolean", "boolean:false"]),
            ({"integer": 0}, ["integer"]),
            ({"float": 0.0}, ["float"]),
            ({"undeclared": ""}, []),
            ({"text": "", "integer": 1}, ["integer", "text", "text:empty"]),
        ],
    )
    def test_what_is_said(self, payload: Payload, expected: list[str]) -> None:
        """0 and False are no emptiness, null is no presence, and fields without filters need no words."""
        assert words(payload, FIELDS) == expected

    def test_boolean_word(self) -> None:
        """Adapters build the filter with the same function."""
        assert (boolean_word("x", value=True), boolean_word("x", value=False)) == ("x:true", "x:false")


class TestMicroseconds:
    """Exact instants as integers, for engines whose dates are numbers."""

    @given(st.datetimes(timezones=offsets))
    @example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59))))
    @example(datetime(9999, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-23, minutes=-59))))
    def test_exact(self, moment: datetime) -> None:
        """By integer arithmetic: `timestamp()` is a float and wrong by microseconds, `astimezone` fails at the ends."""
        offset = moment.utcoffset()
        assert offset is not None
        days = moment.toordinal() - date(1970, 1, 1).toordinal()
        seconds = ((days * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second
        assert microseconds(moment) == (seconds - round(offset.total_seconds())) * 10**6 + moment.microsecond

    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            (datetime(1970, 1, 1, tzinfo=UTC), 0),
            (datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), -1),
            (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        ],
    )
    def test_around_the_epoch(self, moment: datetime, expected: int) -> None:
        """Before 1970 is negative, rounded nowhere."""
        assert microseconds(moment) == expected

    def test_hour_that_comes_twice(self) -> None:
        """`fold` tells the two apart; they are an hour from each other."""
        first = datetime(2024, 10, 27, 2, 30, tzinfo=Autumn())
        assert microseconds(first.replace(fold=1)) - microseconds(first) == 3600 * 10**6

    @given(moments)
    def test_iso_keeps_offset_and_microseconds(self, moment: datetime) -> None:
        """What an engine gives back as text is the datetime that went in, with its offset."""
        assert exactly(datetime.fromisoformat(iso(moment))) == exactly(moment)


class Language(str, Enum):  # noqa: UP042 - the form that older code has, and whose str() is its name
    ENGLISH = "en"


class TestPlain:
    """What is converted, and that nothing else is."""

    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (np.int64(-1), -1),
            (np.uint64(2**63 - 1), 2**63 - 1),
            (np.float32(0.1), float(np.float32(0.1))),
            (np.float64(0.1), 0.1),
            (np.bool_(False), False),
            (np.str_("a"), "a"),
            ((1, (2, "x")), [1, [2, "x"]]),
            ([np.int8(1)], [1]),
            ({"a": (np.float16(0.5),)}, {"a": [0.5]}),
            (MappingProxyType({"a": 1}), {"a": 1}),
            (Language.ENGLISH, "en"),
        ],
    )
    def test_converted(self, value: Any, plain: Any) -> None:
        """Values come out of data frames and enums; what is kept is plain Python with the same value."""
        (kept,) = checked({"x": value}, {}, document="a")[0].values()
        assert exactly(kept) == exactly(plain)
        assert type(kept) is type(plain)

    def test_whole_numbers_of_float_fields_become_floats(self) -> None:
        """So that a column has one type; exact, or refused."""
        kept = checked({"float": 2, "floats": [1, 2.5], "x": 2}, FIELDS, document="a")[0]
        assert exactly(kept) == exactly({"float": 2.0, "floats": [1.0, 2.5], "x": 2})

    @pytest.mark.parametrize("fold", [0, 1])
    def test_datetime_of_a_named_zone_keeps_instant_and_offset(self, fold: int) -> None:
        """Offsets are what engines keep; Python cannot compare zones in the hour that comes twice, so it must not be asked."""
        given_ = datetime(2024, 10, 27, 2, 30, fold=fold, tzinfo=Autumn())
        kept = checked({"datetime": given_}, FIELDS, document="a")[0]
        assert kept == decoded(encoded(kept))
        assert kept["datetime"] == given_.astimezone(UTC)

    @given(payloads)
    def test_input_is_never_changed(self, payload: dict[str, Any]) -> None:
        """The caller's dictionaries are the caller's, and what is kept does not hang on them."""
        before = copy.deepcopy(payload)
        kept, _ = checked(payload, FIELDS, document="a")
        for projection in Native:
            projected(kept, FIELDS, projection)
        assert exactly(payload) == exactly(before)
        assert all(kept[key] is not value for key, value in payload.items() if isinstance(value, (list, dict)))

    def test_size_grows_with_the_content(self) -> None:
        """Batches are cut by it: it may be rough, but not blind to long text."""
        small, large = (checked({"x": ["y" * length]}, {}, document="a")[1] for length in (10, 10_000))
        assert small < 100
        assert 10_000 <= large < 11_000


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


endless: list[Any] = []
endless += [endless, endless]

REFUSED: list[tuple[str, Any, str]] = [
    ("NaN", float("nan"), "is not finite"),
    ("infinity", float("inf"), "is not finite"),
    ("NumPy NaN", np.float32("nan"), "is not finite"),
    ("65 bits", 2**63, "beyond 64 bits"),
    ("65 bits, negative", -(2**63) - 1, "beyond 64 bits"),
    ("unsigned 64 bits", np.uint64(2**64 - 1), "beyond 64 bits"),
    ("lone surrogate", "a\ud800", "lone surrogate at position 1"),
    ("naive datetime", datetime(2024, 1, 1), "has no time zone"),  # noqa: DTZ001
    ("offset with seconds", datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172))), "whole minutes"),
    ("date", date(2024, 1, 1), "a date cannot be kept"),
    ("duration", timedelta(1), "a timedelta cannot be kept"),
    ("bytes", b"a", "a bytes cannot be kept"),
    ("set", {1}, "a set cannot be kept"),
    ("decimal", Decimal(1), "a Decimal cannot be kept"),
    ("complex", 1j, "a complex cannot be kept"),
    ("NumPy complex", np.complex64(1), "a complex cannot be kept"),
    ("array", np.zeros(2), "a ndarray cannot be kept"),
    ("array without dimensions", np.array(1), "a ndarray cannot be kept"),
    ("NumPy day", np.datetime64("2024-01-01"), "cannot be kept"),
    ("NumPy nanoseconds", np.datetime64("2024-01-01T00:00:00.000000000"), "cannot be kept"),
    ("NumPy duration", np.timedelta64(5, "ns"), "cannot be kept"),
    ("NumPy not a time", np.datetime64("NaT"), "cannot be kept"),
    ("object", object(), "a object cannot be kept"),
    ("within a list", [1, {"a": [float("nan")]}], "is not finite"),
    ("key that is no text, within", {"a": {1: 2}}, "the name is not text"),
    ("key with a surrogate, within", {"\udfff": 2}, "lone surrogate"),
    ("too deep", nested(MAX_DEPTH + 1), f"deeper than {MAX_DEPTH}"),
    ("much too deep", nested(900), f"deeper than {MAX_DEPTH}"),
    ("without end", endless, f"deeper than {MAX_DEPTH}"),
]

WRONG_TYPE: list[tuple[str, Any, str]] = [
    ("keyword", 1, "is not text"),
    ("keyword", ["a"], "is not a single value"),
    ("text", True, "is not text"),
    ("integer", "1", "is not a 64-bit integer"),
    ("integer", 1.0, "is not a 64-bit integer"),
    ("integer", True, "is not a 64-bit integer"),
    ("float", "1", "is not a finite number"),
    ("float", True, "is not a finite number"),
    ("float", 2**53 + 1, "is not a finite number"),
    ("boolean", 1, "is not True or False"),
    ("datetime", "2024-01-01T00:00:00Z", "is not a datetime"),
    ("keywords", "a", "is not a list"),
    ("keywords", ["a", 1], "element 1: 1 (int) is not text"),
    ("keywords", ["a", None], "element 1: None"),
    ("integers", [[1]], "element 0: [1]"),
    ("floats", [True], "element 0: True"),
]


class TestRefused:
    """Every refusal names document and field: among a million documents nothing else helps."""

    @pytest.mark.parametrize(("value", "words_"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
    def test_value(self, value: Any, words_: str) -> None:
        """Kept exactly or not at all."""
        with pytest.raises(errors.PayloadTypeError) as raised:
            checked({"fine": 1, "bad": value}, FIELDS, document="d-7")
        assert "document 'd-7', payload field 'bad'" in str(raised.value)
        assert words_ in str(raised.value)
        assert raised.value.document == "d-7"
        assert raised.value.hint

    @pytest.mark.parametrize(("name", "value", "words_"), WRONG_TYPE)
    def test_type_of_a_declared_field(self, name: str, value: Any, words_: str) -> None:
        """Engines coerce, drop the value, or fail the whole batch."""
        with pytest.raises(errors.PayloadTypeError) as raised:
            checked({name: value}, FIELDS, document="d-7")
        assert f"document 'd-7', payload field {name!r}" in str(raised.value)
        assert words_ in str(raised.value)
        assert FIELDS[name].value in str(raised.value)
        assert raised.value.document == "d-7"

    @pytest.mark.parametrize(
        ("key", "words_"),
        [("lateint_x", "are reserved"), (1, "is not text"), (None, "is not text"), ("a\ud800", "lone surrogate")],
    )
    def test_name(self, key: Any, words_: str) -> None:
        """A number as key would come back as text."""
        with pytest.raises(errors.PayloadTypeError, match=words_) as raised:
            checked({key: 1}, {}, document="d-7")
        assert f"document 'd-7', payload field {key!r}" in str(raised.value)

    @pytest.mark.parametrize("payload", [None, [("a", 1)], "a", 1])
    def test_payload_that_is_no_mapping(self, payload: Any) -> None:
        """A slip of arguments, caught before a batch is built."""
        with pytest.raises(errors.PayloadTypeError, match="document 'd-7': payload is a ") as raised:
            checked(payload, {}, document="d-7")
        assert raised.value.document == "d-7"

    @pytest.mark.parametrize("value", [None, 2**63 - 1, -(2**63), nested(MAX_DEPTH), "", [], {}])
    def test_bounds_are_inside(self, value: Any) -> None:
        """The limits themselves are allowed."""
        assert checked({"x": value}, {}, document="a")[0] == {"x": value}


class TestSelected:
    """What a search asked to see."""

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (True, {"a": 1, "b": {"c": 2}}),
            (False, None),
            (["a"], {"a": 1}),
            (("b", "zzz"), {"b": {"c": 2}}),
            ([], {}),
        ],
    )
    def test_selected(self, wanted: Any, expected: Any) -> None:
        """None says "not asked for", an empty dict "nothing there"."""
        assert selected({"a": 1, "b": {"c": 2}}, wanted) == expected
