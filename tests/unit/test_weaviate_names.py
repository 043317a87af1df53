"""Names in Weaviate: legal, told apart where Weaviate would not, and turned back into what the user wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lateint import errors
from lateint.spec import check_fields, check_name
from lateint_weaviate import names

CLASS = re.compile(r"[A-Z][_0-9A-Za-z]{0,254}")
PROPERTY = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,230}")
RESERVED_ENDS = ("_searchable", "_rangeable", "_temp", "__meta_count", "_propertyLength", "_nullState")

index_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)
field_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,62}", fullmatch=True)
alike = st.from_regex(r"[aA][aA_-]{0,3}(__[0-9a-f]{1,2})?", fullmatch=True)
"""Short names of few letters, some of which look like encoded ones: here two would meet, if any did."""
class_names = st.from_regex(CLASS, fullmatch=True) | st.from_regex(
    r"[Aa]?[aA]{1,2}(__[0-9a-fg]{1,2}){0,2}", fullmatch=True
)


class TestClasses:
    @given(index_names | alike)
    @example("A" * 64)
    @example("raft")
    def test_round_trip(self, index: str) -> None:
        made = names.class_name(check_name(index))
        assert CLASS.fullmatch(made)
        assert names.index_name(made) == index

    @given(alike, alike)
    def test_told_apart_by_more_than_case(self, one: str, other: str) -> None:
        """The server refuses a class that differs from another in case only, so one of the two could not be created."""
        assume(one != other)
        assert names.class_name(one).lower() != names.class_name(other).lower()

    @pytest.mark.parametrize(
        ("index", "cls"),
        [("pages", "Pages"), ("li_docs_2", "Li_docs_2"), ("LateOn-Pages", "LateOn_Pages__d1"), ("raft", "Raft__0")],
    )
    def test_readable(self, index: str, cls: str) -> None:
        """Who looks at the server with another tool finds the index; and classes already written keep their names."""
        assert names.class_name(index) == cls

    @given(class_names)
    def test_every_class_can_be_opened_by_its_listed_name(self, cls: str) -> None:
        """Also those of other applications; only where lateint itself has a class for that name, that one wins."""
        assume(CLASS.fullmatch(cls))
        index = names.index_name(cls)
        assert cls in names.classes(index)
        assert names.classes(index)[0] in {cls, names.class_name(index)}

    def test_by_the_name_of_the_class(self) -> None:
        """Users of Weaviate know their classes by capitalised names, and open them so."""
        assert names.classes("Articles") == ("Articles__1", "Articles")
        assert names.classes("articles") == ("Articles",)
        assert names.classes("größe") == ()
        assert names.classes("") == ()

    @pytest.mark.parametrize("index", ["größe", "a b", "9", "", "a.b", "a\n"])
    def test_impossible(self, index: str) -> None:
        with pytest.raises(errors.InvalidInput, match="not allowed"):
            names.class_name(index)


class TestProperties:
    @given(field_names | alike.map(lambda name: name.replace("-", "_")))
    @example("id")
    @example("_additional")
    @example("title_searchable")
    @example("X" * 63)
    def test_legal(self, field: str) -> None:
        check_fields({field: "keyword"})
        made = names.property_name(field)
        assert PROPERTY.fullmatch(made)
        assert made not in {"id", "_id", "_additional", "vector"}
        assert not made.endswith(RESERVED_ENDS)
        assert made[0] == made[0].lower()

    @given(alike, alike)
    def test_told_apart_by_more_than_case(self, one: str, other: str) -> None:
        one, other = one.replace("-", "_"), other.replace("-", "_")
        assume(one != other)
        assert names.property_name(one).lower() != names.property_name(other).lower()

    @pytest.mark.parametrize(
        ("field", "prop"),
        [("year", "year"), ("_private", "_private"), ("createdAt", "createdAt__80"), ("MyProp", "myProp__5")],
    )
    def test_readable(self, field: str, prop: str) -> None:
        assert names.property_name(field) == prop
