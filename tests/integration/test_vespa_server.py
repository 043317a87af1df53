"""The Vespa server that tests build is like one: its own code validates, parses, dispatches and renders, its scores are right.

Its content node is ours and computes in double precision. So these tests prove the form of requests and replies, the
expressions that were deployed, and which documents are found; not float32 kernels, HNSW graphs, text ranking, or how a
loaded node behaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from lateint.scoring import from_bfloat16_bits, maxsim, to_bfloat16_bits, tolerance
from tests.servers.vespa.asking import Client, bits, blocks, call, example, hits
from tests.servers.vespa.control import Control

ROWS, DIM, COUNT = 4, 128, 20


def unit_rows(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = random.standard_normal((count, DIM))
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


RANDOM = np.random.default_rng(1)
QUERY = unit_rows(RANDOM, ROWS)
PAGES = {f"p{at}": unit_rows(RANDOM, 1 + at % 7) for at in range(COUNT)}
BF16 = {name: from_bfloat16_bits(to_bfloat16_bits(rows)) for name, rows in PAGES.items()}


def bf16_blocks(rows: NDArray[np.float32]) -> dict[str, Any]:
    return {"blocks": {str(at): row.astype(">u2").tobytes().hex() for at, row in enumerate(to_bfloat16_bits(rows))}}


@pytest.fixture(scope="module")
def served(own_vespa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Control]]:
    """The example application, with twenty pages in it."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server:
        client = Client(server.http_url, server.config_url)
        client.deployed(example())
        for at, (name, rows) in enumerate(PAGES.items()):
            client.put(
                name,
                lang=["en", "De"][at % 2],
                year=2000 + at,
                big=2**53 + at,
                price=at / 2,
                open=at % 2 == 0,
                tags=["x", f"t{at % 3}"],
                title="one two",
                d=blocks(rows),
                d_bf=bf16_blocks(rows),
                d_bits=bits(rows),
            )
        yield client, server.control


@pytest.fixture
def vespa(served: tuple[Client, Control]) -> Client:
    return served[0]


def is_ranking(found: list[Any], truth: dict[str, float], *, norm: float = 1.0) -> bool:
    """Whether hits are all documents with their scores, the best first."""
    scores = {hit["fields"]["doc_id"]: hit["relevance"] for hit in found}
    allowed = {name: tolerance(rows=ROWS, dim=DIM, score=score, norm=norm) for name, score in truth.items()}
    return (
        scores.keys() == truth.keys()
        and all(abs(scores[name] - truth[name]) <= allowed[name] for name in truth)
        and list(scores) == sorted(scores, key=scores.__getitem__, reverse=True)
    )


class TestScores:
    """Of every storage and every form of a query tensor, as the reference has them."""

    TRUTH: ClassVar = {name: maxsim(QUERY, rows) for name, rows in PAGES.items()}

    @pytest.mark.parametrize(
        "tensor",
        [
            pytest.param(blocks(QUERY), id="blocks of hex"),
            pytest.param(json.dumps(blocks(QUERY)), id="the same as text"),
            pytest.param("{" + ",".join(f"{at}:{row}" for at, row in blocks(QUERY)["blocks"].items()) + "}", id="hex"),
            pytest.param("{" + ",".join(f"{at}:{row.tolist()}" for at, row in enumerate(QUERY)) + "}", id="literal"),
            pytest.param({str(at): row.tolist() for at, row in enumerate(QUERY)}, id="lists"),
        ],
    )
    def test_float(self, vespa, tensor):
        reply = vespa.search(**{"input.query(qt)": tensor})
        assert is_ranking(hits(reply), self.TRUTH)
        assert reply.json["root"]["coverage"] == {
            "coverage": 100,
            "documents": COUNT,
            "full": True,
            "nodes": 1,
            "results": 1,
            "resultsFull": 1,
        }
        for hit in hits(reply):
            features = hit["fields"]["matchfeatures"]
            assert features["marker"] == 4711
            assert features["exact_score"] == hit["relevance"]

    def test_by_the_evaluator_of_vespa(self, vespa, served):
        """The loop that makes large tests possible gives what the deployed expression gives."""
        control = served[1]
        control.use_shortcut(used=False)
        try:
            reply = vespa.search("select * from page where year < 2005", **{"input.query(qt)": blocks(QUERY)})
        finally:
            control.use_shortcut(used=True)
        assert is_ranking(hits(reply), {f"p{at}": self.TRUTH[f"p{at}"] for at in range(5)})

    def test_bfloat16(self, vespa):
        reply = vespa.search(**{"input.query(qt)": blocks(QUERY), "ranking.profile": "bfloat16"})
        assert is_ranking(hits(reply), {name: maxsim(QUERY, rows) for name, rows in BF16.items()})

    def test_bits_are_unpacked_to_zeros_and_ones(self, vespa):
        reply = vespa.search(**{"input.query(qt)": blocks(QUERY), "ranking.profile": "bits"})
        truth = {name: maxsim(QUERY, (rows > 0).astype(np.float32)) for name, rows in PAGES.items()}
        assert is_ranking(hits(reply), truth, norm=DIM**0.5)

    def test_hamming(self, vespa):
        reply = vespa.search(**{"input.query(qt_bits)": bits(QUERY), "ranking.profile": "hamming"})
        truth = {
            name: float((1 / (1 + ((QUERY > 0)[:, None] != (rows > 0)).sum(axis=2))).max(axis=1).sum())
            for name, rows in PAGES.items()
        }
        assert is_ranking(hits(reply), truth)

    def test_second_phase_ranks_its_count_and_moves_the_rest_below(self, vespa):
        reply = vespa.search(
            **{
                "input.query(qt)": blocks(QUERY),
                "input.query(qt_bits)": bits(QUERY),
                "ranking.profile": "again",
            }
        )
        exact = [hit["relevance"] == hit["fields"]["matchfeatures"]["exact_score"] for hit in hits(reply)]
        assert exact == [True] * 10 + [False] * 10
        relevance = [hit["relevance"] for hit in hits(reply)]
        assert relevance == sorted(relevance, reverse=True)

    def test_best_similarity_of_each_query_row(self, vespa):
        reply = vespa.search(**{"input.query(qt)": blocks(QUERY), "ranking.profile": "parts"})
        for hit in hits(reply):
            cells = hit["fields"]["matchfeatures"]["best_per_row"]["cells"]
            assert sum(cells.values()) == pytest.approx(hit["relevance"])
            assert set(cells) == {str(at) for at in range(ROWS)}

    @pytest.mark.parametrize("nodes", [2, 3])
    def test_nodes_rerank_each_for_itself(self, own_vespa, tmp_path, nodes):
        """Vespa's `rerank-count` is per node: its dispatcher merges what each has ranked."""
        services = example()["services.xml"]
        more = "".join(f'<node hostalias="node1" distribution-key="{at}"/>' for at in range(1, nodes))
        key = '<node hostalias="node1" distribution-key="0"/>'
        with own_vespa(tmp_path) as server:
            client = Client(server.http_url, server.config_url)
            client.deployed(example() | {"services.xml": services.replace(key, key + more)})
            random = np.random.default_rng(2)
            for at in range(60):
                rows = unit_rows(random, 2)
                client.put(f"d{at}", d=blocks(rows), d_bits=bits(rows))
            parameters: dict[str, Any] = {"input.query(qt)": blocks(QUERY), "input.query(qt_bits)": bits(QUERY)}
            reply = client.search(**parameters, **{"ranking.profile": "again"})
            assert reply.json["root"]["coverage"]["nodes"] == nodes
            exact = [hit["relevance"] == hit["fields"]["matchfeatures"]["exact_score"] for hit in hits(reply)]
            assert sum(exact) == 10 * nodes


class TestConditions:
    @pytest.mark.parametrize(
        ("yql", "numbers"),
        [
            ("lang contains 'en'", range(0, COUNT, 2)),
            ("lang contains 'de'", []),
            ("lang in ('en', 'De')", range(COUNT)),
            ("year >= 2015", range(15, COUNT)),
            ("range(year, 2003, 2004)", [3, 4]),
            ("year in (2001, 2002, 1)", [1, 2]),
            ("price = 1.5", [3]),
            ("price > 1.5 and price < 3", [4, 5]),
            ("open = true", range(0, COUNT, 2)),
            ("tags contains 't1'", range(1, COUNT, 3)),
            ("true and !(lang contains 'en')", range(1, COUNT, 2)),
            ("(lang contains 'en' and year > 2016) or doc_id contains 'p1'", [1, 18]),
            (f"big = {2**53 + 1}L", [1]),
            (f"big > {2**53 + 18}L", [19]),
        ],
    )
    def test_select(self, vespa, yql, numbers):
        assert vespa.found(yql) == {f"p{at}" for at in numbers}

    def test_values_by_parameter_are_no_syntax(self, vespa):
        vespa.put('" or true', lang="a'b\\")
        try:
            assert vespa.found("doc_id contains @id", id='" or true') == {'" or true'}
            assert vespa.found("lang contains @value", value="a'b\\") == {'" or true'}
            assert vespa.found("lang contains @value", value='" or true or lang contains "') == set()
        finally:
            vespa.document("DELETE", '" or true')

    @pytest.mark.parametrize("yql", ["title contains 'one'", "lang contains ({prefix: true}'e')"])
    def test_what_the_content_node_lacks_is_refused(self, vespa, yql):
        reply = vespa.search(f"select * from page where {yql}")
        assert "this test server" in reply.message
        assert reply.status != 200

    def test_text_ranking_is_refused(self, vespa):
        reply = vespa.search(**{"ranking.profile": "text"})
        assert "this test server has no rank feature bm25(title)" in reply.message
        assert reply.status != 200

    def test_nearest_neighbor_is_exact(self, vespa):
        yql = "select * from page where {targetHits: 3, approximate: true}nearestNeighbor(d, rq)"
        parameters = {"input.query(rq)": QUERY[0].tolist(), "input.query(qt)": blocks(QUERY[:1])}
        nearest = sorted(PAGES, key=lambda name: -maxsim(QUERY[:1], PAGES[name]))[:3]
        assert [hit["fields"]["doc_id"] for hit in hits(vespa.search(yql, **parameters))] == nearest

    def test_order_by(self, vespa):
        def order(by: str, **parameters: Any) -> list[str]:
            reply = vespa.search(f"select * from page where year > 2014 order by {by}", **parameters)
            return [hit["fields"]["doc_id"] for hit in hits(reply)]

        assert order("year desc") == ["p19", "p18", "p17", "p16", "p15"]
        assert order("open, price desc") == ["p19", "p17", "p15", "p18", "p16"]
        assert order("doc_id desc", hits=2, offset=1) == ["p18", "p17"]
        assert order("big") == ["p15", "p16", "p17", "p18", "p19"]

    def test_order_by_collation_is_refused(self, vespa):
        reply = vespa.search("select * from page where true order by lang")
        assert "sorting { function: raw }" in reply.message


class TestWhatTheContainerSays:
    """Things a client must know, from Vespa's own code."""

    def test_unknown_profile(self, vespa):
        reply = vespa.search(**{"ranking.profile": "nope", "input.query(qt)": blocks(QUERY)})
        assert reply.status == 400
        assert "No profile named 'nope'" in reply.message

    def test_hex_of_the_wrong_length_is_refused(self, vespa):
        assert vespa.search(**{"input.query(qt)": blocks(QUERY[:, :127])}).status == 400

    def test_a_short_row_of_decimals_is_padded_in_silence(self, vespa):
        reply = vespa.search(**{"input.query(qt)": {"0": [1, 2, 3]}})
        assert reply.status == 200
        assert hits(reply)[0]["relevance"] != 0

    def test_an_undeclared_tensor_is_swallowed(self, vespa):
        assert vespa.search(**{"input.query(zz)": "{0:[1,2,3]}"}).status == 200

    @pytest.mark.parametrize("tensor", [{"input.query(qt)": {"blocks": {}}}, {}])
    def test_no_query_rows_score_zero(self, vespa, tensor):
        reply = vespa.search(**tensor)
        assert reply.status == 200
        assert {hit["relevance"] for hit in hits(reply)} == {0}

    def test_nan_comes_as_text(self, vespa):
        query = QUERY.copy()
        query[0, 0] = np.nan
        reply = vespa.search(**{"input.query(qt)": blocks(query)})
        assert isinstance(hits(reply)[0]["relevance"], str)

    def test_too_many_hits(self, vespa):
        assert vespa.search(hits=401).status == 400

    def test_unknown_summary_is_an_error_with_status_200(self, vespa):
        reply = vespa.search(**{"presentation.summary": "bogus"})
        assert reply.status == 200
        assert reply.json["root"]["errors"]
        assert hits(reply)

    def test_versions_and_health(self, vespa):
        assert call("GET", f"{vespa.http_url}/state/v1/version").json["version"] == "8.700.24"
        assert call("GET", f"{vespa.http_url}/state/v1/health").json["status"]["code"] == "up"
        status = call("GET", f"{vespa.http_url}/ApplicationStatus").json["application"]
        assert status["vespa"]["version"] == "8.700.24"
        assert status["meta"]["generation"] == vespa.convergence()["wantedGeneration"]


class TestDocuments:
    def test_vectors_come_back_bit_identical(self, vespa):
        found = vespa.fields("p6", **{"format.tensors": "hex"})["d"]["blocks"]
        assert {at: row.lower() for at, row in found.items()} == blocks(PAGES["p6"])["blocks"]
        decimals = vespa.fields("p6")["d"]
        assert decimals["type"] == "tensor<float>(token{},v[128])"
        rows = [decimals["blocks"][str(at)] for at in range(7)]
        assert np.array_equal(np.array(rows, np.float32), PAGES["p6"])

    def test_bfloat16_is_truncated_unless_it_comes_as_its_own_hex(self, vespa):
        vespa.put("rounding", d_bf={"0": [1.0058] + [0] * 127})
        assert vespa.fields("rounding")["d_bf"]["blocks"]["0"][0] == 1.0  # the nearest is 1.0078125
        vespa.put("rounding", d_bf=bf16_blocks(np.array([[1.0058] + [0] * 127], np.float32)))
        assert vespa.fields("rounding")["d_bf"]["blocks"]["0"][0] == 1.0078125
        vespa.document("DELETE", "rounding")

    def test_attributes_cannot_tell_some_values_from_none(self, vespa):
        vespa.put("none", lang="", year=-(2**31), tags=[], price="NaN", title="")
        try:
            assert vespa.fields("none") == {"doc_id": "none", "open": False}
            assert "none" not in vespa.found("range(year, -2147483648, 0)")
            assert "none" in vespa.found("open = false")
            assert "none" in vespa.found("true and !(year > 0)")
        finally:
            vespa.document("DELETE", "none")

    def test_missing_documents(self, vespa):
        assert vespa.document("GET", "nobody").status == 404
        assert vespa.document("DELETE", "nobody").status == 200
        assert vespa.document("PUT", "nobody", {"fields": {"year": {"assign": 1}}}).status == 200
        assert vespa.document("GET", "nobody").status == 404
        assert vespa.document("PUT", "nobody", {"create": True, "fields": {"year": {"assign": 1}}}).status == 200
        assert vespa.fields("nobody") == {"year": 1, "open": False}
        assert vespa.document("DELETE", "nobody").status == 200

    @pytest.mark.parametrize(
        ("fields", "status"),
        [({"d": {"0": [1, 2, 3]}}, 400), ({"bogus": 1}, 400), ({"d": {"0": [1] * 129}}, 500)],
    )
    def test_refused(self, vespa, fields, status):
        """A row too long is 500: an oversight of Vespa's, not ours."""
        assert vespa.document("POST", "refused", {"fields": fields}).status == status
        assert vespa.document("GET", "refused").status == 404

    def test_condition(self, vespa):
        update = {"fields": {"price": {"assign": 1}}}
        assert vespa.document("PUT", "p0", update, condition="page.year==1").status == 412
        assert vespa.document("PUT", "p0", update, condition="page.year==2000").status == 200
        assert vespa.fields("p0")["price"] == 1
        assert vespa.document("PUT", "p0", {"fields": {"price": {"assign": 0}}}).status == 200

    def test_adding_to_a_tensor_merges(self, vespa):
        vespa.put("merge", d=blocks(QUERY[:2]))
        vespa.document("PUT", "merge", {"fields": {"d": {"add": {"blocks": {"9": blocks(QUERY)["blocks"]["3"]}}}}})
        assert set(vespa.fields("merge")["d"]["blocks"]) == {"0", "1", "9"}
        vespa.document("PUT", "merge", {"fields": {"d": {"assign": blocks(QUERY[:1])}}})
        assert set(vespa.fields("merge")["d"]["blocks"]) == {"0"}
        vespa.document("DELETE", "merge")

    def test_unknown_fields_are_ignored_where_the_application_says_so(self, own_vespa, tmp_path):
        services = example()["services.xml"].replace(
            "<document-api/>", "<document-api><ignore-undefined-fields>true</ignore-undefined-fields></document-api>"
        )
        with own_vespa(tmp_path) as server:
            client = Client(server.http_url, server.config_url)
            client.deployed(example() | {"services.xml": services})
            reply = client.document("POST", "a", {"fields": {"year": 1, "bogus": 2}})
            assert (reply.status, reply.headers["X-Vespa-Ignored-Fields"]) == (200, "true")
            assert client.fields("a")["year"] == 1


class TestVisits:
    def test_pages(self, vespa):
        seen: list[str] = []
        token: dict[str, str] = {}
        while True:
            reply = vespa.visit(wantedDocumentCount=4, fieldSet="page:doc_id", **token)
            assert reply.status == 200
            seen += [one["fields"]["doc_id"] for one in reply.json["documents"]]
            if "continuation" not in reply.json:
                break
            token = {"continuation": reply.json["continuation"]}
        assert sorted(seen) == sorted(PAGES)

    def test_slices(self, vespa):
        seen = [
            one["fields"]["doc_id"]
            for part in range(3)
            for one in vespa.visit(slices=3, sliceId=part, wantedDocumentCount=100).json["documents"]
        ]
        assert sorted(seen) == sorted(PAGES)

    def test_lines(self, vespa):
        lines = vespa.visit(lines=True, stream="true", **{"format.tensors": "hex"}).lines
        assert len([line for line in lines if "put" in line]) == COUNT
        assert lines[-1] == {"continuation": {"percentFinished": 100.0}}

    def test_selection(self, vespa):
        reply = vespa.visit(selection="page.year < 2003", wantedDocumentCount=100)
        assert {one["fields"]["doc_id"] for one in reply.json["documents"]} == {"p0", "p1", "p2"}

    def test_bad_continuation(self, vespa):
        assert vespa.visit(continuation="AAAA").status == 400
