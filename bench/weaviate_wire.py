"""What it costs this side to bring a document to Weaviate and back: bytes only, no server.

    python bench/weaviate_wire.py [--documents 64] [--tokens 180] [--rounds 15]

All contestants run in this process on the same documents, interleaved, one thread. Out is from documents to the bytes
of one write, which for lateint includes object ids, the words of filters and the payload as JSON, while the others are
handed ids and properties ready made. Back is from the bytes of one page to arrays, ids and payloads. The limit is one
copy of the rows.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np

from lateint import Document
from lateint.spec import FieldType
from lateint.vectors import MultiVector
from lateint_weaviate import properties, wire
from lateint_weaviate.protocol import base_pb2, batch_pb2, properties_pb2, search_get_pb2
from lateint_weaviate.schema import VECTOR, object_id

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from weaviate.collections.batch.grpc_batch import _BatchGRPC
    from weaviate.collections.classes.batch import BatchObject, _BatchObject
    from weaviate.collections.classes.internal import _QueryOptions
    from weaviate.collections.queries.base_executor import _BaseExecutor
    from weaviate.util import _ServerVersion

DIM = 128
TARGET_MS = 0.15
FIELDS = {"lang": FieldType.KEYWORD, "year": FieldType.INTEGER}
SERVER = _ServerVersion(1, 39, 0)


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


def made(documents: int, tokens: int) -> list[Document]:
    random = np.random.default_rng(0)
    rows = random.standard_normal((documents, tokens, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return [Document(f"document-{n}", matrix, {"lang": "en", "year": 2024}) for n, matrix in enumerate(rows)]


def kept(document: Document) -> dict[str, Any]:
    return properties.stored(document.id, dict(document.payload), FIELDS)


def outward(documents: list[Document]) -> list[Contestant]:
    client = _BatchGRPC(SERVER, None, None)
    ready = [(object_id(each.id), kept(each)) for each in documents]

    def ours() -> bytes:
        objects = [wire.Object(object_id(each.id), each.vectors, kept(each)) for each in documents]
        return wire.batch("Pages", objects, vector=VECTOR)

    def through_a_message() -> bytes:
        return bytes(batch_pb2.BatchObjectsRequest.FromString(ours()).SerializeToString())

    def insert_many(vectors: Callable[[Document], Any]) -> bytes:
        objects = [
            _BatchObject("Pages", {VECTOR: vectors(each)}, uuid, dict(values), None, None, place)
            for place, (each, (uuid, values)) in enumerate(zip(documents, ready, strict=True))
        ]
        return bytes(batch_pb2.BatchObjectsRequest(objects=client.grpc_objects(objects)).SerializeToString())

    def fixed_size() -> bytes:
        added = [
            BatchObject(
                collection="Pages", vector={VECTOR: each.vectors}, uuid=uuid, properties=dict(values), index=place
            )
            for place, (each, (uuid, values)) in enumerate(zip(documents, ready, strict=True))
        ]
        objects = [each._to_internal() for each in added]  # noqa: SLF001 - as the batch does
        return bytes(batch_pb2.BatchObjectsRequest(objects=client.grpc_objects(objects)).SerializeToString())

    same = batch_pb2.BatchObjectsRequest.FromString(insert_many(lambda each: each.vectors))
    assert batch_pb2.BatchObjectsRequest.FromString(ours()) == same
    return [
        Contestant("limit: one copy of the rows", lambda: [each.vectors.copy() for each in documents]),
        Contestant("lateint, documents to bytes", ours),
        Contestant("lateint, through a message (borrowed client)", through_a_message),
        Contestant("weaviate-client insert_many, arrays", lambda: insert_many(lambda each: each.vectors)),
        Contestant("weaviate-client insert_many, tolist()", lambda: insert_many(lambda each: each.vectors.tolist())),
        Contestant("weaviate-client batch.fixed_size, arrays", fixed_size),
    ]


def backward(documents: list[Document]) -> list[Contestant]:
    reply = search_get_pb2.SearchReply()
    for each in documents:
        result = reply.results.add()
        result.metadata.id_as_bytes = UUID(object_id(each.id)).bytes
        result.metadata.vectors.append(
            base_pb2.Vectors(
                name=VECTOR, vector_bytes=wire.packed(each.vectors), type=base_pb2.Vectors.VECTOR_TYPE_MULTI_FP32
            )
        )
        values = kept(each)
        for name in properties.wanted(payload=True):
            result.properties.non_ref_props.fields[name].CopyFrom(properties_pb2.Value(text_value=values[name]))
    page = reply.SerializeToString()
    executor: Any = _BaseExecutor(
        SimpleNamespace(_weaviate_version=SERVER),
        "Pages",
        None,
        None,
        None,
        None,
        validate_arguments=False,
    )
    options = _QueryOptions(
        include_metadata=True, include_properties=True, include_references=False, include_vector=True, is_group_by=False
    )

    def ours() -> list[Document]:
        found = wire.records(search_get_pb2.SearchReply.FromString(page), vector=VECTOR)
        return [Document(*restored(record)) for record in found]

    def restored(record: wire.Record) -> tuple[str, MultiVector | None, Any]:
        document, payload = properties.restored(record.properties)
        return document, record.rows, payload

    def fetch_objects(finish: Callable[[Any], Any]) -> list[Any]:
        found = executor._result_to_query_return(search_get_pb2.SearchReply.FromString(page), options)  # noqa: SLF001
        return [finish(each.vector[VECTOR]) for each in found.objects]

    for document, each in zip(ours(), documents, strict=True):
        assert (document.id, document.payload) == (each.id, each.payload)
        assert np.array_equal(document.vectors, each.vectors)
    return [
        Contestant("limit: one copy of the rows", lambda: [each.vectors.copy() for each in documents]),
        Contestant("lateint, bytes to documents", ours),
        Contestant("weaviate-client fetch_objects, lists", lambda: fetch_objects(lambda rows: rows)),
        Contestant(
            "weaviate-client fetch_objects, np.array",
            lambda: fetch_objects(lambda rows: np.array(rows, np.float32)),
        ),
    ]


def table(title: str, contestants: list[Contestant], documents: int) -> None:
    ours = next(each for each in contestants if each.name.startswith("lateint"))
    print(f"\n{title:48} {'ms/doc':>8} {'spread':>13} {'x lateint':>10}")
    for each in contestants:
        per = [1e3 * seconds / documents for seconds in each.seconds]
        ratio = statistics.median(a / b for a, b in zip(each.seconds, ours.seconds, strict=True))
        print(f"{each.name:48} {statistics.median(per):8.3f} {min(per):6.3f}-{max(per):6.3f} {ratio:10.2f}")
    median = statistics.median(1e3 * seconds / documents for seconds in ours.seconds)
    print(f"target {TARGET_MS:.2f} ms: {'pass' if median <= TARGET_MS else 'short'} with {median:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    documents = made(arguments.documents, arguments.tokens)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("weaviate-client", "protobuf", "numpy")
    )
    print(f"{platform.python_implementation()} {platform.python_version()}, {versions}; {platform.machine()}")
    print(
        f"{arguments.documents} documents of ({arguments.tokens}, {DIM}) float32, {arguments.rounds} rounds, "
        "one thread, processor time"
    )
    for title, contestants in (("out", outward(documents)), ("back", backward(documents))):
        for _ in range(arguments.rounds):
            for each in contestants:
                each.time()
        table(title, contestants, arguments.documents)


if __name__ == "__main__":
    main()
