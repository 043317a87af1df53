"""The files of applications: those that are kept, the spec that they carry, and the marks that tell lateint's own."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateint import errors
from lateint.spec import FieldType, IndexSpec
from lateint_vespa import package
from lateint_vespa.schema import Cells, Layout, layout_of
from tests.golden.vespa.packages import APPLICATIONS, BFLOAT16, BITS, FLOAT, kept

specs = st.builds(
    IndexSpec,
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True),
    st.integers(1, 512).map(lambda bytes_: 8 * bytes_),
    dtype=st.sampled_from(["float32", "bfloat16", "binary"]),
    fields=st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True).filter(
        lambda name: not name.startswith("lateint_")), st.sampled_from(FieldType), max_size=4),
    metadata=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2),
)  # fmt: skip


class TestKept:
    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_files(self, name: str) -> None:
        """What is deployed changes with intent only: `python -m tests.golden.vespa.packages` writes them anew."""
        assert APPLICATIONS[name] == kept(name)

    def test_zip(self) -> None:
        """The same bytes for the same files: a deployment can be compared with another."""
        data = package.zipped(APPLICATIONS["both"])
        assert data == package.zipped(APPLICATIONS["both"])
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert {name: archive.read(name).decode() for name in archive.namelist()} == APPLICATIONS["both"]


class TestSpec:
    @given(specs)
    def test_comes_back_from_the_schema(self, spec: IndexSpec) -> None:
        """With its fields in their order, whatever its metadata holds."""
        text = package.schema_text(spec)
        found = package.described_spec(text)
        assert found == spec
        assert list(found.fields) == list(spec.fields)
        assert package.is_as_written(text)

    def test_edited(self) -> None:
        """A comment that somebody has changed describes no schema that is there."""
        text = package.schema_text(FLOAT)
        with pytest.raises(errors.SchemaMismatch, match="fingerprint"):
            package.described_spec(text.replace('"dim": 128', '"dim": 129'))
        assert package.described_spec(text.partition("\n")[2]) is None
        assert not package.is_as_written(text.replace("fast-search", "fast-access"))

    def test_newer(self) -> None:
        text = package.described(FLOAT)
        kept = re.sub(r'"version": 1', '"version": 99', text)
        fingerprint = package._fingerprint(kept[kept.index("{") :].strip())
        with pytest.raises(errors.SchemaMismatch, match="upgrade"):
            package.described_spec(re.sub(r"[0-9a-f]{16} \{", f"{fingerprint} {{", kept, count=1))


class TestSpecIn:
    def test_its_own(self) -> None:
        assert package.spec_in("pages", package.schema_text(BFLOAT16)) == BFLOAT16
        assert package.spec_in("pages", "schema pages {}") is None

    def test_a_copy_of_another(self) -> None:
        """Whoever opened it would write to the index that it was copied from."""
        text = (
            package.schema_text(BFLOAT16)
            .replace("schema pages", "schema other")
            .replace("document pages", "document other")
        )
        with pytest.raises(errors.SchemaMismatch, match="'other' describes schema 'pages'"):
            package.spec_in("other", text)


class TestEssentials:
    """What scores and updates hang on is compared with what lateint writes; no answer would show that it was edited."""

    TEXT = package.schema_text(BFLOAT16)

    @pytest.mark.parametrize("spec", [FLOAT, BFLOAT16, IndexSpec("bits", 16, dtype="binary")])
    def test_as_written(self, spec: IndexSpec) -> None:
        package.check_essentials(package.schema_text(spec), layout_of(spec))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (", max, token)", ", avg, token)"),
            ("cell_cast(attribute(lateint_vectors), float)", "attribute(lateint_vectors)"),
            ("attribute(lateint_vectors)", "attribute(theirs)"),
            ("expression: lateint_score", "expression: 2 * lateint_score"),
            (
                "            expression: lateint_score",
                "            rank-score-drop-limit: 0.5\n            expression: lateint_score",
            ),
            ("rank-profile lateint_bfloat16_raw {", "rank-profile lateint_bfloat16_raw inherits theirs {"),
            ("lateint_vectors type tensor<bfloat16>", "lateint_vectors type tensor<float>"),
            ("match-features: lateint_marker lateint_score", "match-features: lateint_marker"),
            ("expression: 0\n", "expression: 1\n"),
            ("lateint_digest type long", "lateint_digest type int"),
            ("field lateint_digest", "field their_digest"),
        ],
    )
    def test_edited(self, old: str, new: str) -> None:
        assert old in self.TEXT
        with pytest.raises(errors.SchemaMismatch, match="is not what lateint writes"):
            package.check_essentials(self.TEXT.replace(old, new), layout_of(BFLOAT16))

    def test_the_true_one_is_commented_out(self) -> None:
        start = self.TEXT.index("    rank-profile")
        block = self.TEXT[start : self.TEXT.index("\n    }\n", start) + 7]
        shown = "".join(f"# {line}\n" for line in block.splitlines())
        on_one_line = f"# {' '.join(block.split())}\n"
        for comment in (shown, on_one_line):
            text = self.TEXT.replace(block, comment + block.replace("max", "avg"))
            with pytest.raises(errors.SchemaMismatch):
                package.check_essentials(text, layout_of(BFLOAT16))

    def test_what_is_their_owners(self) -> None:
        """Fields, summaries and profiles of one's own, comments, and where lines are broken."""
        text = (
            self.TEXT.replace(
                "    rank-profile", "    # by hand\n    rank-profile theirs {\n    }\n    rank-profile", 1
            )
            .replace("            expression: ", "                expression:  ")
            .replace("indexing: attribute\n", "indexing: attribute\n            attribute: paged\n")
        )
        package.check_essentials(text, layout_of(BFLOAT16))

    @pytest.mark.parametrize("spec", [FLOAT, BFLOAT16, IndexSpec("bits", 16, dtype="binary")])
    def test_by_pyvespa(self, spec: IndexSpec) -> None:
        """Which writes the same in another form."""
        pytest.importorskip("vespa.package")
        (schema,) = package.application_package(spec).schemas
        text = schema.schema_to_text
        package.check_essentials(text, layout_of(spec))
        with pytest.raises(errors.SchemaMismatch):
            package.check_essentials(text.replace("max, token", "avg, token"), layout_of(spec))


class TestMark:
    def test_ours(self) -> None:
        assert package.is_ours(package.services(["a", "b"]))
        assert package.is_ours(package.services([]))

    @pytest.mark.parametrize("old", ["redundancy>1", 'hostalias="node1"', "<search/>", "adds and removes"])
    def test_edited(self, old: str) -> None:
        """Somebody's nodes, redundancy or handlers would be lost if lateint wrote the file anew."""
        text = package.services(["a"])
        assert old in text
        assert not package.is_ours(text.replace(old, "x", 1))
        assert not package.is_ours("<!-- ours? -->\n" + text)
        assert not package.is_ours("")

    def test_removal_names_the_schema(self) -> None:
        """Who reads the deployment's files sees which documents it deletes; and no other deployment may delete any."""
        made = package.files({"pages": "…"}, removed="old", until="2026-01-31")
        assert 'until="2026-01-31"' in made[package.OVERRIDES]
        assert "old" in made[package.OVERRIDES]
        assert package.OVERRIDES not in package.files({"pages": "…"})


class TestLayout:
    @pytest.mark.parametrize(
        ("layout", "expression"),
        [
            (layout_of(FLOAT), "attribute(lateint_vectors)"),
            (layout_of(BFLOAT16), "cell_cast(attribute(lateint_vectors), float)"),
            (BITS, "unpack_bits(attribute(lateint_vectors))"),
        ],
    )
    def test_expression_is_the_one_that_is_fast(self, layout: Layout, expression: str) -> None:
        """Any other spelling is as right and a hundred times slower: Vespa's optimizer compares whole expressions."""
        assert layout.score == f"sum(reduce(sum(query(lateint_query) * {expression}, v), max, token), qt)"
        assert f"tensor<float>(qt{{}},v[{layout.dim}])" in package.rendered(layout)

    def test_markers_differ(self) -> None:
        """So that no answer by another layout is taken for one of this."""
        layouts = [Layout(schema="a", dim=dim, cells=cells, fields={}) for dim in range(8, 2048, 8) for cells in Cells]
        markers = {layout.marker for layout in layouts}
        assert len(markers) == len(layouts)
        assert all(0 < marker < 2**24 for marker in markers)

    def test_markers_stay(self) -> None:
        """An index that was deployed once is read by every later version."""
        assert [layout_of(FLOAT).marker, layout_of(BFLOAT16).marker, BITS.marker] == MARKERS

    def test_bits_by_their_dtype(self) -> None:
        """The spec's word for the layout whose files are kept."""
        assert layout_of(IndexSpec("bits", 128, dtype="binary", fields={"lang": "keyword"})) == BITS

    def test_profiles_tell_normalised_rows(self) -> None:
        """A client that knows the container only must not send other queries than one that knows the spec."""
        specs = [
            IndexSpec("a", 8, dtype=dtype, normalize=to)
            for dtype in ("float32", "bfloat16", "binary")
            for to in (True, False)
        ]
        assert len({layout_of(spec).profile for spec in specs}) == len(specs)

    def test_float16(self) -> None:
        with pytest.raises(errors.UnsupportedFeature, match="float16"):
            layout_of(IndexSpec("a", 8, dtype="float16"))


MARKERS = [444843, 14829552, 11343224]
