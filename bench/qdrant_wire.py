"""What it costs this side to bring a multi-vector to Qdrant and back: bytes only, no server.

    python bench/qdrant_wire.py [--documents 87] [--tokens 180] [--rounds 15]

All contestants run in this process on the same documents, interleaved, one thread. Out is from arrays to the bytes of
one write; back is from the bytes of one page to arrays, ids and payloads. As many documents as lateint sends in one
write of 8 MB: memory of that size is not simply taken again. The limit is one copy of the rows.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_client import grpc, models
from qdrant_client.common.response_parsing import parse_response
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc, payload_to_grpc
from qdrant_client.uploader.grpc_uploader import convert_vector_struct

from lateint.vectors import MultiVector
from lateint_qdrant import wire
from lateint_qdrant.calls import Point, Post, Record
from lateint_qdrant.over_grpc import OverGrpc

DIM = 128
VECTOR = "lateint"
TARGET_OUT_MS, TARGET_BACK_MS = 0.20, 0.10
PAYLOAD = {"lang": "en", "year": 2024, "lateint_id": "document-1", "lateint_fields": ["lang", "year"]}


@dataclass
class Contestant:
    """Something to time; `seconds` has one entry per round, of processor time."""

    name: str
    run: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)

    def time(self) -> None:
        start = time.process_time()
        self.run()
        self.seconds.append(time.process_time() - start)


def made(documents: int, tokens: int) -> list[Point]:
    random = np.random.default_rng(0)
    rows = random.standard_normal((documents, tokens, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return [Point(str(UUID(int=n + 1)), matrix, PAYLOAD) for n, matrix in enumerate(rows)]


def outward(points: list[Point]) -> list[Contestant]:
    def message_then_bytes() -> bytes:
        made = wire.upsert("pages", points, vector=VECTOR)
        return bytes(grpc.UpsertPoints.FromString(made).SerializeToString())

    def upload_collection() -> bytes:
        converted = [
            grpc.PointStruct(
                id=RestToGrpc.convert_extended_point_id(point.id),
                vectors=convert_vector_struct({VECTOR: point.rows}),
                payload=payload_to_grpc(point.payload),
            )
            for point in points
        ]
        return bytes(grpc.UpsertPoints(collection_name="pages", wait=True, points=converted).SerializeToString())

    def structs() -> list[models.PointStruct]:
        return [
            models.PointStruct(id=point.id, vector={VECTOR: point.rows.tolist()}, payload=point.payload)
            for point in points
        ]

    def upload_points() -> bytes:
        converted = [RestToGrpc.convert_point_struct(point) for point in structs()]
        return bytes(grpc.UpsertPoints(collection_name="pages", wait=True, points=converted).SerializeToString())

    def rest() -> str:
        return models.PointsList(points=structs()).model_dump_json(exclude_none=True)

    same = upload_points()
    assert grpc.UpsertPoints.FromString(wire.upsert("pages", points, vector=VECTOR)) == grpc.UpsertPoints.FromString(
        same
    )
    return [
        Contestant("limit: one copy of the rows", lambda: [point.rows.copy() for point in points]),
        Contestant("lateint, whole request as bytes", lambda: wire.upsert("pages", points, vector=VECTOR)),
        Contestant("lateint, through a message (borrowed client)", message_then_bytes),
        Contestant("qdrant-client upload_collection, gRPC, arrays", upload_collection),
        Contestant("qdrant-client upload_points, gRPC", upload_points),
        Contestant("qdrant-client upload_points, REST", rest),
    ]


def backward(points: list[Point]) -> list[Contestant]:
    outputs = [
        grpc.RetrievedPoint(
            id=wire.point_id(point.id),
            payload=payload_to_grpc(point.payload),
            vectors=grpc.VectorsOutput(
                vectors=grpc.NamedVectorsOutput(
                    vectors={
                        VECTOR: grpc.VectorOutput(
                            multi_dense=grpc.MultiDenseVector.FromString(bytes(wire.rows(point.rows)))
                        )
                    }
                )
            ),
        )
        for point in points
    ]
    page = grpc.ScrollResponse(result=outputs).SerializeToString()
    scroll = OverGrpc().scroll("pages", start=None, limit=len(points), condition=None, vector=VECTOR)
    assert isinstance(scroll, Post)
    records = [GrpcToRest.convert_retrieved_point(output) for output in outputs]
    body = models.ScrollResult(points=records).model_dump_json().encode()

    def ours() -> list[Record]:
        found: list[Record] = scroll.read(grpc.ScrollResponse.FromString(page))[0]
        return found

    def client_grpc() -> list[MultiVector]:
        reply = grpc.ScrollResponse.FromString(page)
        found = [GrpcToRest.convert_retrieved_point(point) for point in reply.result]
        return [np.array(point.vector[VECTOR], np.float32) for point in found]  # type: ignore[index,call-overload]

    def client_rest() -> list[MultiVector]:
        found: Any = parse_response(body, models.ScrollResult)
        return [np.array(point.vector[VECTOR], np.float32) for point in found.points]

    for record, point in zip(ours(), points, strict=True):
        assert record.rows is not None
        assert np.array_equal(record.rows, point.rows)
    return [
        Contestant("limit: one copy of the rows", lambda: [point.rows.copy() for point in points]),
        Contestant("lateint", ours),
        Contestant("qdrant-client scroll, gRPC", client_grpc),
        Contestant("qdrant-client scroll, REST", client_rest),
    ]


def table(title: str, contestants: list[Contestant], documents: int, target_ms: float) -> None:
    ours = next(each for each in contestants if each.name.startswith("lateint"))
    print(f"\n{title:48} {'ms/doc':>8} {'spread':>13} {'x lateint':>10}")
    for each in contestants:
        per = [1e3 * seconds / documents for seconds in each.seconds]
        ratio = statistics.median(a / b for a, b in zip(each.seconds, ours.seconds, strict=True))
        print(f"{each.name:48} {statistics.median(per):8.3f} {min(per):6.3f}-{max(per):6.3f} {ratio:10.2f}")
    median = statistics.median(1e3 * seconds / documents for seconds in ours.seconds)
    print(f"target {target_ms:.2f} ms: {'pass' if median <= target_ms else 'short'} with {median:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=87)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    points = made(arguments.documents, arguments.tokens)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("qdrant-client", "protobuf", "numpy")
    )
    print(f"$ python {' '.join(sys.argv)}")
    print(f"{platform.python_implementation()} {platform.python_version()}, {versions}; {platform.machine()}")
    print(
        f"{arguments.documents} documents of ({arguments.tokens}, {DIM}) float32, {arguments.rounds} rounds, "
        "one thread, processor time"
    )
    for title, contestants, target in (
        ("out", outward(points), TARGET_OUT_MS),
        ("back", backward(points), TARGET_BACK_MS),
    ):
        for _ in range(arguments.rounds):
            for each in contestants:
                each.time()
        table(title, contestants, arguments.documents, target)


if __name__ == "__main__":
    main()
