"""Filters in Qdrant: their REST form, and that the engine means by them what `lateint.filters.matches` does."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("qdrant_edge", reason="the in-process engine comes with lateint[edge]")

from lateint import IndexSpec, field, filters, ids
from lateint.engine.payload import checked
from lateint.filters import And, Comparison, Exists, Ids, IsIn, Not, Operator, Or
from lateint.spec import FieldType
from lateint.types import Document, SearchRequest
from lateint_qdrant.edge import EdgeBackend
from lateint_qdrant.filters import float_word, lowered
from lateint_qdrant.schema import point_id

FIELDS = {
    "lang": FieldType.KEYWORD,
    "body": FieldType.TEXT,
    "year": FieldType.INTEGER,
    "price": FieldType.FLOAT,
    "draft": FieldType.BOOLEAN,
    "seen": FieldType.DATETIME,
    "tags": FieldType.KEYWORDS,
    "counts": FieldType.INTEGERS,
    "weights": FieldType.FLOATS,
}
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
DHAKA_1800 = timezone(timedelta(hours=6, minutes=1, seconds=40))


def word(*words: str) -> dict[str, Any]:
    match = {"value": words[0]} if len(words) == 1 else {"any": list(words)}
    return {"key": "lateint_fields", "match": match}


GOLDEN = [
    (field("lang") == "en", {"must": [{"key": "lang", "match": {"value": "en"}}]}),
    (field("lang") == "", {"must": [{"key": "lang", "match": {"value": ""}}]}),
    (field("body") != "a b", {"must_not": [{"key": "body", "match": {"value": "a b"}}]}),
    (field("lang").is_in(["en", "de"]), {"must": [{"key": "lang", "match": {"any": ["en", "de"]}}]}),
    (field("lang").is_in([]), {"must": [{"has_id": []}]}),
    (field("year") == 2**63 - 1, {"must": [{"key": "year", "match": {"value": 2**63 - 1}}]}),
    (field("year") >= 2020, {"must": [{"key": "year", "range": {"gte": 2020}}]}),
    (
        field("counts").between(1, 3),
        {"must": [{"key": "counts", "range": {"gte": 1}}, {"key": "counts", "range": {"lte": 3}}]},
    ),
    (field("draft") == True, {"must": [word("draft:true")]}),  # noqa: E712 - this is how it is written
    (field("draft").is_in([True, False]), {"must": [word("draft:true", "draft:false")]}),
    (field("price") == -0.0, {"must": [word("price=0.0")]}),
    (field("weights").is_in([0.5, 2.0]), {"must": [word("weights=0.5", "weights=2.0")]}),
    (
        field("seen") == NOON,
        {
            "must": [
                {
                    "key": "seen",
                    "range": {"gte": "2024-02-29T12:00:00.000000+00:00", "lte": "2024-02-29T12:00:00.000000+00:00"},
                }
            ]
        },
    ),
    (
        field("seen") < datetime(1800, 1, 1, 6, 1, 40, tzinfo=DHAKA_1800),
        {"must": [{"key": "seen", "range": {"lt": "1800-01-01T06:01:00.000000+06:01"}}]},
    ),
    (field("tags").exists(), {"must": [word("tags")]}),
    (~field("tags").exists(), {"must_not": [word("tags")]}),
    (ids(["a"]), {"must": [{"has_id": ["e1407479-3136-56c0-9908-bb02fb0339e2"]}]}),
    (ids([]), {"must": [{"has_id": []}]}),
    (Or(()), {"must": [{"has_id": []}]}),
    (
        (field("lang") == "en") & ((field("year") < 1) | ~ids([])),
        {
            "must": [
                {"key": "lang", "match": {"value": "en"}},
                {"should": [{"key": "year", "range": {"lt": 1}}, {"must_not": [{"has_id": []}]}]},
            ]
        },
    ),
]


@pytest.mark.parametrize(("condition", "expected"), GOLDEN, ids=[str(number) for number in range(len(GOLDEN))])
def test_lowering(condition: filters.Filter, expected: dict[str, Any]) -> None:
    """The REST form is shared by all ways to reach Qdrant; a change of it must be seen in review."""
    found = lowered(filters.bound(condition, FIELDS), FIELDS)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected


def test_id_is_that_of_other_tools() -> None:
    """Ids made by a change of namespace would be new points, and old ones would never be found again."""
    assert str(point_id("a")) == "e1407479-3136-56c0-9908-bb02fb0339e2"


@pytest.mark.parametrize("operator", list(Operator)[1:])
@pytest.mark.parametrize("bound", [0.0, -1.5, 0.1, 5e-324, 1.7976931348623157e308, -1.7976931348623157e308])
@pytest.mark.parametrize("drift", [-16, 0, 16])
def test_float_ordering_tolerates_drift(operator: Operator, bound: float, drift: int) -> None:
    """A number that Qdrant gives back some units in the last place off must still be on its own side of a bound.

    Evaluates the lowered form by hand for every float near the bound, stored with the worst drift.
    """
    form = lowered(Comparison("price", operator, bound), FIELDS)
    near = [bound]
    for direction in (-math.inf, math.inf):
        step = bound
        for _ in range(60):
            step = math.nextafter(step, direction)
            near.append(step)
    for value in filter(math.isfinite, near):
        kept = value
        for _ in range(abs(drift)):
            kept = math.nextafter(kept, math.copysign(math.inf, drift))
        expected = filters.matches(Comparison("price", operator, bound), document="a", payload={"price": value})
        assert _holds(form, stored=kept, words={float_word("price", value)}) == expected, value


def _holds(form: dict[str, Any], *, stored: float, words: set[str]) -> bool:
    match form:
        case {"must": parts}:
            return all(_holds(part, stored=stored, words=words) for part in parts)
        case {"should": parts}:
            return any(_holds(part, stored=stored, words=words) for part in parts)
        case {"match": {"any": wanted}}:
            return bool(words & set(wanted))
        case {"match": {"value": wanted}}:
            return wanted in words
        case {"range": {"lte": high}}:
            return stored <= float(high)
        case {"range": {"gte": low}}:
            return stored >= float(low)
        case {"has_id": []}:
            return False
    raise AssertionError(form)


EXTREME_FLOATS = [
    0.0,
    -0.0,
    5e-324,
    -2.2250738585072014e-308,
    1e308,
    -1.7976931348623157e308,
    0.9452706955539223,
    1 / 3,
]
FLOATS = st.sampled_from(EXTREME_FLOATS) | st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]) | st.integers(
    -(2**63), 2**63 - 1
)
TEXTS = st.sampled_from(
    ["", "en", "EN", "en ", "a b", "true", "0", "a\x00", "é", "e\u0301", "日本", "x" * 3000]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=23, minutes=59))])
DATETIMES = st.builds(lambda value, zone: value.replace(tzinfo=zone), st.datetimes(), ZONES) | st.sampled_from(
    [
        NOON,
        NOON.astimezone(timezone(timedelta(hours=-3))),
        NOON + timedelta(microseconds=1),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-12))),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.KEYWORD: TEXTS,
    FieldType.TEXT: TEXTS,
    FieldType.INTEGER: INTEGERS,
    FieldType.FLOAT: FLOATS,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATETIME: DATETIMES,
}


def _field_value(kind: FieldType) -> st.SearchStrategy[Any]:
    value = VALUES[kind.element]
    return st.none() | (st.lists(value, max_size=3) if kind.is_list else value)


ORDERINGS = [Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL]


def _neighbours(value: Any) -> list[Any]:
    """What a careless comparison takes for `value`."""
    match value:
        case float():
            near = [math.nextafter(value, -math.inf), math.nextafter(value, math.inf), -value]
            return [number for number in near if math.isfinite(number)]
        case bool():
            return [not value]
        case int():
            return [number for number in (value - 1, value + 1, -value) if -(2**63) <= number < 2**63]
        case datetime():
            steps = (timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(hours=1))
            moments = [value.replace(tzinfo=UTC)]
            moments += [value + step for step in steps if value.year < 9999]
            moments += [value - step for step in steps if value.year > 1]
            return moments
        case str():
            return [value.upper(), f"{value} ", value[:1], f" {value}"]
    return []


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[filters.Filter]]:
    """Some payloads over a few fields, and filters whose values mostly are, or neighbour, one of theirs."""
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True))
    payload = st.fixed_dictionaries({}, optional={name: _field_value(FIELDS[name]) for name in names})
    payloads = draw(st.lists(payload, min_size=2, max_size=6))
    present: dict[FieldType, list[Any]] = {}
    for name in names:
        for value in (payload.get(name) for payload in payloads):
            elements = value if isinstance(value, list) else [value]
            present.setdefault(FIELDS[name].element, []).extend(e for e in elements if e is not None)

    @st.composite
    def leaf(draw: st.DrawFn) -> filters.Filter:
        name = draw(st.sampled_from(names))
        kind = FIELDS[name]
        values = VALUES[kind.element]
        if known := present[kind.element]:
            close = [value for element in known for value in _neighbours(element)]
            values = draw(
                st.sampled_from([st.sampled_from(known), st.sampled_from(known), st.sampled_from(close), values])
            )
        shapes = ["equal", "equal", "in", "exists"] + ["ordered"] * 6 * kind.is_ordered
        match draw(st.sampled_from(shapes)):
            case "equal":
                return Comparison(name, Operator.EQUAL, draw(values))
            case "in":
                return IsIn(name, tuple(draw(st.lists(values, max_size=3))))
            case "exists":
                return Exists(name)
        if kind.element is FieldType.INTEGER:  # beyond, the capabilities refuse
            values = values.map(lambda value: max(-(2**53) + 1, min(value, 2**53 - 1)))
        return Comparison(name, draw(st.sampled_from(ORDERINGS)), draw(values))

    some_ids = st.lists(st.sampled_from([str(number) for number in range(8)]), max_size=3, unique=True)
    trees = st.recursive(
        leaf() | some_ids.map(lambda found: Ids(tuple(found))),
        lambda part: (
            st.builds(Not, part)
            | st.builds(And, st.lists(part, max_size=3).map(tuple))
            | st.builds(Or, st.lists(part, max_size=3).map(tuple))
        ),
        max_leaves=4,
    )
    return payloads, draw(st.lists(leaf() | trees, min_size=4, max_size=16))


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EdgeBackend]:
    backend = EdgeBackend(tmp_path)
    yield backend
    backend.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[*HealthCheck])
@given(case=corpora())
def test_engine_agrees_with_reference(
    backend: EdgeBackend, case: tuple[list[dict[str, Any]], list[filters.Filter]]
) -> None:
    """A filter that means something else in one engine finds the wrong documents without a word.

    Breaks when: a condition is lost or turned around in lowering, a number is compared after rounding, a missing field
    counts as a value, an empty list of alternatives matches everything.
    """
    if not backend.list_indexes():
        backend.create_index(IndexSpec("pages", 2, fields=FIELDS))
    index = backend.describe_index("pages")
    backend.delete(index, Or((And(()), Ids(()))))
    assert backend.count(index, None) == 0

    payloads, conditions = case
    plain = {str(number): checked(payload, FIELDS, document="")[0] for number, payload in enumerate(payloads)}
    row = np.ones((1, 2), np.float32)
    backend.write(index, [Document(name, row, payload) for name, payload in plain.items()])
    assert {document.id: document.payload for document in backend.get(index, list(plain), with_vectors=False)} == plain

    for condition in conditions:
        bound = filters.bound(condition, FIELDS)
        index.capabilities.require_filter(bound, FIELDS, backend="qdrant+edge")
        expected = {name for name, payload in plain.items() if filters.matches(bound, document=name, payload=payload)}
        page = backend.scan(index, cursor=None, limit=100, condition=bound, with_vectors=False)
        assert {document.id for document in page.documents} == expected
        assert backend.count(index, bound) == len(expected)
        (result,) = backend.search(index, [SearchRequest(query=row, k=100, filter=bound, payload=False)])
        assert {hit.id for hit in result} == expected


def test_integers_at_the_edge_of_exactness(backend: EdgeBackend) -> None:
    """Qdrant compares integers as 64-bit floats: every bound that the capabilities let through must cut exactly."""
    index = backend.create_index(IndexSpec("pages", 2, fields={"year": "integer"}))
    numbers = sorted({sign * (2**53 + step) for sign in (1, -1) for step in range(-3, 4)} | {2**63 - 1, -(2**63), 0})
    row = np.ones((1, 2), np.float32)
    backend.write(index, [Document(str(number), row, {"year": number}) for number in numbers])
    refused = 0
    for operator in Operator:
        for bound in numbers:
            condition = Comparison("year", operator, bound)
            try:
                index.capabilities.require_filter(condition, {"year": FieldType.INTEGER}, backend="qdrant+edge")
            except Exception as error:  # noqa: BLE001
                refused += type(error).__name__ == "UnsupportedFeature"
                continue
            page = backend.scan(index, cursor=None, limit=100, condition=condition, with_vectors=False)
            found = {int(document.id) for document in page.documents}
            expected = {n for n in numbers if filters.matches(condition, document="", payload={"year": n})}
            assert found == expected, condition
    assert 0 < refused < len(numbers) * 4


def test_floats_survive_many_rewrites(backend: EdgeBackend, tmp_path: Path) -> None:
    """Each rewrite of a segment reads numbers back from text, a little off; words and blob must not follow them."""
    values = [0.9452706955539223, 5.3285802225611336e-08, 1e-307, 1 / 3]
    index = backend.create_index(IndexSpec("pages", 2, fields={"price": "float"}))
    row = np.ones((1, 2), np.float32)
    backend.write(index, [Document(str(n), row, {"price": value, "n": [value]}) for n, value in enumerate(values)])
    for generation in range(3):
        ballast = [Document(f"{generation}-{n}", row, {}) for n in range(1200)]
        backend.write(index, ballast)
        backend.delete(index, [document.id for document in ballast])
        backend.close()
        backend = EdgeBackend(tmp_path)
    for number, value in enumerate(values):
        (document,) = backend.get(index, [str(number)], with_vectors=False)
        assert document.payload == {"price": value, "n": [value]}
        for operator in Operator:
            for bound in (value, math.nextafter(value, 0.0), math.nextafter(value, 1.0)):
                condition = And((Comparison("price", operator, bound), Ids((str(number),))))
                expected = filters.matches(condition, document=str(number), payload={"price": value})
                assert backend.count(index, condition) == expected, (operator, bound)
    backend.close()
