"""How fast documents go into a Weaviate server, and how long an exact search takes, beside the ways of its own client.

    python bench/weaviate_ingest.py "weaviate://localhost:8080?grpc_port=50051" [--documents 1000] [--rounds 3]

All contestants run in this process against one server, interleaved, each into a class of its own that is dropped after
its turn, with the same ids and properties; each waits until its documents are there. There are three configurations:

- the vendor's default: `Configure.MultiVectors.self_provided()` and nothing else, filled by `batch.fixed_size` as its
  documentation says. It takes so long that it has one turn only.
- lateint's: a class that lateint creates; the others fill the very same under another name.
  One more contestant only sends, by gRPC itself, messages that were made before, two at a time: what any client can
  reach on this machine, and a safe one cannot.
- tiny MUVERA: a class with the smallest MUVERA encoding, where the server does so little that the client is the limit.
  It is not exact, so lateint would not create one; it writes to it as to any collection that it did not create.

Then queries of 32 rows are answered exactly, from the class in lateint's configuration, in turns.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import numpy as np

import lateint
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD
from lateint.engine.splitting import by_size
from lateint.scoring import Corpus, score_corpus, tolerance
from lateint.vectors import MultiVector
from lateint_weaviate import names, properties, schema, wire
from lateint_weaviate.connection import SERVICE
from lateint_weaviate.protocol import batch_pb2

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import weaviate
    from weaviate.classes.config import Configure, DataType, Property
    from weaviate.classes.data import DataObject
    from weaviate.classes.init import AdditionalConfig, Timeout
    from weaviate.classes.query import Filter, MetadataQuery
    from weaviate.collections import Collection

DIM = 128
QUERY_ROWS = 32
CHUNK = 100
"""Objects of one request of the client: what `batch.fixed_size` takes if nothing is said."""

SPEC = lateint.IndexSpec("lateint-bench", DIM, fields={"lang": "keyword", "year": "integer"})
OURS = names.class_name(SPEC.name)
THEIRS = "TheirBench"
MUVERA = {"enabled": True, "ksim": 1, "dprojections": 1, "repetitions": 1}

Filling = Callable[[], object]
Object = tuple[str, dict[str, Any], MultiVector]
"""Id, properties and multi-vector."""


class Bench:
    """One server, and what goes into it."""

    def __init__(self, url: str, documents: int, tokens: int) -> None:
        parts = urlsplit(url)
        self.url = url
        self.client = weaviate.connect_to_local(
            host=parts.hostname or "localhost",
            port=parts.port or 8080,
            grpc_port=int(parse_qs(parts.query).get("grpc_port", ["50051"])[0]),
            skip_init_checks=True,
            additional_config=AdditionalConfig(timeout=Timeout(init=10, query=600, insert=600)),
        )
        self.lateint = lateint.connect(url, timeout_s=600)
        random = np.random.default_rng(0)
        self.documents = [
            lateint.Document(f"document-{n}", unit(random, tokens), {"lang": "en", "year": 2000 + n % 25})
            for n in range(documents)
        ]
        self.queries = [unit(random, QUERY_ROWS) for _ in range(100)]
        self.bare: list[Object] = [
            (schema.object_id(each.id), dict(each.payload), each.vectors) for each in self.documents
        ]
        self.objects: list[Object] = [
            (uuid, properties.stored(each.id, values, SPEC.fields), rows)
            for each, (uuid, values, rows) in zip(self.documents, self.bare, strict=True)
        ]

    def close(self) -> None:
        self.lateint.close()
        self.client.close()

    def drop(self) -> None:
        self.client.collections.delete([OURS, THEIRS])

    def write(self) -> Filling:
        index = self.lateint.create_index(SPEC)
        return lambda: index.write(self.documents)

    def write_adopted(self) -> Filling:
        """Into a class that something else created, which has to hold a document to have a dimension."""
        collection = self.create_tiny()
        uuid, _, rows = self.objects[0]
        collection.data.insert({}, uuid=uuid, vector={schema.VECTOR: rows.tolist()})
        index = self.lateint.open(THEIRS, write=True)
        collection.data.delete_by_id(uuid)
        documents = [lateint.Document(uuid, rows, values) for uuid, values, rows in self.bare]
        return lambda: index.write(documents)

    def fixed_size(self, collection: Collection, objects: list[Object]) -> Filling:
        def fill() -> None:
            with collection.batch.fixed_size() as batch:
                for uuid, values, rows in objects:
                    batch.add_object(properties=values, uuid=uuid, vector={schema.VECTOR: rows})  # type: ignore[dict-item]
            assert not collection.batch.failed_objects

        return fill

    def insert_many(self, collection: Collection, objects: list[Object]) -> Filling:
        def fill() -> None:
            for start in range(0, len(objects), CHUNK):
                made = [
                    DataObject(uuid=uuid, properties=values, vector={schema.VECTOR: rows.tolist()})
                    for uuid, values, rows in objects[start : start + CHUNK]
                ]
                assert not collection.data.insert_many(made).has_errors

        return fill

    def send(self, collection: Collection) -> Filling:
        """Nothing but ready-made messages, as large as lateint's."""
        made = [wire.Object(uuid, rows, values) for uuid, values, rows in self.objects]
        parts = by_size(made, [each.size for each in made], self.lateint.capabilities().max_batch_bytes)
        messages = [wire.batch(collection.name, part, vector=schema.VECTOR) for part in parts]
        port = parse_qs(urlsplit(self.url).query).get("grpc_port", ["50051"])[0]
        channel = grpc.insecure_channel(f"{urlsplit(self.url).hostname}:{port}", [("grpc.max_send_message_length", -1)])
        call = channel.unary_unary(
            f"{SERVICE}/BatchObjects",
            request_serializer=lambda message: message,
            response_deserializer=batch_pb2.BatchObjectsReply.FromString,
        )

        def fill() -> None:
            with channel, ThreadPoolExecutor(schema.CAPABILITIES.max_in_flight) as pool:
                assert not any(reply.errors for reply in pool.map(call, messages))

        return fill

    def create_same(self) -> Collection:
        """The very class that lateint creates, under another name."""
        definition = schema.class_definition(THEIRS, SPEC, properties.definitions(SPEC.fields))
        return self.client.collections.create_from_dict(definition)

    def create_tiny(self) -> Collection:
        """With MUVERA, and properties for the payload only."""
        definition = deepcopy(schema.class_definition(THEIRS, SPEC, properties.definitions(SPEC.fields)))
        del definition["description"]
        definition["properties"] = [each for each in definition["properties"] if each["name"] in SPEC.fields]
        definition["vectorConfig"][schema.VECTOR]["vectorIndexConfig"]["multivector"]["muvera"] = MUVERA
        return self.client.collections.create_from_dict(definition)

    def create_default(self) -> Collection:
        """As the documentation does it."""
        return self.client.collections.create(
            THEIRS,
            properties=[Property(name="lang", data_type=DataType.TEXT), Property(name="year", data_type=DataType.INT)],
            vector_config=[Configure.MultiVectors.self_provided(name=schema.VECTOR)],
        )

    def timed(self, fill: Filling) -> tuple[float, float]:
        """Seconds of writing, and how many of them this process was busy."""
        start, busy = time.perf_counter(), time.process_time()
        fill()
        took = time.perf_counter() - start, time.process_time() - busy
        cls = OURS if self.client.collections.exists(OURS) else THEIRS
        count = self.client.collections.use(cls).aggregate.over_all(total_count=True).total_count
        assert count == len(self.documents), count
        return took


def unit(random: np.random.Generator, count: int) -> MultiVector:
    rows = random.standard_normal((count, DIM), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def filling(bench: Bench, rounds: int) -> None:
    default = "batch.fixed_size, the vendor's default"
    turns: dict[str, Callable[[], Filling]] = {
        "lateint": bench.write,
        "limit: ready-made messages": lambda: bench.send(bench.create_same()),
        "insert_many": lambda: bench.insert_many(bench.create_same(), bench.objects),
        "batch.fixed_size": lambda: bench.fixed_size(bench.create_same(), bench.objects),
        "lateint, tiny MUVERA": bench.write_adopted,
        "insert_many, tiny MUVERA": lambda: bench.insert_many(bench.create_tiny(), bench.bare),
        "batch.fixed_size, tiny MUVERA": lambda: bench.fixed_size(bench.create_tiny(), bench.bare),
        default: lambda: bench.fixed_size(bench.create_default(), bench.bare),
    }
    times: dict[str, list[tuple[float, float]]] = {title: [] for title in turns}
    for turn in range(rounds):
        for title, prepared in turns.items():
            if title == default and turn != rounds // 2:
                continue
            try:
                times[title].append(bench.timed(prepared()))
            finally:
                bench.drop()
    number = len(bench.documents)
    print(f"\n{'':44} {'docs/s':>8} {'spread':>15} {'ms busy/doc':>12}")
    for title, found in times.items():
        rates = [number / wall for wall, _ in found]
        busy = statistics.median(1e3 * busy / number for _, busy in found)
        print(f"{title:44} {statistics.median(rates):8.1f} {min(rates):7.1f}-{max(rates):7.1f} {busy:12.2f}")
    print()
    for ours, theirs, aim in (
        ("lateint", default, 15.0),
        ("lateint", "batch.fixed_size", 1.5),
        ("limit: ready-made messages", "batch.fixed_size", None),
        ("lateint", "insert_many", 1.0),
        ("lateint, tiny MUVERA", "insert_many, tiny MUVERA", 2.0),
    ):
        others = times[theirs] * (rounds if theirs == default else 1)
        ratio = statistics.median(other / mine for (mine, _), (other, _) in zip(times[ours], others, strict=True))
        verdict = "" if aim is None else f"  aim {aim:.1f}: {'pass' if ratio >= aim else 'short'}"
        print(f"{ours + ' ÷ ' + theirs:60} {ratio:7.2f}{verdict}")


def searching(bench: Bench) -> None:
    """Exact answers from one class, by lateint and by the client's call; all are held against the reference."""
    index = bench.lateint.create_index(SPEC)
    index.write(bench.documents)
    collection = bench.client.collections.use(OURS)
    everything = Filter.by_property(schema.ALL_FIELD).equal(True)  # noqa: FBT003
    corpus = Corpus.from_multivectors([each.vectors for each in bench.documents])
    places = {each.id: place for place, each in enumerate(bench.documents)}

    def ours(query: MultiVector) -> list[tuple[str, float]]:
        return [(hit.id, hit.score) for hit in index.search(query, k=10)]

    def theirs(query: Any) -> list[tuple[str, float]]:  # noqa: ANN401 - it takes arrays, though its types say lists
        found = collection.query.near_vector(
            query,
            target_vector=schema.VECTOR,
            limit=10,
            filters=everything,
            return_metadata=MetadataQuery(distance=True),
            return_properties=[ID_FIELD, PAYLOAD_FIELD],
        )
        return [(str(each.properties[ID_FIELD]), -float(each.metadata.distance or 0)) for each in found.objects]

    times: dict[str, list[tuple[float, float]]] = {"lateint search": [], "client's near_vector": []}
    contestants = [("lateint search", ours), ("client's near_vector", theirs)]
    reference = score_corpus(bench.queries, corpus)
    for query, scores in zip(bench.queries, reference, strict=True):
        best = np.sort(scores)[::-1][:10]
        allowed = tolerance(rows=QUERY_ROWS, dim=DIM, score=best)
        contestants.reverse()
        for title, run in contestants:
            start, busy = time.perf_counter(), time.process_time()
            hits = run(query)
            times[title].append((1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - busy)))
            assert np.all(np.abs(np.array([score for _, score in hits]) - best) <= allowed)
            assert np.all(np.abs(scores[[places[document] for document, _ in hits]] - best) <= 2 * allowed)
    bench.drop()
    print(f"\n{'exact search, k = 10, payload included':44} {'ms':>8} {'spread':>15} {'ms busy':>12}")
    for title, found in times.items():
        walls = [wall for wall, _ in found]
        busy = statistics.median(busy for _, busy in found)
        print(f"{title:44} {statistics.median(walls):8.2f} {min(walls):7.2f}-{max(walls):7.2f} {busy:12.2f}")
    mine, other = (statistics.median(wall for wall, _ in found) for found in times.values())
    within = mine <= other + max(0.5, 0.1 * other)
    print(f"{'lateint - near_vector':60} {mine - other:7.2f} ms  aim 10 % or 0.5 ms: {'pass' if within else 'short'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    bench = Bench(arguments.url, arguments.documents, arguments.tokens)
    try:
        bench.drop()
        info = bench.lateint.server_info()
        print(f"Weaviate {info.version}; weaviate-client {importlib.metadata.version('weaviate-client')}")
        print(
            f"CPython {platform.python_version()}; {arguments.documents} documents of {arguments.tokens} x {DIM}, "
            f"{arguments.rounds} rounds"
        )
        searching(bench)
        filling(bench, arguments.rounds)
    finally:
        bench.drop()
        bench.close()


if __name__ == "__main__":
    main()
