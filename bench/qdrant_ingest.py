"""How fast documents go into a Qdrant server and come out, beside the ways of its own client.

    python bench/qdrant_ingest.py "qdrant://localhost:6333?grpc_port=6334" [--documents 500] [--rounds 3]

All contestants run in this process against one server, interleaved, each into a collection of its own that is dropped
after its turn. All wait until the documents are there. With the double of tests/servers the numbers say what this side
costs, not what a server takes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient, models

import lateint
from lateint.vectors import MultiVector

DIM = 128
NAME = "lateint-bench"

Turn = Callable[[str], tuple[float, float, float]]
"""Writes into a collection and reads it all; returns seconds of writing, of it busy here, and of reading."""


def made(documents: int, tokens: int) -> list[MultiVector]:
    random = np.random.default_rng(0)
    lengths = random.integers(tokens // 2, tokens + tokens // 2, documents)
    found = []
    for length in lengths:
        rows = random.standard_normal((int(length), DIM), dtype=np.float32)
        found.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return found


def ours(url: str, transport: str, rows: list[MultiVector]) -> Turn:
    documents = [lateint.Document(str(n), matrix, {"n": n}) for n, matrix in enumerate(rows)]
    joint = "&" if "?" in url else "?"

    def turn(name: str) -> tuple[float, float, float]:
        with lateint.connect(f"{url}{joint}transport={transport}", timeout_s=300) as client:
            index = client.create_index(lateint.IndexSpec(name, DIM))
            start, busy = time.perf_counter(), time.process_time()
            index.write(documents)
            written, busy = time.perf_counter() - start, time.process_time() - busy
            assert index.count() == len(documents)
            start = time.perf_counter()
            assert sum(1 for _ in index.scan(with_vectors=True)) == len(documents)
            return written, busy, time.perf_counter() - start

    return turn


def theirs(url: str, rows: list[MultiVector], *, grpc: bool, arrays: bool) -> Turn:
    parts = urlsplit(url)
    port = int(parse_qs(parts.query).get("grpc_port", ["6334"])[0])
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    params = models.VectorParams(
        size=DIM,
        distance=models.Distance.DOT,
        multivector_config=multi,
        hnsw_config=models.HnswConfigDiff(m=0),
    )
    ids = [str(UUID(int=n + 1)) for n in range(len(rows))]
    payloads = [{"n": n} for n in range(len(rows))]

    def turn(name: str) -> tuple[float, float, float]:
        client = QdrantClient(
            url=f"http://{parts.hostname}:{parts.port or 6333}",
            grpc_port=port,
            prefer_grpc=grpc,
            timeout=300,
            check_compatibility=False,
        )
        client.create_collection(name, vectors_config={"v": params})
        start, busy = time.perf_counter(), time.process_time()
        if arrays:
            vectors = [{"v": matrix} for matrix in rows]
            client.upload_collection(name, vectors=vectors, ids=ids, payload=payloads, wait=True)  # type: ignore[arg-type]
        else:
            points = (
                models.PointStruct(id=key, vector={"v": matrix.tolist()}, payload=payload)
                for key, matrix, payload in zip(ids, rows, payloads, strict=True)
            )
            client.upload_points(name, points, batch_size=32, wait=True)
        written, busy = time.perf_counter() - start, time.process_time() - busy
        assert client.count(name).count == len(rows)
        start, found, offset = time.perf_counter(), 0, None
        while True:
            records, offset = client.scroll(name, limit=64, offset=offset, with_vectors=True)
            for record in records:
                np.array(record.vector["v"], np.float32)  # type: ignore[index,call-overload]
            found += len(records)
            if offset is None:
                break
        assert found == len(rows)
        read = time.perf_counter() - start
        client.close()
        return written, busy, read

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = made(arguments.documents, arguments.tokens)
    turns: dict[str, Turn] = {
        "lateint, gRPC": ours(arguments.url, "grpc", rows),
        "upload_collection and scroll, gRPC, arrays": theirs(arguments.url, rows, grpc=True, arrays=True),
        "upload_points and scroll, gRPC": theirs(arguments.url, rows, grpc=True, arrays=False),
        "lateint, REST": ours(arguments.url, "rest", rows),
        "upload_points and scroll, REST": theirs(arguments.url, rows, grpc=False, arrays=False),
    }
    with lateint.connect(arguments.url) as client:
        info = client.server_info()
        print(f"Qdrant {info.version} at {info.location}; qdrant-client {importlib.metadata.version('qdrant-client')}")
        print(
            f"CPython {platform.python_version()}; {arguments.documents} documents of about {arguments.tokens} x {DIM}"
        )
        times: dict[str, list[tuple[float, float, float]]] = {title: [] for title in turns}
        for _ in range(arguments.rounds):
            for title, turn in turns.items():
                try:
                    times[title].append(turn(NAME))
                finally:
                    client.drop_index(NAME)
    print(f"\n{'':44} {'written/s':>10} {'ms busy/doc':>12} {'read/s':>8}")
    for title, found in times.items():
        written, busy, read = (statistics.median(column) for column in zip(*found, strict=True))
        number = arguments.documents
        print(f"{title:44} {number / written:10.0f} {1e3 * busy / number:12.2f} {number / read:8.0f}")


if __name__ == "__main__":
    main()
