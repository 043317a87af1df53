"""How fast documents go into a Qdrant server and come out, beside the ways of its own client.

    python bench/qdrant_ingest.py [URL] [--documents 400] [--tokens 180] [--rounds 5]

URL is such as "qdrant://localhost:6333?grpc_port=6334"; without one the server is found as the tests find it, and is in
the end their double, whose speed says nothing about a server's: the numbers then say what this side costs.

All contestants run in this process against one server, interleaved, into collections that are set up alike and dropped
after each turn; over REST, where everything is slow, they take a quarter of the documents. A time ends when the call
returns. Everybody waits until the documents are applied, except where it is said: `upload_collection` and
`upload_points` do not unless they are told to. A ratio is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers of the tests are not installed

import numpy as np
from qdrant_client import QdrantClient, models

import lateint
from bench.qdrant_server import TIMEOUT_S, channel, client_options, found, print_setting, unit_rows, url_of
from lateint.engine import splitting
from lateint.vectors import MultiVector
from lateint_qdrant import schema, wire
from lateint_qdrant.calls import Point
from tests.servers.discovery import QdrantServer, ServerNotFound

DIM = 128
NAME = "lateint-bench"
REST_SHARE = 4
GRPC_BATCH, REST_BATCH = 64, 32
"""Points in one request of the client: its default, which over REST comes near the 32 MB that a server takes."""
PAGE = 64
WARM_UP = 8

BULK, REST_POINTS = "upload_collection, gRPC, arrays, does not wait", "upload_points, REST"
AIMS = {REST_POINTS: 4.5, BULK: 0.9}

Turn = Callable[[int], Any]
"""Write, or read, so many documents."""


@dataclass
class Contestant:
    """Something to time.

    Attributes:
        name: what the tables call it.
        run: its turn.
        documents: in one turn.
        after: those that read what this one has written.
        seconds: of each turn, per document.
        busy: the same, of processor time on this side.
    """

    name: str
    run: Turn
    documents: int
    after: list[Contestant] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def time(self) -> None:
        start, busy = time.perf_counter(), time.process_time()
        self.run(self.documents)
        self.seconds.append((time.perf_counter() - start) / self.documents)
        self.busy.append((time.process_time() - busy) / self.documents)


def writers(server: QdrantServer, rows: list[MultiVector]) -> list[Contestant]:
    """All ways in; ours over gRPC is the second, and is read by those over gRPC, ours over REST by those over REST."""
    over_grpc, over_rest = (QdrantClient(**client_options(server, grpc=grpc)) for grpc in (True, False))
    documents = [lateint.Document(str(n), matrix, {"n": n}) for n, matrix in enumerate(rows)]
    ids = [str(UUID(int=n + 1)) for n in range(len(rows))]
    payloads = [{"n": n} for n in range(len(rows))]
    able = schema.GRPC_CAPABILITIES
    points = [Point(*point) for point in zip(ids, rows, payloads, strict=True)]
    batches = splitting.by_size(points, [matrix.nbytes for matrix in rows], able.max_batch_bytes)
    messages = [wire.upsert(NAME, batch, vector=schema.VECTOR) for batch in batches]
    send = channel(server).unary_unary("/qdrant.Points/Upsert", None, None)

    def limit(_: int) -> None:
        with ThreadPoolExecutor(able.max_in_flight) as pool:
            list(pool.map(lambda message: send(message, timeout=TIMEOUT_S), messages))

    def ours(target: str | QdrantClient) -> Turn:
        client = lateint.connect(target, api_key=server.api_key if isinstance(target, str) else None)
        return lambda count: client.open(NAME).write(documents[:count])

    loop = asyncio.new_event_loop()
    connected = loop.run_until_complete(lateint.aconnect(url_of(server, grpc=True), api_key=server.api_key))

    async def over_asyncio(count: int) -> None:
        await (await connected.open(NAME)).write(documents[:count])

    def collection(client: QdrantClient, *, wait: bool, batch: int = GRPC_BATCH) -> Turn:
        def turn(count: int) -> None:
            vectors: Any = [{schema.VECTOR: matrix} for matrix in rows[:count]]
            keys: Any = ids[:count]
            client.upload_collection(NAME, vectors, payload=payloads[:count], ids=keys, wait=wait, batch_size=batch)

        return turn

    def structs(client: QdrantClient, *, batch: int = GRPC_BATCH) -> Turn:
        def turn(count: int) -> None:
            made = (
                models.PointStruct(id=key, vector={schema.VECTOR: matrix.tolist()}, payload=payload)
                for key, matrix, payload in zip(ids[:count], rows, payloads, strict=False)
            )
            client.upload_points(NAME, made, wait=True, batch_size=batch)

        return turn

    everything, share = len(rows), max(1, len(rows) // REST_SHARE)
    return [
        Contestant("limit: the same bytes, made before", limit, everything),
        Contestant(
            "lateint, gRPC", ours(url_of(server, grpc=True)), everything, readers(server, everything, grpc=True)
        ),
        Contestant("lateint, gRPC, asyncio", lambda n: loop.run_until_complete(over_asyncio(n)), everything),
        Contestant("lateint, gRPC, borrowed client", ours(over_grpc), everything),
        Contestant(BULK, collection(over_grpc, wait=False), everything),
        Contestant("upload_collection, gRPC, arrays", collection(over_grpc, wait=True), everything),
        Contestant("upload_points, gRPC", structs(over_grpc), everything),
        Contestant("lateint, REST", ours(url_of(server, grpc=False)), share, readers(server, share, grpc=False)),
        Contestant("upload_collection, REST, arrays", collection(over_rest, wait=True, batch=REST_BATCH), share),
        Contestant(REST_POINTS, structs(over_rest, batch=REST_BATCH), share),
    ]


def readers(server: QdrantServer, documents: int, *, grpc: bool) -> list[Contestant]:
    client = QdrantClient(**client_options(server, grpc=grpc))
    connected = lateint.connect(url_of(server, grpc=grpc), api_key=server.api_key)
    transport = "gRPC" if grpc else "REST"

    def theirs(_: int) -> None:
        offset, more = None, True
        while more:
            records, offset = client.scroll(NAME, limit=PAGE, offset=offset, with_vectors=True)
            for record in records:
                np.array(record.vector[schema.VECTOR], np.float32)  # type: ignore[index,call-overload]
            more = offset is not None

    return [
        Contestant(
            f"lateint scan, {transport}",
            lambda _: sum(1 for _ in connected.open(NAME).scan(with_vectors=True)),
            documents,
        ),
        Contestant(f"scroll, {transport}", theirs, documents),
    ]


def await_all(index: lateint.Index, documents: int) -> None:
    """Somebody did not wait, and the next must not begin while the server is still at it."""
    deadline = time.monotonic() + TIMEOUT_S
    while index.count() < documents:
        if time.monotonic() > deadline:
            sys.exit(f"of {documents} documents {index.count()} are there after {TIMEOUT_S} s")
        time.sleep(0.05)


def play(client: lateint.Client, writing: list[Contestant], rounds: int) -> None:
    for number in range(-1, rounds):
        first = max(0, number) % len(writing)  # who comes first, and after whom, differs from round to round
        for each in writing[first:] + writing[:first]:
            index = client.create_index(lateint.IndexSpec(NAME, DIM))
            try:
                if number < 0:
                    each.run(WARM_UP)
                    continue
                each.time()
                await_all(index, each.documents)
                for reader in each.after:
                    reader.time()
            finally:
                client.drop_index(NAME)


def ratio(upper: Contestant, lower: Contestant) -> tuple[float, float, float]:
    """Median, least and greatest of speed of `upper` ÷ speed of `lower`, within rounds."""
    values = [below / above for above, below in zip(upper.seconds, lower.seconds, strict=True)]
    return statistics.median(values), min(values), max(values)


def table(title: str, contestants: list[Contestant], ours: Contestant) -> None:
    print(f"{title:48} {'docs/s':>7} {'spread':>10} {'busy':>6} {'lateint ÷':>10} {'spread':>11}")
    for each in contestants:
        rates = [1 / seconds for seconds in each.seconds]
        median, least, greatest = ratio(ours, each)
        print(
            f"{each.name:48} {statistics.median(rates):7.0f} {f'{min(rates):.0f}-{max(rates):.0f}':>10} "
            f"{1e3 * statistics.median(each.busy):6.2f} {median:10.2f} {f'{least:.2f}-{greatest:.2f}':>11}"
        )
    print()


def print_verdicts(writing: list[Contestant], server: QdrantServer) -> None:
    place = " against a double" if server.kind == "double" else ""
    for each in writing:
        if each.name in AIMS:
            median, aim = ratio(writing[1], each)[0], AIMS[each.name]
            print(
                f"lateint, gRPC ÷ {each.name}: {median:.2f}, aim {aim}: {'pass' if median >= aim else 'short'}{place}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    random, tokens = np.random.default_rng(0), arguments.tokens
    lengths = random.integers(tokens // 2, tokens + tokens // 2, arguments.documents)
    rows = [unit_rows(random, int(length), DIM) for length in lengths]
    sizes = (
        f"{len(rows)} documents of {tokens // 2} to {tokens + tokens // 2} rows x {DIM} float32, "
        f"{sum(matrix.nbytes for matrix in rows) / 1e6:.0f} MB; {arguments.rounds} rounds"
    )
    try:
        with found(arguments.url) as server, lateint.connect(server.url, api_key=server.api_key) as client:
            print_setting(server, client, sizes)
            writing = writers(server, rows)
            reading = [reader for each in writing for reader in each.after]
            play(client, writing, arguments.rounds)
            table("written", writing, writing[1])
            table("read, with vectors", reading, reading[0])
            print("busy: processor time on this side, ms per document")
            print("lateint ÷: speed of lateint over gRPC ÷ that of the line")
            print_verdicts(writing, server)
    except ServerNotFound as error:
        print(f"not run: {error}")


if __name__ == "__main__":
    main()
