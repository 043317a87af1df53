"""The neutral description of an index: what is refused, and that it survives JSON, pickling and its caller's hands."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.spec import SPEC_VERSION, DType, FieldType, IndexSpec, suggestion

FULL = IndexSpec(
    "pages",
    128,
    dtype="float16",
    fields={"lang": "keyword", "year": FieldType.INTEGER},
    normalize=False,
    encoder={"model": "colbert", "revision": None},
    engine_options={"engine": {"shards": 2}},
    metadata={"made": ["by", "hand"]},
    pending=["year"],
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)
field_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,62}", fullmatch=True).filter(
    lambda name: not name.startswith("lateint_")
)


@st.composite
def specs(draw: st.DrawFn) -> IndexSpec:
    fields = draw(st.dictionaries(field_names, st.sampled_from(FieldType), max_size=4))
    dtype = draw(st.sampled_from(DType))
    return IndexSpec(
        draw(st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)),
        8 * draw(st.integers(1, 8_192)) if dtype is DType.BINARY else draw(st.integers(1, 65_536)),
        dtype=dtype,
        fields=fields,
        normalize=draw(st.booleans()),
        encoder=draw(st.none() | json_objects),
        engine_options=draw(st.dictionaries(st.text(), json_objects, max_size=2)),
        metadata=draw(json_objects),
        pending=draw(st.lists(st.sampled_from(sorted(fields)), unique=True)) if fields else [],
    )


class TestRoundTrip:
    """Engines keep the spec as JSON text beside the index; it must come back as it was."""

    @given(specs())
    def test_through_json(self, spec: IndexSpec) -> None:
        """An index opened by another process is the index that was created."""
        assert IndexSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    @given(specs())
    def test_through_pickle_and_copy(self, spec: IndexSpec) -> None:
        """Specs travel to worker processes; frozen, slotted classes with an own __init__ are known to break here."""
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert copy.deepcopy(spec) == copy.copy(spec) == spec

    def test_types_are_enums_again(self) -> None:
        """`spec.dtype is DType.FLOAT16` decides about bytes; a plain string would slip through."""
        read = IndexSpec.from_dict(json.loads(json.dumps(FULL.to_dict())))
        assert read.dtype is DType.FLOAT16
        assert read.fields["lang"] is FieldType.KEYWORD

    def test_has_a_version(self) -> None:
        """What is written today is read by a later lateint, which has to know what it looks at."""
        assert FULL.to_dict()["version"] == SPEC_VERSION

    def test_strings_and_enums_are_the_same(self) -> None:
        """`"float16"` is what people type, the enum is what their editor completes."""
        assert IndexSpec("a", 1, dtype="float16", fields={"x": "keyword[]"}) == IndexSpec(
            "a", 1, dtype=DType.FLOAT16, fields={"x": FieldType.KEYWORDS}
        )


NAMED: dict[str, Any] = {"name": "pages", "dim": 4}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("name empty", {"name": ""}, "index name ''"),
    ("name begins with a digit", {"name": "1a"}, "index name '1a'"),
    ("name with a space", {"name": "a b"}, "index name 'a b'"),
    ("name not ASCII", {"name": "é"}, "index name 'é'"),
    ("name with a newline", {"name": "a\n"}, "index name"),
    ("name of 65", {"name": "a" * 65}, "index name"),
    ("name None", {"name": None}, "index name None"),
    ("dim 0", {"dim": 0}, "dim 0"),
    ("dim negative", {"dim": -1}, "dim -1"),
    ("dim beyond", {"dim": 65_537}, "dim 65537"),
    ("dim float", {"dim": 4.0}, "dim 4.0"),
    ("dim bool", {"dim": True}, "dim True"),
    ("dim text", {"dim": "4"}, "dim '4'"),
    ("dim that bits do not fill bytes with", {"dim": 100, "dtype": "binary"}, "Use dim=104"),
    ("dtype unknown", {"dtype": "float8"}, "dtype 'float8'"),
    ("dtype None", {"dtype": None}, "dtype None"),
    ("field type unknown", {"fields": {"lang": "string"}}, "type of field 'lang' 'string'"),
    ("field type a list", {"fields": {"lang": ["keyword"]}}, "type of field 'lang'"),
    ("field name reserved", {"fields": {"lateint_id": "keyword"}}, "'lateint_id' is reserved"),
    ("field name with a dash", {"fields": {"a-b": "keyword"}}, "field name 'a-b'"),
    ("field name begins with a digit", {"fields": {"1a": "keyword"}}, "field name '1a'"),
    ("field name not ASCII", {"fields": {"é": "keyword"}}, "field name 'é'"),
    ("field name of 64", {"fields": {"a" * 64: "keyword"}}, "field name"),
    ("field name empty", {"fields": {"": "keyword"}}, "field name ''"),
    ("field name a number", {"fields": {1: "keyword"}}, "field name 1"),
    ("fields a list", {"fields": ["lang"]}, "fields"),
    ("normalize a number", {"normalize": 1}, "normalize 1"),
    ("normalize text", {"normalize": "no"}, "normalize 'no'"),
    ("metadata NaN", {"metadata": {"x": float("nan")}}, "metadata: "),
    ("metadata an object", {"metadata": {"x": object()}}, "metadata: "),
    ("metadata text", {"metadata": "abc"}, "metadata: "),
    ("metadata with keys that JSON makes equal", {"metadata": {1: "a", "1": "b"}}, "metadata: "),
    ("encoder bytes", {"encoder": {"x": b"y"}}, "encoder: "),
    ("engine options an object", {"engine_options": {"engine": {"x": {1, 2}}}}, "engine_options: "),
    ("engine options not per engine", {"engine_options": {"shards": 2}}, "engine_options: "),
    ("engine options a list", {"engine_options": ["shards"]}, "engine_options"),
    ("pending one word", {"fields": {"a": "keyword"}, "pending": "a"}, "pending"),
    ("pending an undeclared field", {"pending": ["year"]}, "pending"),
]


class TestRefused:
    """At construction, by name: an engine would fail later, worse, or not at all."""

    @pytest.mark.parametrize(("arguments", "words"), [row[1:] for row in REFUSED], ids=[name for name, _, _ in REFUSED])
    def test_at_construction(self, arguments: dict[str, Any], words: str) -> None:
        """The message holds the attribute and its value."""
        with pytest.raises(errors.InvalidInput) as raised:
            IndexSpec(**{**NAMED, **arguments})
        assert words in str(raised.value)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            pytest.param({**NAMED}, "version None", id="no version"),
            pytest.param({**NAMED, "version": SPEC_VERSION + 1}, "Upgrade lateint", id="newer"),
            pytest.param({"version": SPEC_VERSION, "dim": 4}, "['name'] missing", id="no name"),
            pytest.param({"version": SPEC_VERSION, "name": "a"}, "['dim'] missing", id="no dim"),
            pytest.param({**NAMED, "version": SPEC_VERSION, "colour": 1}, "['colour'] unknown", id="unknown part"),
            pytest.param({**NAMED, "version": SPEC_VERSION, "dim": "4"}, "dim '4'", id="bad value"),
            pytest.param({**NAMED, "version": SPEC_VERSION, "fields": ["a"]}, "fields", id="bad fields"),
            pytest.param({**NAMED, "version": SPEC_VERSION, "pending": None}, "pending", id="bad pending"),
            pytest.param([], "index spec", id="not an object"),
        ],
    )
    def test_on_reading(self, data: Any, words: str) -> None:
        """What stands beside an index may have been written by anybody; guessing would score vectors wrongly."""
        with pytest.raises(errors.InvalidInput) as raised:
            IndexSpec.from_dict(data)
        assert words in str(raised.value)

    @pytest.mark.parametrize(
        "arguments",
        [{"name": "a" * 64}, {"name": "Z-_9"}, {"dim": 1}, {"dim": 65_536}, {"fields": {"a" * 63: "text"}}],
    )
    def test_bounds_are_inside(self, arguments: dict[str, Any]) -> None:
        """The documented limits themselves are allowed."""
        IndexSpec(**{**NAMED, **arguments})


class TestReplace:
    """The way to copy into a slightly different index."""

    def test_changes_only_what_is_named(self) -> None:
        """A lost field or encoder would show only when the copy is searched."""
        changed = FULL.replace(name="pages_v2", dtype="float32")
        assert (changed.name, changed.dtype) == ("pages_v2", DType.FLOAT32)
        assert changed.replace(name=FULL.name, dtype=FULL.dtype) == FULL

    def test_checks_again(self) -> None:
        """No way around the checks of the constructor."""
        with pytest.raises(errors.InvalidInput, match="dim 0"):
            FULL.replace(dim=0)

    def test_unknown_attribute(self) -> None:
        """A typo is answered, not raised as TypeError from inside."""
        with pytest.raises(errors.InvalidInput, match=r"no 'dimm'\. Did you mean 'dim'\?"):
            FULL.replace(dimm=3)


class TestOwnership:
    """A spec is a value: nobody changes it from outside."""

    def test_what_was_passed_in_is_copied(self) -> None:
        """The caller goes on using its dictionaries."""
        fields: dict[str, FieldType | str] = {"lang": "keyword"}
        nested = {"list": [1]}
        spec = IndexSpec("a", 1, fields=fields, encoder=nested, engine_options={"engine": nested}, metadata=nested)
        before = json.dumps(spec.to_dict())
        fields["year"] = "integer"
        nested["list"].append(2)
        assert json.dumps(spec.to_dict()) == before

    @pytest.mark.parametrize("part", ["fields", "encoder", "engine_options", "metadata"])
    def test_what_is_handed_out_is_a_copy(self, part: str) -> None:
        """Adapters add their own keys to the dictionary before sending it."""
        before = json.dumps(FULL.to_dict())
        FULL.to_dict()[part]["added"] = 1
        after = json.dumps(FULL.to_dict())
        if after != before:
            del getattr(FULL, part)["added"]
        assert after == before

    def test_frozen(self) -> None:
        """A changed dimension would not change the index."""
        with pytest.raises(AttributeError):
            FULL.dim = 4  # type: ignore[misc]


class TestFieldType:
    """Facts about types that filters and adapters rely on."""

    def test_lists(self) -> None:
        """A list type has its element's rules."""
        assert {kind: kind.element for kind in FieldType if kind.is_list} == {
            FieldType.KEYWORDS: FieldType.KEYWORD,
            FieldType.INTEGERS: FieldType.INTEGER,
            FieldType.FLOATS: FieldType.FLOAT,
        }
        assert all(kind.element is kind for kind in FieldType if not kind.is_list)

    def test_ordered(self) -> None:
        """Order on text differs from engine to engine, so there is none."""
        assert {kind.value for kind in FieldType if kind.is_ordered} == {
            "integer",
            "float",
            "datetime",
            "integer[]",
            "float[]",
        }


class TestSuggestion:
    """The hint for a word that is not known."""

    @pytest.mark.parametrize(
        ("word", "known", "hint"),
        [
            ("yaer", ["year", "lang"], "Did you mean 'year'?"),
            ("zzz", ["year", "lang"], "Known: lang, year."),
            ("zzz", [], "There are none."),
        ],
    )
    def test_text(self, word: str, known: list[str], hint: str) -> None:
        """The nearest word if one is near, else all of them in order."""
        assert suggestion(word, known) == hint

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            ({"dtype": "flaot16"}, "Did you mean 'float16'?"),
            ({"fields": {"a": "kewyord"}}, "Did you mean 'keyword'?"),
            ({"dtype": "xxx"}, "Known: bfloat16, binary, float16, float32."),
        ],
    )
    def test_reaches_the_user(self, arguments: dict[str, Any], hint: str) -> None:
        """The error ends with what to do."""
        with pytest.raises(errors.InvalidInput) as raised:
            IndexSpec(**{**NAMED, **arguments})
        assert raised.value.hint == hint
        assert str(raised.value).endswith(hint)
