"""Names in Vespa: legal, told apart where Vespa would not, and turned back into what the user wrote."""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lateint import errors
from lateint.spec import check_fields, check_name
from lateint.types import check_id
from lateint_vespa import names

SCHEMA = re.compile(r"[A-Za-z]\w*", re.ASCII)
FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)

index_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)
field_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,62}", fullmatch=True)
alike = st.from_regex(r"[aAf_][aA_-]{0,3}(__[0-9a-f]{1,2})?", fullmatch=True) | st.from_regex(
    r"f?_?a?__u?0(__u?0)?", fullmatch=True
)
"""Short names of few letters, some of which look like encoded ones: here two would meet, if any did."""


def is_id(text: str) -> bool:
    try:
        check_id(text)
    except errors.InvalidInput:
        return False
    return True


ids = st.text(min_size=1, max_size=12).filter(is_id) | st.from_regex(r"(lateint:|\.|/|%2F|x){1,4}", fullmatch=True)


class TestSchemas:
    @given(index_names | alike.filter(lambda name: name[0] != "_"))
    @example("A" * 64)
    @example("position")
    @example("NOT")
    @example("lateint")
    def test_round_trip(self, index: str) -> None:
        made = names.schema_name(check_name(index))
        assert SCHEMA.fullmatch(made)
        assert made.lower() not in names._RESERVED_SCHEMAS
        assert names.index_name(made) == index

    @given(alike, alike)
    def test_told_apart_by_more_than_case(self, one: str, other: str) -> None:
        assume(one != other and "_" not in {one[0], other[0]})
        assert names.schema_name(one).lower() != names.schema_name(other).lower()

    @pytest.mark.parametrize(
        ("index", "schema"),
        [("pages", "pages"), ("li_docs_2", "li_docs_2"), ("LateOn-Pages", "LateOn_Pages__d1"), ("id", "id__0")],
    )
    def test_readable(self, index: str, schema: str) -> None:
        """Who looks at the application finds the index; and schemas already deployed keep their names."""
        assert names.schema_name(index) == schema

    @given(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True) | alike.map(lambda name: name.replace("-", "_"))
    )
    def test_every_schema_can_be_opened_by_its_listed_name(self, schema: str) -> None:
        """Also those of other applications; only where lateint itself has a schema for that name, that one wins."""
        index = names.index_name(schema)
        assert schema in names.schemas(index)
        assert index == schema or names.schemas(index)[0] == schema

    @pytest.mark.parametrize("index", ["größe", "a b", "9", "", "a.b", "a\n", "_a", "a" * 200])
    def test_impossible(self, index: str) -> None:
        with pytest.raises(errors.InvalidInput, match="not allowed"):
            names.schema_name(index)


class TestFields:
    @given(field_names | alike.map(lambda name: name.replace("-", "_")))
    @example("_")
    @example("__0")
    @example("f_x__0")
    @example("f_x__u0")
    @example("__u0")
    @example("documentid")
    @example("contains")
    @example("X" * 63)
    def test_legal(self, field: str) -> None:
        check_fields({field: "keyword"})
        made = names.attribute_name(field)
        assert FIELD.fullmatch(made)
        assert made.lower() not in names._RESERVED_FIELDS

    @given(alike, alike)
    def test_told_apart_by_more_than_case(self, one: str, other: str) -> None:
        """Vespa refuses a schema with two such fields."""
        one, other = one.replace("-", "_"), other.replace("-", "_")
        assume(one != other)
        assert names.attribute_name(one).lower() != names.attribute_name(other).lower()

    @pytest.mark.parametrize(
        ("field", "attribute"),
        [("year", "year"), ("createdAt", "createdAt__80"), ("_private", "f_private__u0"), ("from", "from__0")],
    )
    def test_readable(self, field: str, attribute: str) -> None:
        assert names.attribute_name(field) == attribute


class TestDocuments:
    @given(ids)
    @example(".")
    @example("..")
    @example("lateint:")
    @example("lateint:..")
    @example("::")
    @example("a/../b")
    @example("/%2F//")
    @example("lateint:%2E")
    def test_round_trip(self, document: str) -> None:
        name = names.document_name(document)
        assert names.document_id(f"id:lateint:pages::{name}", "pages") == document

    @pytest.mark.parametrize("document", ["a/../b", "a/./b", "a//b", "/a", "a/", "..", "./%2e%2e/b"])
    def test_paths_that_proxies_tidy_up(self, document: str) -> None:
        """Breaks when: a write to `a/../b` replaces `b`, before the answer says so."""
        once = unquote(names.document_path("pages", document))
        assert normpath(once) == once

    @pytest.mark.parametrize("document", ["a/b", "100%", "a b", "...", "a-1:2"])
    def test_others_stay_as_they_are(self, document: str) -> None:
        """Other tools find it by the id that it has."""
        assert names.document_name(document) == document

    @given(ids)
    def test_path(self, document: str) -> None:
        """One part of a path, whatever a proxy does to dots and slashes; and letters that every one lets through."""
        path = names.document_path("pages", document)
        assert path.isascii()
        assert urlsplit(path).path == path
        start, _, last = path.rpartition("/")
        assert start == "/document/v1/lateint/pages/docid"
        assert last not in {"", ".", ".."}
        assert unquote(last, errors="strict") == names.document_name(document)

    @given(ids, ids)
    def test_no_two_share_one(self, one: str, other: str) -> None:
        assume(one != other)
        assert names.document_path("pages", one) != names.document_path("pages", other)

    @pytest.mark.parametrize("full", ["id:other:pages::a", "id:lateint:other::a", "id:lateint:pages::.", "", "a"])
    def test_foreign(self, full: str) -> None:
        with pytest.raises(errors.UnexpectedResponse, match="gives to none"):
            names.document_id(full, "pages")
