"""Multi-vectors on the wire of Qdrant: the bytes of the message built the normal way, without its cost."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import grpc
from qdrant_client.conversions.conversion import grpc_to_payload, payload_to_grpc

from lateint import errors
from lateint.vectors import MultiVector
from lateint_qdrant import wire
from lateint_qdrant.calls import Point

UUID = "6f3c1f5e-0000-5000-8000-000000000001"

matrices = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
names = st.sampled_from(["lateint", "", "größe", "x" * 200])
payloads = st.dictionaries(st.sampled_from("abc"), st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5), max_size=1)


def multi(vectors: MultiVector) -> Any:
    return grpc.MultiDenseVector(vectors=[grpc.DenseVector(data=row.tolist()) for row in vectors])


def normal(vectors: MultiVector, vector: str) -> Any:
    made = grpc.Vector(multi_dense=multi(vectors))
    if not vector:
        return grpc.Vectors(vector=made)
    return grpc.Vectors(vectors=grpc.NamedVectors(vectors={vector: made}))


def output(vectors: MultiVector, vector: str, *, flat: bool = False) -> Any:
    made = (
        grpc.VectorOutput(data=vectors.reshape(-1).tolist(), vectors_count=len(vectors))
        if flat
        else grpc.VectorOutput(multi_dense=multi(vectors))
    )
    if not vector:
        return grpc.VectorsOutput(vector=made)
    return grpc.VectorsOutput(vectors=grpc.NamedVectorsOutput(vectors={vector: made}))


class TestOut:
    @given(matrices, names, payloads, st.sampled_from([7, 2**64 - 1, UUID]))
    def test_upsert_is_byte_identical(
        self, vectors: MultiVector, vector: str, payload: dict[str, Any], key: Any
    ) -> None:
        """The server cannot tell who built the message. More than one key of a payload has no order to compare."""
        points = [Point(key, vectors, payload), Point(3, vectors[:1], {})]
        expected = grpc.UpsertPoints(
            collection_name="pages",
            wait=True,
            points=[
                grpc.PointStruct(
                    id=wire.point_id(point.id),
                    payload=payload_to_grpc(point.payload),
                    vectors=normal(point.rows, vector),
                )
                for point in points
            ],
        )
        assert wire.upsert("pages", points, vector=vector) == expected.SerializeToString()

    @given(matrices, names)
    def test_update_vectors_is_byte_identical(self, vectors: MultiVector, vector: str) -> None:
        expected = grpc.UpdatePointVectors(
            collection_name="pages",
            wait=True,
            points=[grpc.PointVectors(id=grpc.PointId(uuid=UUID), vectors=normal(vectors, vector))],
        )
        points = [Point(UUID, vectors, {"not": "sent"})]
        assert wire.update_vectors("pages", points, vector=vector) == expected.SerializeToString()

    def test_largest(self) -> None:
        """Lengths of five bytes, and the most values that a server takes."""
        vectors = np.ones((8191, 128), np.float32)
        message = grpc.UpsertPoints.FromString(wire.upsert("pages", [Point(1, vectors, {})], vector="v"))
        found = message.points[0].vectors.vectors.vectors["v"].multi_dense
        assert len(found.vectors) == 8191
        assert len(found.vectors[-1].data) == 128

    def test_nested_payload(self) -> None:
        payload = {"a": [1, 2.5, None, True, {"b": "ü"}], "c": {}, "d": [], "e": 2**63 - 1, "f": 0.1}
        message = grpc.UpsertPoints.FromString(
            wire.upsert("pages", [Point(1, np.ones((1, 2), np.float32), payload)], vector="v")
        )
        found = grpc_to_payload(message.points[0].payload)
        assert found == payload
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in payload.items()}


class TestBack:
    @given(matrices, names, st.booleans())
    def test_bit_for_bit(self, vectors: MultiVector, vector: str, flat: bool) -> None:
        """Both forms that servers write: rows, and up to 1.15 one flat list."""
        found = wire.matrix(output(vectors, vector, flat=flat), vector=vector)
        assert found is not None
        assert found.dtype == np.float32
        assert found.shape == vectors.shape
        assert found.tobytes() == vectors.tobytes()
        assert found.flags.writeable
        assert found.flags.c_contiguous

    @given(matrices, names)
    def test_round_trip(self, vectors: MultiVector, vector: str) -> None:
        message = grpc.UpsertPoints.FromString(wire.upsert("pages", [Point(1, vectors, {})], vector=vector))
        same = grpc.VectorsOutput.FromString(message.points[0].vectors.SerializeToString())
        found = wire.matrix(same, vector=vector)
        assert found is not None
        assert found.tobytes() == vectors.tobytes()

    def test_unnamed_beside_sparse(self) -> None:
        """Servers return the unnamed vector under the empty name where a sparse one stands beside it."""
        vectors = np.ones((2, 3), np.float32)
        named = {"": output(vectors, "", flat=False).vector, "words": grpc.VectorOutput(sparse=grpc.SparseVector())}
        message = grpc.VectorsOutput(vectors=grpc.NamedVectorsOutput(vectors=named))
        np.testing.assert_array_equal(wire.matrix(message, vector=""), vectors)

    def test_missing(self) -> None:
        """A point without the vector is not an error, and asking for it must not make one."""
        other = output(np.ones((1, 2), np.float32), "other")
        assert wire.matrix(other, vector="v") is None
        assert wire.matrix(other, vector="") is None
        assert wire.matrix(grpc.VectorsOutput(), vector="v") is None
        assert list(other.vectors.vectors) == ["other"]

    @pytest.mark.parametrize(
        "message",
        [
            grpc.VectorOutput(
                multi_dense=grpc.MultiDenseVector(vectors=[grpc.DenseVector(data=[1, 2]), grpc.DenseVector(data=[1])])
            ),
            grpc.VectorOutput(data=[1, 2, 3], vectors_count=2),
        ],
        ids=["rows", "flat"],
    )
    def test_ragged(self, message: Any) -> None:
        """Cutting by the length of the first row would give numbers that nobody wrote."""
        with pytest.raises(errors.UnexpectedResponse, match=r"one length|different lengths"):
            wire.matrix(grpc.VectorsOutput(vector=message), vector="")


@pytest.mark.parametrize("file", ["wire.py", "over_grpc.py"])
def test_no_lists_of_floats(file: str) -> None:
    """One `tolist()` makes a hundred thousand objects of a page, and the adapter as slow as any other."""
    source = (Path(wire.__file__).parent / file).read_text("utf-8")
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert not names & {"tolist", "item", "extend"}
