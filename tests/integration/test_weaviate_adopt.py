"""Collections that lateint did not create: described, searched, scanned and copied; writes keep everything else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

import weaviate
from weaviate.classes.config import Configure, DataType, Property, ReferenceProperty, Tokenization, VectorDistances
from weaviate.classes.data import DataObject

import lateint
from lateint import Document, Feature, errors
from lateint.scoring import maxsim, tolerance
from lateint.vectors import MultiVector, normalized, row_norms
from tests.servers.discovery import WeaviateServer

if TYPE_CHECKING:
    from tests.servers.weaviate.server import Server

DIM = 8
COUNT = 40
Index = Configure.VectorIndex


def multi(name: str = "colbert", **more: Any) -> Any:
    more.setdefault("vector_index_config", Index.hnsw(distance_metric=VectorDistances.DOT))
    return Configure.MultiVectors.self_provided(name=name, **more)


def measured(metric: VectorDistances) -> Any:
    return multi(vector_index_config=Index.hnsw(distance_metric=metric))


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A collection as somebody else would have made it.

    Attributes:
        vectors: its configuration.
        exact: whether it can be searched exactly.
        words: of the warning that comes with it; empty for none.
        lost: what is not carried.
    """

    vectors: list[Any]
    exact: bool = True
    words: str = ""
    lost: tuple[str, ...] = ()


FOREIGN = {
    "dot": Foreign(vectors=[multi()]),
    "default-options": Foreign(
        vectors=[Configure.MultiVectors.self_provided(name="colbert")], exact=False, words="cosine"
    ),
    "l2": Foreign(vectors=[measured(VectorDistances.L2_SQUARED)]),
    "manhattan": Foreign(vectors=[measured(VectorDistances.MANHATTAN)]),
    "hamming": Foreign(vectors=[measured(VectorDistances.HAMMING)]),
    "muvera": Foreign(vectors=[multi(encoding=Index.MultiVector.Encoding.muvera())], exact=False, words="MUVERA"),
    "bq": Foreign(vectors=[multi(quantizer=Index.Quantizer.bq())], exact=False, words="quantized (bq)"),
    "rq": Foreign(vectors=[multi(quantizer=Index.Quantizer.rq())], exact=False, words="quantized (rq)"),
    "sq": Foreign(vectors=[multi(quantizer=Index.Quantizer.sq())], exact=False, words="quantized (sq)"),
    "pq": Foreign(vectors=[multi(quantizer=Index.Quantizer.pq())], exact=False, words="quantized (pq)"),
    "beside-dense": Foreign(
        vectors=[multi(), Configure.Vectors.self_provided(name="dense")], lost=("vector 'dense' (hnsw)",)
    ),
    "two": Foreign(vectors=[multi(), multi("pages")], lost=("vector 'pages' (multi, hnsw)",)),
}

PROPERTIES = [
    Property(name="title", data_type=DataType.TEXT),
    Property(name="kind", data_type=DataType.TEXT, tokenization=Tokenization.FIELD),
    Property(name="tags", data_type=DataType.TEXT_ARRAY, tokenization=Tokenization.FIELD),
    Property(name="year", data_type=DataType.INT),
    Property(name="price", data_type=DataType.NUMBER),
    Property(name="at", data_type=DataType.DATE),
]


def payload(number: int) -> dict[str, Any]:
    return {
        "title": f"Page {number}",
        "kind": f"k{number % 3}",
        "tags": ["all", f"t{number % 2}"],
        "year": 2000 + number,
        "price": number / 4,
        "at": datetime(2024, 1, 1 + number % 28, 12, 30, 0, 250_000, tzinfo=UTC),
    }


@dataclass(kw_only=True)
class Case:
    """A foreign collection that holds documents.

    Attributes:
        name: of the collection.
        own: the client that made it.
        rows: multi-vectors by id.
    """

    name: str
    own: Any
    rows: dict[str, MultiVector] = field(default_factory=dict)

    def fill(self, *, beside: tuple[str, ...] = (), count: int = COUNT, length: float = 1.0) -> None:
        rng = np.random.default_rng(3)
        objects = []
        for number in range(count):
            name = str(uuid.UUID(int=number + 1))
            rows = normalized(rng.standard_normal((2 + number % 5, DIM)).astype(np.float32)) * np.float32(length)
            self.rows[name] = rows
            others = {"dense": rng.standard_normal(4).tolist(), "pages": rng.standard_normal((2, 4)).tolist()}
            vectors = {"colbert": rows.tolist(), **{key: others[key] for key in beside}}
            objects.append(DataObject(properties=payload(number), uuid=name, vector=vectors))
        answer = self.own.collections.use(self.name).data.insert_many(objects)
        assert not answer.has_errors, answer.errors

    def check(self, result: lateint.SearchResult, query: MultiVector, *, k: int, whole: bool) -> None:
        """Every hit has its MaxSim, and with `whole` the best are all there."""
        longest = float(row_norms(query).max() * max(row_norms(rows).max() for rows in self.rows.values()))
        true = {name: maxsim(query, rows) for name, rows in self.rows.items()}
        allowed = float(tolerance(rows=len(query), dim=DIM, score=max(map(abs, true.values())), norm=longest))
        for hit in result:
            assert hit.score == pytest.approx(true[hit.id], abs=allowed, rel=0)
        if whole:
            best = sorted(true.values(), reverse=True)[:k]
            np.testing.assert_allclose([hit.score for hit in result], best, atol=allowed, rtol=0)


@pytest.fixture(scope="module")
def own(weaviate_server: WeaviateServer) -> Iterator[Any]:
    """A client of Weaviate's own."""
    server = weaviate_server
    with weaviate.connect_to_local(
        host=server.host,
        port=server.port,
        grpc_port=server.grpc_port,
        skip_init_checks=True,
        auth_credentials=None if server.api_key is None else weaviate.auth.Auth.api_key(server.api_key),
    ) as client:
        yield client


@pytest.fixture
def client(weaviate_server: WeaviateServer) -> Iterator[lateint.Client]:
    with lateint.connect(weaviate_server.url, api_key=weaviate_server.api_key) as client:
        yield client


@pytest.fixture
def make(own: Any) -> Iterator[Callable[..., Case]]:
    """Makes collections, and drops them."""
    made: list[str] = []

    def collection(vectors: list[Any], **more: Any) -> Case:
        name = f"Foreign_{uuid.uuid4().hex[:8]}"
        own.collections.create(name, properties=more.pop("properties", PROPERTIES), vector_config=vectors, **more)
        made.append(name)
        return Case(name=name, own=own)

    yield collection
    for name in made:
        own.collections.delete(name)


QUERY = normalized(np.random.default_rng(4).standard_normal((3, DIM)).astype(np.float32))


@pytest.mark.parametrize("kind", FOREIGN)
class TestKinds:
    """What a collection is decides what its scores are worth, and that is said."""

    def test_described_and_searched(self, make: Callable[..., Case], client: lateint.Client, kind: str) -> None:
        foreign = FOREIGN[kind]
        case = make(foreign.vectors)
        case.fill(beside={"beside-dense": ("dense",), "two": ("pages",)}.get(kind, ()))
        index = client.open(case.name, vector="colbert")
        assert not index.info.managed
        assert index.spec.dim == DIM
        assert index.info.not_carried == foreign.lost
        assert (Feature.EXACT_SEARCH in index.capabilities.features) is foreign.exact
        assert bool(index.info.warnings) is bool(foreign.words)
        result = index.search(QUERY, 5)
        assert result.exact is foreign.exact
        assert any(foreign.words in warning for warning in (*result.warnings, ""))
        assert bool(result.warnings) is bool(foreign.words)
        case.check(result, QUERY, k=5, whole=foreign.exact)
        walked = index.search(QUERY, 5, exact=False)
        assert not walked.exact
        case.check(walked, QUERY, k=5, whole=False)
        if not foreign.exact:
            with pytest.raises(errors.UnsupportedFeature, match="exact"):
                index.search(QUERY, 5, exact=True)

    def test_read_whole(self, make: Callable[..., Case], client: lateint.Client, kind: str) -> None:
        case = make(FOREIGN[kind].vectors)
        case.fill(beside={"beside-dense": ("dense",), "two": ("pages",)}.get(kind, ()))
        index = client.open(case.name, vector="colbert")
        found = {document.id: document for document in index.scan(with_vectors=True)}
        assert found.keys() == case.rows.keys()
        for number, name in enumerate(case.rows):
            assert np.array_equal(found[name].vectors, case.rows[name])
            assert found[name].payload == payload(number)


class TestRefused:
    """What cannot be worked on is refused with the reason."""

    @pytest.mark.parametrize(
        ("vectors", "error", "words"),
        [
            ([Configure.Vectors.self_provided(name="dense")], errors.SchemaMismatch, "dense"),
            (
                [Configure.MultiVectors.self_provided(name="a", vector_index_config=Index.flat())],
                errors.SchemaMismatch,
                "flat",
            ),
            (
                [Configure.MultiVectors.self_provided(name="a", vector_index_config=Index.hfresh())],
                errors.SchemaMismatch,
                "hfresh",
            ),
            ([multi(), multi("pages")], errors.SchemaMismatch, "'colbert', 'pages'"),
            ([multi()], errors.SchemaMismatch, "dimension is unknown"),
        ],
        ids=["dense", "flat", "hfresh", "two", "empty"],
    )
    def test_without_documents(
        self, make: Callable[..., Case], client: lateint.Client, vectors: list[Any], error: Any, words: str
    ) -> None:
        case = make(vectors)
        with pytest.raises(error, match=words):
            client.open(case.name)

    def test_tenants(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()], multi_tenancy_config=Configure.multi_tenancy(enabled=True))
        with pytest.raises(errors.UnsupportedFeature, match="tenants"):
            client.open(case.name)

    def test_a_vector_that_is_not_there(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()])
        with pytest.raises(errors.SchemaMismatch, match="'colbert'"):
            client.open(case.name, vector="pages")


class TestFilters:
    """The server's own properties are the filterable fields, where it can say what lateint's filters mean."""

    def test_as_the_definition_says(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()])
        case.fill()
        index = client.open(case.name)
        assert set(index.spec.fields) == {"kind", "tags", "year", "price", "at"}
        documents = list(index.scan())
        at, year, kind = lateint.field("at"), lateint.field("year"), lateint.field("kind")
        for condition in (
            kind == "k1",
            ~(kind == "k1"),
            kind.is_in(["k0", "k2"]),
            lateint.field("tags").contains("t1"),
            year.between(2010, 2019) & (lateint.field("price") > 3.0),
            (at >= datetime(2024, 1, 20, tzinfo=UTC)) | (year == 2000),
            lateint.ids([documents[3].id, documents[7].id, str(uuid.UUID(int=99_999))]),
        ):
            expected = {
                document.id
                for document in documents
                if lateint.filters.matches(condition, document=document.id, payload=document.payload)
            }
            assert {document.id for document in index.scan(filter=condition)} == expected
            assert index.count(condition) == len(expected)
            assert {hit.id for hit in index.search(QUERY, COUNT, filter=condition)} == expected

    def test_text_that_is_split_into_words(self, make: Callable[..., Case], client: lateint.Client) -> None:
        """Equality of a tokenised property matches other texts too."""
        case = make([multi()])
        case.fill()
        index = client.open(case.name, fields={"title": "text"})
        with pytest.raises(errors.UnsupportedFeature, match="title"):
            index.count(lateint.field("title") == "Page 3")


class TestWriting:
    """Read-only until asked; then what is not given stays."""

    def test_only_on_request(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()])
        case.fill()
        with pytest.raises(errors.PermissionDenied, match="write=True"):
            client.open(case.name).delete([str(uuid.UUID(int=1))])

    def test_a_part_of_an_object(self, make: Callable[..., Case], client: lateint.Client, own: Any) -> None:
        """A written document keeps its other vectors, its references and the properties that were not given."""
        case = make([multi(), Configure.Vectors.self_provided(name="dense")])
        case.fill(beside=("dense",))
        raw = own.collections.use(case.name)
        raw.config.add_reference(ReferenceProperty(name="next", target_collection=case.name))
        first, second, new = (str(uuid.UUID(int=number)) for number in (1, 2, 77))
        raw.data.reference_add(from_uuid=first, from_property="next", to=second)
        before = raw.query.fetch_object_by_id(first, include_vector=True)
        index = client.open(case.name, write=True)
        rows = normalized(np.ones((2, DIM), dtype=np.float32) + np.eye(2, DIM, dtype=np.float32))
        report = index.write([Document(first, rows, {"year": 1}), Document(new, rows, {"kind": "new"})])
        assert (report.written, report.failed) == (2, ())
        after = raw.query.fetch_object_by_id(
            first, include_vector=True, return_references=[weaviate.classes.query.QueryReference(link_on="next")]
        )
        assert after.vector["dense"] == before.vector["dense"]
        assert after.properties == {**before.properties, "year": 1}
        assert [str(each.uuid) for each in after.references["next"].objects] == [second]
        case.rows |= {first: rows, new: rows}
        case.check(index.search(QUERY, COUNT + 1), QUERY, k=COUNT + 1, whole=True)
        (read,) = index.get([new], with_vectors=True)
        assert (np.array_equal(read.vectors, rows), read.payload) == (True, {"kind": "new"})

    def test_payload_alone(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()])
        case.fill()
        index = client.open(case.name, write=True)
        known, unknown = str(uuid.UUID(int=5)), str(uuid.UUID(int=5000))
        report = index.update_payload([known, unknown], {"kind": "changed", "title": None})
        assert (report.written, [failure.id for failure in report.failed]) == (1, [unknown])
        (read,) = index.get([known], with_vectors=True)
        assert read.payload == {key: value for key, value in payload(4).items() if key != "title"} | {"kind": "changed"}
        assert np.array_equal(read.vectors, case.rows[known])

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            (Document("page-1", [[1.0] * DIM]), "UUID"),
            (Document(str(uuid.UUID(int=1)).replace("-", ""), [[1.0] * DIM]), "UUID"),
            (Document(str(uuid.UUID(int=1)), [[1.0] * DIM], {"color": "red"}), "color"),
            (Document(str(uuid.UUID(int=1)), [[1.0] * DIM], {"year": 2**53 + 1}), "year"),
            (Document(str(uuid.UUID(int=1)), [[1.0] * (DIM + 1)]), str(DIM)),
        ],
        ids=["id", "id-without-dashes", "undeclared-property", "integer-that-would-change", "dimension"],
    )
    def test_refused(self, make: Callable[..., Case], client: lateint.Client, document: Document, words: str) -> None:
        """Nothing is sent that the server would change, or make a property of."""
        case = make([multi()])
        case.fill()
        index = client.open(case.name, write=True)
        with pytest.raises(errors.InvalidInput, match=words):
            index.write([document])
        assert {read.id: read.payload for read in index.scan()} == {
            name: payload(number) for number, name in enumerate(case.rows)
        }


class TestNames:
    def test_listed_and_opened_as_it_is_called(self, make: Callable[..., Case], client: lateint.Client) -> None:
        case = make([multi()])
        case.fill(count=3)
        assert case.name in client.list_indexes()
        assert client.open(case.name).count() == 3
        with pytest.raises(errors.IndexExists):
            client.create_index(lateint.IndexSpec(case.name, DIM))


class TestSmallCutoff:
    def test_more_documents_than_are_scored(self, make: Callable[..., Case], client: lateint.Client) -> None:
        """The server scores everything only below `flatSearchCutoff`; above it an answer does not claim to be exact."""
        case = make([multi(vector_index_config=Index.hnsw(distance_metric=VectorDistances.DOT, flat_search_cutoff=20))])
        case.fill()
        index = client.open(case.name)
        beyond = index.search(QUERY, 5)
        assert not beyond.exact
        assert "flatSearchCutoff" in " ".join(beyond.warnings)
        within = index.search(QUERY, 5, filter=lateint.field("year") >= 2030)
        assert within.exact
        assert not within.warnings


class TestCosine:
    def test_scores_that_change_with_a_restart(self, own_weaviate: type[Server], tmp_path: Path) -> None:
        """A server scores rows that are not of length 1 otherwise once it has restarted: then it is not searched."""
        with own_weaviate(tmp_path) as server:
            with weaviate.connect_to_local(
                host="127.0.0.1", port=server.port, grpc_port=server.grpc_port, skip_init_checks=True
            ) as own:
                own.collections.create(
                    "Cosine", properties=PROPERTIES, vector_config=[measured(VectorDistances.COSINE)]
                )
                case = Case(name="Cosine", own=own)
                case.fill(length=3.0)
            server.stop()
            server.start()
            with lateint.connect(server.url) as client:
                index = client.open("Cosine")
                assert any("not MaxSim" in warning for warning in index.info.warnings)
                with pytest.raises(errors.UnsupportedFeature):
                    index.search(QUERY)
                assert {document.id for document in index.scan(with_vectors=True)} == case.rows.keys()
