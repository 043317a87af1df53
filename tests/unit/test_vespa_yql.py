"""Filters as YQL: which text is written, and that nothing of a user's is in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint.errors import UnsupportedFeature
from lateint.filters import And, Comparison, Exists, Filter, Ids, IsIn, Not, Operator, Or, bound, field, ids
from lateint.testing.payloads import FIELDS
from lateint_vespa.filters import Condition, lowered

SAFE = re.compile(
    r"(true|false|and|or|in|contains|lateint_id|lateint_fields|word|words|number|numbers|ratio|ratios|moment"
    r"|lateint_micros_moment|@li\d+|-?\d+L?|-?\d+(\.\d+)?(e[+-]?\d+)?|[(),!=<>]|<=|>=|\s)*"
)
"""All that may stand in the YQL of these fields."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['" or true', "' or true", "\"'", "@li0", ") or (", "\\", "a,b"]
)
values: dict[str, st.SearchStrategy[Any]] = {
    "word": texts,
    "prose": texts,
    "number": st.integers(-(2**53) + 1, 2**53 - 1),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "moment": st.datetimes(timezones=st.just(UTC)),
    "words": texts,
    "numbers": st.integers(-(2**53) + 1, 2**53 - 1),
    "ratios": st.floats(allow_nan=False, allow_infinity=False),
}
names = st.sampled_from(sorted(FIELDS))


@st.composite
def leaves(draw: st.DrawFn) -> Filter:
    name = draw(names)
    kind = draw(st.sampled_from(["compare", "in", "exists", "ids"]))
    if kind == "ids":
        return Ids(tuple(draw(st.lists(texts.filter(bool), max_size=3))))
    if kind == "exists":
        return Exists(name)
    if kind == "in":
        return IsIn(name, tuple(draw(st.lists(values[name], max_size=4))))
    operators = list(Operator) if FIELDS[name].is_ordered else [Operator.EQUAL]
    return Comparison(name, draw(st.sampled_from(operators)), draw(values[name]))


filters = st.recursive(
    leaves(),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(filters)
def test_nothing_of_a_users_is_in_the_yql(condition: Filter) -> None:
    """Words of YQL, names of fields, numbers and parameters: whatever the values are."""
    made = lowered(bound(condition, FIELDS), FIELDS)
    assert SAFE.fullmatch(made.yql), made.yql


@given(filters)
def test_every_parameter_is_named_once(condition: Filter) -> None:
    made = lowered(bound(condition, FIELDS), FIELDS)
    assert re.findall(r"@(li\d+)", made.yql) == list(made.parameters)
    assert all(isinstance(value, str) for value in made.parameters.values())


@given(st.lists(texts, min_size=2, max_size=5, unique=True))
def test_a_list_of_texts_is_read_back_as_it_was(wanted: list[str]) -> None:
    """As Vespa reads such a parameter: in quotes of one kind up to the next of the same kind."""
    made = lowered(Ids(tuple(wanted)), {})
    found: list[str] = []
    for name, value in made.parameters.items():
        if f"in (@{name})" in made.yql:
            parts = re.fullmatch(r"(?:(?:\"[^\"]*\"|'[^']*')(?:,(?!$)|$))+", value, re.DOTALL)
            assert parts is not None
            found += [text[1:-1] for text in re.findall(r"\"[^\"]*\"|'[^']*'", value, re.DOTALL)]
        else:
            found.append(value)
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize(
    ("condition", "yql", "parameters"),
    [
        (None, "true", {}),
        (field("word") == "a", "word contains @li0", {"li0": "a"}),
        (field("word").is_in(["a", "b"]), "word in (@li0)", {"li0": '"a","b"'}),
        (field("word").is_in(['a"', "b'"]), "word in (@li0)", {"li0": "'a\"',\"b'\""}),
        (field("word").is_in(["a", "'\""]), "word in (@li0) or word contains @li1", {"li0": '"a"', "li1": "'\""}),
        (field("number") == 5, "number in (5L)", {}),
        (field("number").is_in([1, 2**60]), "number in (1L, 1152921504606846976L)", {}),
        (field("number") >= -5, "number >= -5L", {}),
        (field("ratio") < 0.1, "ratio < 0.1", {}),
        (field("ratio") == 1e16, "ratio = 1e+16", {}),
        (field("flag") == False, "lateint_fields contains @li0", {"li0": "flag:false"}),  # noqa: E712
        (field("word").exists(), "lateint_fields contains @li0", {"li0": "word"}),
        (ids(["a"]), "lateint_id contains @li0", {"li0": "a"}),
        (field("word").is_in([]), "false", {}),
        # Vespa drops `false or false` from a conjunction, and finds what passes the rest.
        ((field("word").is_in([]) | field("words").is_in([])) & (field("number") == 1), "false", {}),
        (~field("word").is_in([]) & (field("number") == 1), "number in (1L)", {}),
        (field("word").is_in([]) | (field("number") == 1), "number in (1L)", {}),
        (~(field("word").is_in([]) & (field("word") == "a")), "true", {}),
        (
            field("moment") < datetime(1970, 1, 1, 0, 0, 1, 5, UTC),
            "moment < 1L or moment in (1L) and lateint_micros_moment < 5",
            {},
        ),
        (~(field("number") > 5), "true and !(number > 5L)", {}),
        (~((field("number") > 5) | (field("ratio") > 1)), "true and !(number > 5L) and true and !(ratio > 1.0)", {}),
        (
            (field("number") > 5) & ((field("ratio") > 1) | (field("number") > 7)),
            "number > 5L and (ratio > 1.0 or number > 7L)",
            {},
        ),
    ],
)
def test_written(condition: Filter | None, yql: str, parameters: dict[str, str]) -> None:
    """Short enough to be read in a log of slow queries."""
    made = lowered(None if condition is None else bound(condition, FIELDS), FIELDS)
    assert made == Condition(yql, parameters)


def test_too_deep() -> None:
    """Refused with a reason, and before anything is sent: a container would overflow its stack, and say 500."""
    chain = field("number") > 0
    for turn in range(60):
        chain = And((chain, field("number") > turn)) if turn % 2 else Or((chain, field("number") > turn))
    with pytest.raises(UnsupportedFeature, match="parentheses"):
        lowered(chain, FIELDS)
