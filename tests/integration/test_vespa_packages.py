"""What lateint deploys to Vespa, by Vespa's own model of applications, which accepts or refuses it as a config server does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lateint.filters import Comparison, Ids, Operator, field
from lateint.spec import FieldType, IndexSpec
from lateint.testing.payloads import FIELDS
from lateint_vespa import calls, package
from lateint_vespa.answers import acknowledged, counted, found, passing, ranked
from lateint_vespa.filters import Condition, lowered
from lateint_vespa.names import _RESERVED_FIELDS, _RESERVED_SCHEMAS, schema_name
from lateint_vespa.properties import stored
from lateint_vespa.schema import Layout, layout_of
from tests.golden.vespa.packages import APPLICATIONS, kept
from tests.servers.vespa.asking import APPLICATION, TENANT, Client, edited, example
from tests.servers.vespa.control import Control
from tests.servers.vespa.sending import deployed, sent

WORDS = [
    "alias", "annotation", "array", "attribute", "attributes", "bfloat16", "bm25", "body", "bool", "cased",
    "compression", "constant", "dictionary", "distance", "document", "documentid", "elementwise", "expression",
    "field", "fieldset", "filter", "first-phase", "first", "float", "function", "gram", "header", "host", "id",
    "import", "index", "indexing", "inherits", "int8", "input", "long", "macro", "map", "match", "mutate", "name",
    "normal", "on", "output", "paged", "position", "prefix", "primary", "private", "query", "rank", "raw", "ref",
    "reference", "relevance", "relevancy", "schema", "sddocname", "search", "sorting", "stemming", "string",
    "struct", "summary", "summary-to", "switch", "tensor", "tokenize", "type", "uri", "weight", "weightedset", "all",
    "and", "as", "asc", "by", "collapse", "contains", "count", "desc", "each", "equiv", "false", "from", "fuzzy",
    "group", "hash", "in", "is", "like", "limit", "matches", "near", "nonEmpty", "not", "null", "offset", "onear",
    "onnx", "or", "order", "phrase", "predicate", "range", "sameElement", "select", "sources", "timeout", "true",
    "userInput", "userQuery", "wand", "weakAnd", "where", "_", "__", "_x", "_X", "x_", "X", "x__", "x__1", "X__1",
    "f_x", "f_x__0", "f_x__u0", "__u0", "_1", "a1", "L", "E", "nan", "Infinity",
]  # fmt: skip
"""Of the schema language, of results and of YQL; and names that look like lateint's own, or like nothing."""

ROWS = np.eye(2, 16, dtype=np.float32)
DELETED = {"until": (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%d")}


@pytest.fixture(scope="module")
def started(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        yield server


@pytest.fixture
def vespa(started) -> Client:
    """A server that nothing was deployed to."""
    control: Control = started.control
    control.clear()
    control.drop_application()
    control.drop_documents()
    return Client(started.http_url, started.config_url)


def texts(*specs: IndexSpec) -> dict[str, str]:
    return {schema_name(spec.name): package.schema_text(spec) for spec in specs}


def written(vespa: Client, layout: Layout, document: str, payload: dict | None = None) -> None:
    properties = stored(document, payload or {}, layout.fields)
    rows = np.zeros((1, layout.dim), np.float32)
    rows[0, 0] = 1
    answer = sent(vespa, calls.put(layout, document, rows=rows, properties=properties, timeout_s=20))
    acknowledged(answer, layout, document)


def number(vespa: Client, layout: Layout, condition: Condition | None = None) -> int:
    call = calls.passing(layout, condition=condition or Condition("true"), limit=0, query_profile=False, timeout_s=20)
    return counted(sent(vespa, call), layout)


class TestValidation:
    @pytest.mark.parametrize("name", APPLICATIONS)
    def test_what_is_kept_is_accepted(self, vespa: Client, name: str) -> None:
        """By Vespa's own model, without a warning of its own."""
        reply = vespa.deploy(kept(name))
        assert reply.status == 200, reply.message
        said = [line["message"] for line in reply.json["log"] if "vespa-verify-ranksetup-bin" not in line["message"]]
        assert said == []

    def test_every_type_of_field_in_a_foreign_application(self, vespa: Client) -> None:
        """Its schema lives on, and the index is used without the mark and the services of lateint."""
        spec = IndexSpec("pages", 16, fields=FIELDS)
        more = '<document type="page" mode="index"/><document type="pages" mode="index"/>'
        foreign = edited("services.xml", '<document type="page" mode="index"/>', more)
        vespa.deployed(foreign | package.additions(spec))
        assert not package.is_ours(foreign["services.xml"])
        layout = layout_of(spec)
        written(vespa, layout, "a", {"word": "x"})
        vespa.put("p1", lang="en")
        assert number(vespa, layout) == 1
        assert vespa.found("true") == {"p1"}

    def test_kept_by_the_config_server(self, vespa: Client) -> None:
        """The spec comes back from where everybody can read it: nothing else says what an index is."""
        spec = IndexSpec("LateOn-Pages", 16, fields=FIELDS, metadata={"note": "ä#}"})
        deployed(vespa, spec)
        text = vespa.config("GET", f"{APPLICATION}/content/schemas/LateOn_Pages__d1.sd").body.decode()
        services = vespa.config("GET", f"{APPLICATION}/content/services.xml").body.decode()
        assert package.described_spec(text) == spec
        assert package.is_as_written(text)
        assert package.is_ours(services)


class TestNames:
    def test_every_name_of_a_field_is_found_by(self, vespa: Client) -> None:
        """Reserved words of three languages, and what only looks like one: users do not know them and need not."""
        names = {name for name in (*WORDS, *_RESERVED_FIELDS, *(word.upper() for word in WORDS)) if "-" not in name}
        spec = IndexSpec("pages", 16, fields=dict.fromkeys(sorted(names), FieldType.INTEGER))
        (layout,) = deployed(vespa, spec)
        payload = {name: place for place, name in enumerate(spec.fields)}
        written(vespa, layout, "a", payload)
        written(vespa, layout, "b", dict.fromkeys(payload, -1))
        for place, name in enumerate(spec.fields):
            for each in (
                Comparison(name, Operator.EQUAL, place),
                ~(field(name) < place),
                field(name).between(0, place),
            ):
                assert number(vespa, layout, lowered(each, spec.fields)) == 1, each

    def test_every_name_of_an_index(self, vespa: Client) -> None:
        names = sorted(
            {name for name in (*WORDS, *_RESERVED_SCHEMAS, "Pages", "PAGES", "a-b", "a_b") if name[0] != "_"}
        )
        specs = [IndexSpec(name, 16) for name in names]
        layouts = deployed(vespa, *specs)
        for layout in layouts:
            written(vespa, layout, layout.schema)
        for layout in layouts:
            assert number(vespa, layout) == 1
            got = found(
                sent(vespa, calls.get(layout, layout.schema, with_vectors=False, timeout_s=20)),
                layout,
                layout.schema,
                with_vectors=False,
            )
            assert got is not None


class TestChanges:
    SMALL, LARGE = IndexSpec("small", 16), IndexSpec("large", 32, dtype="bfloat16", fields={"year": "integer"})

    def test_two_indexes_of_one_application(self, vespa: Client) -> None:
        """Profiles and query tensors have the same names in both, and different types: neither is taken for the other."""
        small, large = deployed(vespa, self.SMALL, self.LARGE)
        for layout, other in itertools.permutations((small, large)):
            written(vespa, layout, f"of-{layout.schema}")
            query = np.ones((1, layout.dim), np.float32)
            call = calls.search(
                layout,
                query=query,
                limit=10,
                condition=lowered(None, {}),
                with_payload=True,
                with_vectors=True,
                query_profile=True,
                timeout_s=20,
            )
            hits = ranked(sent(vespa, call), layout, limit=10, with_vectors=True)
            assert [hit.id for hit in hits] == [f"of-{layout.schema}"], other

    def test_a_new_index_and_a_new_field_leave_documents_alone(self, vespa: Client) -> None:
        (small,) = deployed(vespa, self.SMALL)
        written(vespa, small, "a")
        wider = self.SMALL.replace(fields=FIELDS, metadata={"a": 1})
        for files in (
            package.files(texts(self.SMALL, self.LARGE)),
            package.files(texts(wider, self.LARGE)),
            package.files(texts(self.SMALL, self.LARGE)),
        ):
            actions = vespa.deployed(files).json["configChangeActions"]
            assert actions == {"restart": [], "refeed": [], "reindex": []}
            assert number(vespa, small) == 1

    def test_removing_takes_an_override_that_is_gone_with_the_next(self, vespa: Client) -> None:
        """An index that nobody wanted to drop cannot be lost by a deployment."""
        deployed(vespa, self.SMALL, self.LARGE)
        refused = vespa.deploy(package.files(texts(self.SMALL)))
        assert refused.status == 400
        assert "schema-removal" in refused.message
        allowed = package.files(texts(self.SMALL), removed="large", **DELETED)
        assert vespa.deployed(allowed).status == 200
        assert package.OVERRIDES not in package.files(texts(self.SMALL))
        assert vespa.deployed(package.files(texts(self.SMALL))).status == 200

    @pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"dim": 32}])
    def test_a_change_of_the_vectors_is_refused_by_vespa(self, vespa: Client, change: dict) -> None:
        deployed(vespa, self.SMALL)
        refused = vespa.deploy(package.files(texts(self.SMALL.replace(**change))))
        assert refused.status == 400
        assert "field-type-change" in refused.message


class TestPyvespa:
    """The same application by pyvespa, for those who deploy with it."""

    def test_it_is_the_same(self, vespa: Client) -> None:
        """The index is used in the same way, and Vespa finds nothing to do when lateint deploys its own over it."""
        pytest.importorskip("vespa.package", reason="pyvespa is not installed")
        specs = (IndexSpec("LateOn-Pages", 16, fields=FIELDS), IndexSpec("other", 32, dtype="bfloat16"))
        made = package.application_package(*specs)
        reply = vespa.config("POST", f"{TENANT}/prepareandactivate", made.to_zip().read())
        assert reply.status == 200, reply.message
        vespa.await_convergence()
        layout = layout_of(specs[0])
        written(vespa, layout, "a", {"word": "x", "moment": datetime(2024, 1, 1, tzinfo=UTC)})
        call = calls.search(
            layout,
            query=ROWS[:1],
            limit=1000,
            condition=Condition("true"),
            with_payload=True,
            with_vectors=True,
            query_profile=True,
            timeout_s=20,
        )
        (hit,) = ranked(sent(vespa, call), layout, limit=1000, with_vectors=True)
        assert (hit.id, hit.payload["word"], hit.score) == ("a", "x", 1.0)
        reply = vespa.deploy(package.files(texts(*specs)))
        nothing: dict[str, list] = {"restart": [], "refeed": [], "reindex": []}
        assert (reply.status, reply.json["configChangeActions"]) == (200, nothing)

    def test_it_can_be_extended(self, vespa: Client) -> None:
        """It is an application package like any other; and it says itself what the index is."""
        pyvespa = pytest.importorskip("vespa.package", reason="pyvespa is not installed")
        spec = IndexSpec("pages", 16, fields=FIELDS)
        made = package.application_package(spec, name="mine")
        made.get_schema("pages").add_rank_profile(pyvespa.RankProfile(name="mine", first_phase="attribute(number)"))
        reply = vespa.config("POST", f"{TENANT}/prepareandactivate", made.to_zip().read())
        assert reply.status == 200, reply.body
        text = vespa.config("GET", f"{APPLICATION}/content/schemas/pages.sd").body.decode()
        assert package.described_spec(text) == spec
        assert not package.is_as_written(text)
        assert not package.is_ours(vespa.config("GET", f"{APPLICATION}/content/services.xml").body.decode())


def test_the_example_application_is_not_ours() -> None:
    assert package.described_spec(example()["schemas/page.sd"]) is None


def test_ids_of_documents(vespa: Client) -> None:
    """Quotes, slashes, dots, percent signs and 512 bytes of Unicode name a document and nothing else."""
    (layout,) = deployed(vespa, IndexSpec("pages", 16))
    ids = [
        ".", "..", "/", "//", "a/../b", "../../x", "a/b", "a%2Fb", "%", "%00", "a b", " ", " a ", "+", "a+b", "a#b?c&d=e",
        "a:b", "x::y", "id:lateint:pages::a", "lateint:.", "lateint:", "lateint:lateint:x", '"}{[', "'", "\"'", "\\", '\\"',
        "a;b", "@li0", "*", "a*", "true", "null", "-1", "é", "e\u0301", "\u2028", "\u200b", "\ufeff", "\u00ad", "\U0010fffd",
        "\U0001f469\u200d\U0001f467", "\ue000", "日" * 170 + "ab", "x" * 512, '" or true or lateint_id contains "', "A", "a",
    ]  # fmt: skip
    for each in ids:
        written(vespa, layout, each)
    assert number(vespa, layout) == len(ids)
    for each in ids:
        got = found(
            sent(vespa, calls.get(layout, each, with_vectors=False, timeout_s=20)), layout, each, with_vectors=False
        )
        assert got is not None
        assert got.id == each
        call = calls.passing(layout, condition=lowered(Ids((each,)), {}), limit=100, query_profile=False, timeout_s=20)
        assert passing(sent(vespa, call), layout, limit=100) == [each]
    both = calls.passing(layout, condition=lowered(Ids(tuple(ids)), {}), limit=100, query_profile=False, timeout_s=20)
    assert sorted(passing(sent(vespa, both), layout, limit=100)) == sorted(ids)
    for each in ids:
        acknowledged(sent(vespa, calls.remove(layout, each, timeout_s=20)), layout, each)
    assert number(vespa, layout) == 0
