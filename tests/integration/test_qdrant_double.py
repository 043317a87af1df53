"""The double of a Qdrant server is like one: what was noted of a running 1.18.3 holds for it.

Where these tests run against a real server, by `LATEINT_TEST_QDRANT_URL`, they check the notes instead; those that
need faults, other keys or another version always take a double.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")

from qdrant_client import QdrantClient
from qdrant_client import grpc as q
from qdrant_client import models as m
from qdrant_client.http.exceptions import ResponseHandlingException

from tests.servers.discovery import QdrantServer
from tests.servers.qdrant.asking import DOT, client, multivector, point, refused

NUMBERS = itertools.count()


@pytest.fixture
def qdrant(qdrant_server: QdrantServer, over_grpc: bool) -> Iterator[QdrantClient]:
    made = client(qdrant_server, over_grpc=over_grpc)
    yield made
    made.close()


@pytest.fixture
def new(qdrant: QdrantClient) -> Iterator[Callable[..., str]]:
    """Makes a collection, of one multi-vector `colbert` of dimension 4 unless told otherwise."""
    made: list[str] = []

    def make(**settings: Any) -> str:
        made.append(f"lateint_double_{next(NUMBERS)}")
        settings.setdefault("vectors_config", {"colbert": multivector()})
        qdrant.create_collection(made[-1], **settings)
        return made[-1]

    yield make
    for name in made:
        qdrant.delete_collection(name)


def raw_upsert(qdrant: QdrantClient, name: str, *vectors: q.Vector) -> None:
    """Upsert over gRPC what the client would not build."""
    points = [
        q.PointStruct(id=q.PointId(num=at), vectors=q.Vectors(vectors=q.NamedVectors(vectors={"colbert": vector})))
        for at, vector in enumerate(vectors)
    ]
    qdrant.grpc_points.Upsert(q.UpsertPoints(collection_name=name, points=points, wait=True))


def dense_rows(rows: Any) -> q.Vector:
    return q.Vector(multi_dense=q.MultiDenseVector(vectors=[q.DenseVector(data=row) for row in rows]))


class TestScores:
    @pytest.mark.parametrize(("datatype", "rounded"), [(None, np.float32), (m.Datatype.FLOAT16, np.float16)])
    def test_like_numpy(self, qdrant, new, datatype, rounded):
        random = np.random.default_rng(5)
        documents = [random.standard_normal((random.integers(1, 40), 16)).astype(np.float32) for _ in range(60)]
        query = random.standard_normal((8, 16)).astype(np.float32)
        name = new(vectors_config={"colbert": multivector(size=16, datatype=datatype)})
        qdrant.upsert(name, [point(at, rows.tolist()) for at, rows in enumerate(documents)])

        exact = m.SearchParams(exact=True)
        hits = qdrant.query_points(name, query.tolist(), using="colbert", limit=60, search_params=exact).points
        truth = {
            at: float((query.astype(rounded).astype(float) @ rows.astype(rounded).astype(float).T).max(axis=1).sum())
            for at, rows in enumerate(documents)
        }
        assert [hit.id for hit in hits] == sorted(truth, key=truth.__getitem__, reverse=True)
        assert [hit.score for hit in hits] == pytest.approx([truth[hit.id] for hit in hits], rel=1e-5)

    @pytest.mark.parametrize(("datatype", "rounded"), [(None, np.float32), (m.Datatype.FLOAT16, np.float16)])
    def test_rows_come_back_bit_identical(self, qdrant, new, datatype, rounded):
        rows = np.random.default_rng(6).standard_normal((7, 4)).astype(np.float32)
        name = new(vectors_config={"colbert": multivector(datatype=datatype)})
        qdrant.upsert(name, [point(1, rows.tolist())])
        (record,), _ = qdrant.scroll(name, with_vectors=True)
        assert np.array_equal(np.array(record.vector["colbert"], np.float32), rows.astype(rounded).astype(np.float32))

    def test_threshold_limit_and_filter(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(at, [[float(at), 0, 0, 0]], even=at % 2 == 0) for at in range(10)])
        even = m.Filter(must=[m.FieldCondition(key="even", match=m.MatchValue(value=True))])
        found = qdrant.query_points(
            name, [[1.0, 0, 0, 0]], using="colbert", query_filter=even, score_threshold=3.0, limit=2, with_payload=True
        )
        assert [(hit.id, hit.score, hit.payload) for hit in found.points] == [
            (8, 8.0, {"even": True}),
            (6, 6.0, {"even": True}),
        ]

    def test_batch(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1, [[1, 0, 0, 0]]), point(2, [[0, 1, 0, 0]])])
        rows = ([1.0, 0, 0, 0], [0, 1.0, 0, 0])
        requests = [m.QueryRequest(query=[row], using="colbert", limit=1) for row in rows]
        answers = qdrant.query_batch_points(name, requests)
        assert [answer.points[0].id for answer in answers] == [1, 2]

    def test_prefetch_by_a_plain_vector(self, qdrant, new):
        name = new(vectors_config={"colbert": multivector(), "mean": m.VectorParams(size=2, distance=DOT)})
        qdrant.upsert(
            name,
            [
                m.PointStruct(id=at, vector={"colbert": [[float(at), 0, 0, 0]], "mean": [float(-at), 0.0]})
                for at in range(6)
            ],
        )
        first = m.Prefetch(query=[1.0, 0.0], using="mean", limit=3)
        found = qdrant.query_points(name, [[1, 0, 0, 0]], using="colbert", prefetch=first, limit=2)
        assert [hit.id for hit in found.points] == [2, 1]

    def test_no_limit_of_zero(self, qdrant, new, over_grpc):
        code, text = refused(lambda: qdrant.query_points(new(), [[1.0, 0, 0, 0]], using="colbert", limit=0))
        assert code == ("INVALID_ARGUMENT" if over_grpc else "422")
        place = "body" if over_grpc else "JSON body"
        assert f"Validation error in {place}: [limit: value 0 invalid, must be 1 or larger]" in text

    def test_has_id_reranks(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(at, [[float(at), 0, 0, 0]]) for at in range(6)])
        some = m.Filter(must=[m.HasIdCondition(has_id=[1, 3])])
        found = qdrant.query_points(name, [[1, 0, 0, 0]], using="colbert", query_filter=some)
        assert [hit.id for hit in found.points] == [3, 1]


class TestRefusedVectors:
    def test_too_large_a_multivector(self, qdrant, new, over_grpc):
        name = new(vectors_config={"colbert": multivector(size=128)})
        qdrant.upsert(name, [point(1, np.zeros((8191, 128)).tolist())])
        large = np.zeros((8192, 128)).tolist()
        total = "Total size of all vectors (1048576) must be less than 1048576]"
        code, text = refused(lambda: qdrant.upsert(name, [point(2, large)]))
        if over_grpc:
            expected = f"Validation error in body: [points[0].vectors.vectors_options.vectors.[].data: {total}"
            assert (code, text) == ("INVALID_ARGUMENT", expected)
        else:
            assert code == "422"
            assert f"Validation error in JSON body: [points[0].vector.?.data: {total}" in text
        code, text = refused(lambda: qdrant.query_points(name, large, using="colbert"))
        assert total in text
        assert qdrant.count(name).count == 1

    @pytest.mark.parametrize(
        ("rows", "over_grpc_text", "over_rest_text"),
        [
            (
                [[1.0, 0, 0, 0], [1.0, 0, 0]],
                "all vectors must have the same dimension, found vector with dimension 3",
                "Validation error: must be the same length as indices [{}]",
            ),
            ([], "multi vector must not be empty", "dense vector must not be empty"),
            ([[]], "all vectors must be non-empty", "all vectors must be non-empty"),
        ],
        ids=["ragged", "empty", "empty row"],
    )
    def test_malformed(self, qdrant, new, over_grpc, rows, over_grpc_text, over_rest_text):
        name = new()
        if over_grpc:
            code, text = refused(lambda: raw_upsert(qdrant, name, dense_rows([[1.0] * 4]), dense_rows(rows)))
            assert code == "INVALID_ARGUMENT"
            assert over_grpc_text in text
        else:
            code, text = refused(lambda: qdrant.upsert(name, [point(1), point(2, rows)]))
            assert code == "422"
            assert over_rest_text in text
        assert qdrant.count(name).count == 0

    @pytest.mark.parametrize("wait", [True, False])
    def test_wrong_dimension(self, qdrant, new, wait):
        name = new()
        code, text = refused(lambda: qdrant.upsert(name, [point(1), point(2, [[1.0, 2, 3]])], wait=wait))
        assert code in {"400", "INVALID_ARGUMENT"}
        assert "Wrong input: Vector dimension error: expected dim: 4, got 3 for vector 'colbert'" in text
        assert qdrant.count(name).count == 0

    def test_unknown_vector(self, qdrant, new):
        name = new()
        other = m.PointStruct(id=1, vector={"other": [[1.0]]})
        code, text = refused(lambda: qdrant.upsert(name, [other]))
        assert code in {"400", "INVALID_ARGUMENT"}
        assert "Not existing vector name error: other" in text

    @pytest.mark.parametrize("over_grpc", [False])
    def test_nan_over_rest(self, qdrant, new):
        code, text = refused(lambda: qdrant.upsert(new(), [point(1, [[float("nan"), 0, 0, 0]])]))
        assert code == "400"
        assert "data did not match any variant of untagged enum VectorStruct" in text

    @pytest.mark.parametrize("over_grpc", [True])
    def test_not_finite_over_grpc_is_accepted(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1, [[float("nan"), 0, 0, 0]]), point(2, [[float("inf"), 0, 0, 0]]), point(3)])
        hits = qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert").points
        assert [(hit.id, hit.score) for hit in hits][:2] == [(2, float("inf")), (3, 1.0)]
        (record,) = qdrant.retrieve(name, [1], with_vectors=True)
        assert np.isnan(record.vector["colbert"][0][0])

    def test_float16_overflow_is_silent(self, qdrant, new, over_grpc):
        name = new(vectors_config={"colbert": multivector(datatype=m.Datatype.FLOAT16)})
        qdrant.upsert(name, [point(1, [[70000.0, 0, 0, 0]])])

        def search() -> Any:
            return qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert").points

        if over_grpc:
            assert search()[0].score == float("inf")
        else:
            with pytest.raises(ResponseHandlingException):
                search()

    @pytest.mark.parametrize("over_grpc", [False])
    def test_flat_list_over_rest_is_one_row(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [m.PointStruct(id=1, vector={"colbert": [1.0, 2, 3, 4]})])
        assert qdrant.retrieve(name, [1], with_vectors=True)[0].vector == {"colbert": [[1.0, 2, 3, 4]]}

    def test_point_without_vector_is_never_a_hit(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [m.PointStruct(id=1, vector={}, payload={"a": 1}), point(2)])
        assert qdrant.count(name).count == 2
        assert [hit.id for hit in qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert").points] == [2]

    def test_body_of_more_than_32_mib(self, qdrant, new, over_grpc):
        name = new()
        fat = [point(at, text="x" * (1 << 20)) for at in range(33)]
        if over_grpc:
            qdrant.upsert(name, fat)
            assert qdrant.count(name).count == 33
            return
        code, text = refused(lambda: qdrant.upsert(name, fat))
        assert code == "400"
        assert "bytes) is larger than allowed (limit: 33554432 bytes)." in text
        assert qdrant.count(name).count == 0


class TestWire:
    """What only the gRPC interface has."""

    @pytest.fixture
    def over_grpc(self) -> bool:
        return True

    def test_slices_are_ignored(self, qdrant, new, qdrant_server):
        name = new()
        qdrant.upsert(name, [point(at) for at in range(20)])
        for index in range(2):
            part = m.Filter(must=[m.SliceCondition(slice=m.Slice(total=2, index=index))])
            assert qdrant.count(name, count_filter=part).count == 20
        qdrant.delete(name, m.FilterSelector(filter=part))
        assert qdrant.count(name).count == 0

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            False,
            0,
            -(2**63),
            2**63 - 1,
            0.5,
            -0.0,
            1e300,
            "",
            "ü",
            [],
            [None, [True]],
            {},
            {"a": {"b": [1]}},
        ],
        ids=repr,
    )
    def test_payload_values(self, qdrant, new, value):
        name = new()
        qdrant.upsert(name, [point(1, value=value)])
        found = qdrant.retrieve(name, [1])[0].payload
        assert found == {"value": value}
        assert type(found["value"]) is type(value)

    def test_empty_payload_of_a_hit_is_none(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1)])
        hits = qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert", with_payload=True).points
        assert not hits[0].payload
        assert qdrant.scroll(name)[0][0].payload == {}


FILTERS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "keyword": (m.FieldCondition(key="word", match=m.MatchValue(value="w1")), lambda n: n % 3 == 1),
    "any": (m.FieldCondition(key="word", match=m.MatchAny(any=["w1", "w2"])), lambda n: n % 3),
    "except": (m.FieldCondition(key="word", match=m.MatchExcept(**{"except": ["w1"]})), lambda n: n % 3 != 1),
    "integer": (m.FieldCondition(key="n", match=m.MatchValue(value=7)), lambda n: n == 7),
    "integers": (m.FieldCondition(key="n", match=m.MatchAny(any=[7, 9])), lambda n: n in {7, 9}),
    "true": (m.FieldCondition(key="flag", match=m.MatchValue(value=True)), lambda n: n % 2 == 0),
    "false": (m.FieldCondition(key="flag", match=m.MatchValue(value=False)), lambda n: n % 2),
    "boolean in a list": (m.FieldCondition(key="flags", match=m.MatchValue(value=True)), lambda n: n % 2 == 0),
    "boolean in an object": (m.FieldCondition(key="in.flag", match=m.MatchValue(value=True)), lambda n: n % 2 == 0),
    "boolean in objects": (m.FieldCondition(key="all[].flag", match=m.MatchValue(value=True)), lambda n: n % 2 == 0),
    "range": (m.FieldCondition(key="n", range=m.Range(gte=5, lt=9)), lambda n: 5 <= n < 9),
    "float range": (m.FieldCondition(key="half", range=m.Range(gt=2.5)), lambda n: n / 2 > 2.5),
    "datetime": (
        m.FieldCondition(key="day", range=m.DatetimeRange(gte=datetime(2026, 1, 10, tzinfo=UTC))),
        lambda n: n + 1 >= 10,
    ),
    "is empty": (m.IsEmptyCondition(is_empty=m.PayloadField(key="gap")), lambda n: n % 4 != 3),
    "is null": (m.IsNullCondition(is_null=m.PayloadField(key="gap")), lambda n: n % 4 == 1),
    "has vector": (m.HasVectorCondition(has_vector="colbert"), lambda n: True),
    "has id": (m.HasIdCondition(has_id=[3, 4, 99]), lambda n: n in {3, 4}),
    "nested": (
        m.NestedCondition(
            nested=m.Nested(
                key="all",
                filter=m.Filter(
                    must=[
                        m.FieldCondition(key="flag", match=m.MatchValue(value=True)),
                        m.FieldCondition(key="n", match=m.MatchValue(value=4)),
                    ]
                ),
            )
        ),
        lambda n: n == 4,
    ),
    "not": (
        m.Filter(must_not=[m.FieldCondition(key="word", match=m.MatchValue(value="w1"))]),
        lambda n: n % 3 != 1,
    ),
    "not a missing field": (
        m.Filter(must_not=[m.FieldCondition(key="gap", match=m.MatchValue(value="there"))]),
        lambda n: n % 4 != 3,
    ),
    "should": (
        m.Filter(should=[m.HasIdCondition(has_id=[1]), m.FieldCondition(key="n", range=m.Range(gte=14))]),
        lambda n: n == 1 or n >= 14,
    ),
    "min should": (
        m.Filter(
            min_should=m.MinShould(
                conditions=[
                    m.FieldCondition(key="word", match=m.MatchValue(value="w1")),
                    m.FieldCondition(key="flag", match=m.MatchValue(value=True)),
                    m.FieldCondition(key="n", range=m.Range(lt=5)),
                ],
                min_count=2,
            )
        ),
        lambda n: (n % 3 == 1) + (n % 2 == 0) + (n < 5) >= 2,
    ),
}


class TestFilters:
    @pytest.fixture(params=["plain", "indexed"])
    def filled(self, request, qdrant, new):
        name = new()
        gaps: list[dict[str, Any]] = [{}, {"gap": None}, {"gap": []}, {"gap": "there"}]
        points = [
            point(
                n,
                n=n,
                word=f"w{n % 3}",
                flag=n % 2 == 0,
                flags=[False, n % 2 == 0] if n % 2 == 0 else [False],
                half=n / 2,
                day=f"2026-01-{n + 1:02}T00:00:00Z",
                **{"in": {"flag": n % 2 == 0}},
                all=[{"flag": n % 2 == 0, "n": n}, {"flag": False, "n": n + 1}],
                **gaps[n % 4],
            )
            for n in range(16)
        ]
        qdrant.upsert(name, points)
        if request.param == "indexed":
            kinds = {"n": "integer", "word": "keyword", "flag": "bool", "half": "float", "day": "datetime"}
            for field, kind in kinds.items():
                qdrant.create_payload_index(name, field, kind)
        return name

    @pytest.mark.parametrize("case", FILTERS)
    def test_like_python(self, qdrant, filled, case):
        condition, passes = FILTERS[case]
        wanted = condition if isinstance(condition, m.Filter) else m.Filter(must=[condition])
        expected = [n for n in range(16) if passes(n)]
        assert [record.id for record in qdrant.scroll(filled, wanted, limit=50)[0]] == expected
        assert qdrant.count(filled, wanted).count == len(expected)
        hits = qdrant.query_points(filled, [[1.0, 0, 0, 0]], using="colbert", query_filter=wanted, limit=50).points
        assert sorted(hit.id for hit in hits) == expected

    def test_order_by_needs_an_index(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(at, n=-at) for at in range(4)])
        code, text = refused(lambda: qdrant.scroll(name, order_by="n"))
        assert code in {"400", "INVALID_ARGUMENT"}
        assert "No range index for `order_by` key" in text
        qdrant.create_payload_index(name, "n", "integer")
        assert [record.id for record in qdrant.scroll(name, order_by="n")[0]] == [3, 2, 1, 0]

    @pytest.mark.parametrize("over_grpc", [False])
    def test_slice_over_rest(self, qdrant, new):
        part = m.Filter(must=[m.SliceCondition(slice=m.Slice(total=2, index=0))])
        code, text = refused(lambda: qdrant.count(new(), count_filter=part))
        assert code == "400"
        assert "Expected some form of condition" in text


class TestPoints:
    def test_scroll_by_id(self, qdrant, new):
        name = new()
        uuids = [str(UUID(int=n << 90)) for n in (3, 1, 2)]
        qdrant.upsert(name, [point(identifier) for identifier in [*uuids, 7, 2**63, 5]])
        order = [5, 7, 2**63, *sorted(uuids)]
        first, cursor = qdrant.scroll(name, limit=4)
        rest, end = qdrant.scroll(name, limit=4, offset=cursor)
        assert [record.id for record in [*first, *rest]] == order
        assert cursor == order[4]
        assert end is None

    def test_selectors(self, qdrant, new):
        name = new(vectors_config={"colbert": multivector(), "mean": m.VectorParams(size=1, distance=DOT)})
        both = m.PointStruct(
            id=1, vector={"colbert": [[1.0, 2, 3, 4]], "mean": [5.0]}, payload={"a": {"b": True}, "c": 1}
        )
        qdrant.upsert(name, [both])

        def found(**selectors: Any) -> Any:
            return qdrant.retrieve(name, [1], **selectors)[0]

        assert found(with_payload=["a"]).payload == {"a": {"b": True}}
        assert found(with_payload=["a.b"]).payload == {"a": {"b": True}}
        assert found(with_payload=m.PayloadSelectorExclude(exclude=["a"])).payload == {"c": 1}
        assert not found(with_payload=False).payload
        assert not found().vector
        assert found(with_vectors=["mean"]).vector == {"mean": [5.0]}
        assert found(with_vectors=True).vector == {"mean": [5.0], "colbert": [[1, 2, 3, 4]]}

    def test_payload_verbs(self, qdrant, new):
        name = new()
        yes = m.Filter(must=[m.FieldCondition(key="flag", match=m.MatchValue(value=True))])
        qdrant.upsert(name, [point(1, flag=True, keep=1), point(2, flag=False)])
        qdrant.set_payload(name, {"flag": "no longer a boolean"}, [1])
        assert qdrant.retrieve(name, [1])[0].payload == {"flag": "no longer a boolean", "keep": 1}
        assert qdrant.count(name, yes).count == 0
        qdrant.set_payload(name, {"flag": True}, m.Filter(must=[m.HasIdCondition(has_id=[2])]))
        assert qdrant.count(name, yes).count == 1
        qdrant.delete_payload(name, ["flag"], [2])
        assert qdrant.count(name, yes).count == 0
        qdrant.overwrite_payload(name, {"flag": True}, [1])
        assert qdrant.retrieve(name, [1])[0].payload == {"flag": True}
        qdrant.clear_payload(name, [1])
        assert qdrant.retrieve(name, [1])[0].payload == {}
        assert qdrant.count(name, yes).count == 0

    def test_payload_of_a_missing_point(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1)])
        code, text = refused(lambda: qdrant.set_payload(name, {"a": 1}, [1, 77]))
        assert code in {"404", "NOT_FOUND"}
        assert "No point with id 77 found" in text
        assert qdrant.retrieve(name, [1])[0].payload == {}

    def test_update_vectors(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1, a=1)])
        qdrant.update_vectors(name, [m.PointVectors(id=1, vector={"colbert": [[9.0, 9, 9, 9]]})])
        (record,) = qdrant.retrieve(name, [1], with_vectors=True)
        assert (record.vector, record.payload) == ({"colbert": [[9.0, 9, 9, 9]]}, {"a": 1})

    def test_delete(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(at, n=at) for at in range(6)])
        qdrant.delete(name, [0, 77])
        qdrant.delete(name, m.FilterSelector(filter=m.Filter(must=[m.FieldCondition(key="n", range=m.Range(gte=4))])))
        assert [record.id for record in qdrant.scroll(name)[0]] == [1, 2, 3]

    def test_update_mode(self, qdrant, new):
        name = new()
        qdrant.upsert(name, [point(1, v=1)])
        qdrant.upsert(name, [point(1, v=2), point(2, v=2)], update_mode=m.UpdateMode.INSERT_ONLY)
        assert [record.payload for record in qdrant.scroll(name)[0]] == [{"v": 1}, {"v": 2}]


class TestCollections:
    def test_settings_are_reported(self, qdrant, new):
        quantization = m.ScalarQuantization(scalar=m.ScalarQuantizationConfig(type=m.ScalarType.INT8, always_ram=True))
        name = new(
            vectors_config={"colbert": multivector(datatype=m.Datatype.FLOAT16, quantization_config=quantization)},
            metadata={"lateint": {"version": 1, "memory": "kept"}, "none": None},
            strict_mode_config=m.StrictModeConfig(enabled=True, max_query_limit=10),
        )
        qdrant.create_payload_index(name, "word", m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=True))
        qdrant.upsert(name, [point(1, word="a")])
        info = qdrant.get_collection(name)
        vector = info.config.params.vectors["colbert"]
        assert (vector.size, vector.distance, vector.datatype) == (4, DOT, m.Datatype.FLOAT16)
        assert vector.multivector_config.comparator == m.MultiVectorComparator.MAX_SIM
        assert vector.hnsw_config.m == 0
        assert vector.quantization_config == quantization
        assert info.config.metadata == {"lateint": {"version": 1, "memory": "kept"}, "none": None}
        assert info.config.strict_mode_config.max_query_limit == 10
        assert info.points_count == 1
        assert info.payload_schema["word"].data_type == m.PayloadSchemaType.KEYWORD
        assert info.payload_schema["word"].params.is_tenant
        assert info.payload_schema["word"].points == 1

    def test_update_merges_metadata(self, qdrant, new):
        name = new(metadata={"a": 1, "b": 1})
        qdrant.update_collection(name, metadata={"b": 2, "c": 3})
        assert qdrant.get_collection(name).config.metadata == {"a": 1, "b": 2, "c": 3}

    def test_exists(self, qdrant, new):
        name = new()
        assert qdrant.collection_exists(name)
        assert name in [one.name for one in qdrant.get_collections().collections]
        code, text = refused(lambda: qdrant.create_collection(name, vectors_config={}))
        assert code in {"409", "ALREADY_EXISTS"}
        assert f"Wrong input: Collection `{name}` already exists!" in text

    def test_missing(self, qdrant):
        assert not qdrant.collection_exists("lateint_none")
        for call in (
            lambda: qdrant.get_collection("lateint_none"),
            lambda: qdrant.count("lateint_none"),
            lambda: qdrant.upsert("lateint_none", [point(1)]),
            lambda: qdrant.query_points("lateint_none", [[1.0]], using="colbert"),
        ):
            code, text = refused(call)
            assert code in {"404", "NOT_FOUND"}
            assert "Not found: Collection `lateint_none` doesn't exist!" in text

    def test_name_of_a_path(self, qdrant):
        code, text = refused(lambda: qdrant.create_collection("a:b", vectors_config={}))
        assert code in {"422", "INVALID_ARGUMENT"}
        assert "cannot contain" in text


class TestStrictMode:
    @pytest.fixture
    def strict(self, new):
        def make(**limits: Any) -> str:
            name: str = new(strict_mode_config=m.StrictModeConfig(enabled=True, **limits))
            return name

        return make

    def test_query_limit(self, qdrant, strict):
        name = strict(max_query_limit=3)
        qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert", limit=3)
        for call in (
            lambda: qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert", limit=4),
            lambda: qdrant.scroll(name, limit=4),
        ):
            code, text = refused(call)
            assert code in {"400", "INVALID_ARGUMENT"}
            assert 'Limit exceeded 4 > 3 for "limit". Help: Reduce the "limit" parameter to or below 3.' in text

    def test_batch_size(self, qdrant, strict):
        name = strict(upsert_max_batchsize=2)
        qdrant.upsert(name, [point(1), point(2)])
        _, text = refused(lambda: qdrant.upsert(name, [point(3), point(4), point(5)]))
        assert 'Limit exceeded 3 > 2 for "upsert limit"' in text
        assert qdrant.count(name).count == 2

    def test_exact_search(self, qdrant, strict):
        graph = {"colbert": multivector().model_copy(update={"hnsw_config": None})}
        name = strict(search_allow_exact=False)
        _, text = refused(lambda: qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert"))
        assert "Request is forbidden on 'colbert' because global vector indexing is disabled" in text
        qdrant.delete_collection(name)
        limits = m.StrictModeConfig(enabled=True, search_allow_exact=False)
        qdrant.create_collection(name, vectors_config=graph, strict_mode_config=limits)
        qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert")
        exact = m.SearchParams(exact=True)
        _, text = refused(lambda: qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert", search_params=exact))
        assert "Exact search disabled!" in text

    def test_unindexed_filter(self, qdrant, strict):
        name = strict(unindexed_filtering_retrieve=False, unindexed_filtering_update=False)
        word = m.Filter(must=[m.FieldCondition(key="word", match=m.MatchValue(value="a"))])
        for call in (
            lambda: qdrant.count(name, word),
            lambda: qdrant.scroll(name, word),
            lambda: qdrant.query_points(name, [[1.0, 0, 0, 0]], using="colbert", query_filter=word),
            lambda: qdrant.delete(name, m.FilterSelector(filter=word)),
        ):
            _, text = refused(call)
            assert 'Index required but not found for "word" of one of the following types: [keyword, uuid]' in text
        qdrant.create_payload_index(name, "word", "keyword")
        assert qdrant.count(name, word).count == 0

    def test_not_enabled(self, qdrant, new):
        name = new(strict_mode_config=m.StrictModeConfig(enabled=False, max_query_limit=1))
        qdrant.scroll(name, limit=5)
