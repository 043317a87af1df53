"""What a search through lateint costs beyond the same call of Qdrant's own client.

    python bench/qdrant_search.py [URL] [--documents 100] [--rounds 300]

URL is as for `qdrant_ingest.py`. The collection is so small that a search takes hardly longer than a call: with more
documents the same overhead is a smaller part. All contestants ask for the ten best of one query, exact, with payload,
in this process, interleaved in a new random order each round. `over` and `ratio` compare with the client's own
`query_points` of the same transport, within rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers of the tests are not installed

import numpy as np
from qdrant_client import AsyncQdrantClient, QdrantClient, grpc, models

import lateint
from bench.qdrant_server import TIMEOUT_S, channel, client_options, found, print_setting, unit_rows, url_of
from lateint.vectors import MultiVector
from lateint_qdrant import schema
from lateint_qdrant.over_grpc import OverGrpc
from lateint_qdrant.transport import Query
from tests.servers.discovery import QdrantServer, ServerNotFound

DIM = 128
NAME = "lateint-bench"
QUERY_ROWS, DOCUMENT_ROWS = 32, 20
K = 10
WARM_UP = 10
AIM_MS, AIM_RATIO = 0.3, 1.1


@dataclass
class Contestant:
    """Something to time; `seconds` and `busy`, of processor time on this side, have one entry per round.

    Attributes:
        name: what the table calls it.
        run: one search, or an awaitable of one.
        against: what it is compared with; itself if left out.
    """

    name: str
    run: Callable[[], Any]
    against: Contestant | None = None
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    async def found(self) -> Any:  # noqa: ANN401 - each in its own form
        outcome = self.run()
        return await outcome if isawaitable(outcome) else outcome

    async def time(self) -> None:
        start, busy = time.perf_counter(), time.process_time()
        await self.found()
        self.seconds.append(time.perf_counter() - start)
        self.busy.append(time.process_time() - busy)


async def contestants(server: QdrantServer, query: MultiVector, stack: AsyncExitStack) -> list[Contestant]:
    asked: dict[str, Any] = {
        "collection_name": NAME,
        "query": query,
        "using": schema.VECTOR,
        "limit": K,
        "search_params": models.SearchParams(exact=True),
        "with_payload": True,
    }
    playing = [limit(server, query)]

    def add(title: str, plain: Callable[..., Any], own: Callable[..., Any], borrowed: Callable[..., Any]) -> None:
        raw = Contestant(f"{title}: client's query_points", partial(plain, **asked))
        playing.extend(
            [
                raw,
                Contestant(f"{title}: lateint", partial(own, query, K), raw),
                Contestant(f"{title}: lateint, borrowed client", partial(borrowed, query, K), raw),
            ]
        )

    for transport in ("gRPC", "REST"):
        over_grpc = transport == "gRPC"
        options, url = client_options(server, grpc=over_grpc), url_of(server, grpc=over_grpc)
        plain = QdrantClient(**options)
        own = stack.enter_context(lateint.connect(url, api_key=server.api_key)).open(NAME)
        add(transport, plain.query_points, own.search, lateint.connect(plain).open(NAME).search)
        waiting = AsyncQdrantClient(**options)
        connected = await stack.enter_async_context(await lateint.aconnect(url, api_key=server.api_key))
        own_async = await connected.open(NAME)
        lent = await (await lateint.aconnect(waiting)).open(NAME)
        add(f"{transport}, asyncio", waiting.query_points, own_async.search, lent.search)
    return playing


def limit(server: QdrantServer, query: MultiVector) -> Contestant:
    """A request made before, and a reply that nobody reads."""
    wanted = Query(rows=query, k=K, condition=None, exact=True, payload=True, with_vectors=False)
    call: Any = OverGrpc().query(NAME, [wanted], vector=schema.VECTOR, timeout_s=None, server_s=TIMEOUT_S)
    send = channel(server).unary_unary(f"/qdrant.Points/{call.method}", None, grpc.QueryBatchResponse.FromString)
    return Contestant("limit: gRPC, the request made before", lambda: send(call.message, timeout=TIMEOUT_S))


def scores(outcome: Any) -> list[float]:  # noqa: ANN401 - each in its own form
    """Of a result in any of the forms."""
    if isinstance(outcome, grpc.QueryBatchResponse):
        outcome = outcome.result[0].result
    return sorted((hit.score for hit in getattr(outcome, "points", outcome)), reverse=True)


async def play(server: QdrantServer, query: MultiVector, rounds: int) -> list[Contestant]:
    async with AsyncExitStack() as stack:
        playing = await contestants(server, query, stack)
        for each in playing:
            found = scores(await each.found())
            assert len(found) == K
            assert found == scores(await playing[1].found()), each.name
        order, shuffled = list(playing), random.Random(0)
        for number in range(-WARM_UP, rounds):
            shuffled.shuffle(order)
            for each in order:
                if number < 0:
                    await each.found()
                else:
                    await each.time()
    return playing


def print_table(playing: list[Contestant]) -> None:
    print(f"{'ms':44} {'median':>7} {'spread, 5-95 %':>15} {'busy':>6} {'over':>6} {'ratio':>6}")
    for each in playing:
        against = each.against or each
        pairs = list(zip(each.seconds, against.seconds, strict=True))
        over = 1e3 * statistics.median(own - other for own, other in pairs)
        ratio = statistics.median(own / other for own, other in pairs)
        cuts = statistics.quantiles(each.seconds, n=20)
        compared = f"{over:6.2f} {ratio:6.2f}" if each.against else ""
        verdict = "  pass" if ratio <= AIM_RATIO or over <= AIM_MS else "  short"
        print(
            f"{each.name:44} {1e3 * statistics.median(each.seconds):7.2f} "
            f"{f'{1e3 * cuts[0]:.2f}-{1e3 * cuts[-1]:.2f}':>15} {1e3 * statistics.median(each.busy):6.2f} "
            f"{compared}{verdict if each.against else ''}".rstrip()
        )
    print("over: milliseconds beyond the client's own call; busy: processor time on this side")
    print(f"aim: a ratio of {AIM_RATIO} at most, or {AIM_MS} ms over")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    numbers = np.random.default_rng(0)
    query = unit_rows(numbers, QUERY_ROWS, DIM)
    documents = [
        lateint.Document(
            f"page-{n}", unit_rows(numbers, DOCUMENT_ROWS, DIM), {"lang": "en", "year": 2000 + n, "title": f"Page {n}"}
        )
        for n in range(arguments.documents)
    ]
    sizes = (
        f"{len(documents)} documents of {DOCUMENT_ROWS} rows x {DIM} float32, query of {QUERY_ROWS} rows, k = {K}, "
        f"exact, with payload; {arguments.rounds} rounds"
    )
    try:
        with found(arguments.url) as server, lateint.connect(server.url, api_key=server.api_key) as client:
            print_setting(server, client, sizes)
            spec = lateint.IndexSpec(NAME, DIM, fields={"lang": "keyword", "year": "integer"})
            index = client.create_index(spec)
            try:
                index.write(documents)
                print_table(asyncio.run(play(server, query, arguments.rounds)))
            finally:
                client.drop_index(NAME)
    except ServerNotFound as error:
        print(f"not run: {error}")


if __name__ == "__main__":
    main()
