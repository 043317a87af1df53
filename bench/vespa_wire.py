# ruff: noqa: ANN401, PLC0415 - peers that may be missing, and have no types
"""What it costs this side to bring a multi-vector to Vespa: bytes first, then HTTP clients against a local sink.

    python bench/vespa_wire.py [--documents 64] [--tokens 180] [--rounds 7]

Encoding: all contestants in this process on the same documents, interleaved, one thread, processor time; from arrays to
the body of a request. pyvespa's default is that of `feed_async_iterable`: lists, `json.dumps`, and gzip at level 9 for
bodies above a kilobyte, by its own function; with `compress=False` nothing is gzipped.

HTTP: each client in its fastest documented form posts the same bodies of bfloat16 to a process of this machine that
reads them and answers 200; so does pyvespa, which encodes while it feeds. On few cores client and sink share them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import multiprocessing
import os
import platform
import socket
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import numpy as np

from lateint.vectors import MultiVector
from lateint_vespa import calls, wire
from lateint_vespa.calls import Call
from lateint_vespa.schema import Cells, Layout

DIM = 128
IN_FLIGHT = 8
TARGET_FLOAT_MS, TARGET_BFLOAT16_MS = 0.20, 0.16
PROPERTIES = {
    "lateint_id": "document-1",
    "lateint_fields": ["lang", "year"],
    "lateint_payload": '{"lang":"en","year":2024}',
    "lateint_digest": 2**53 - 1,
    "lang": "en",
    "year": 2024,
}
CLIENTS = ("httpr", "httpx", "urllib3", "aiohttp", "pyvespa", "orjson")


@dataclass
class Contestant:
    """Something to time; one entry per round, in seconds."""

    name: str
    run: Callable[[], Any]
    busy: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def time(self) -> None:
        start, busy = time.perf_counter(), time.process_time()
        self.run()
        self.busy.append(time.process_time() - busy)
        self.wall.append(time.perf_counter() - start)


def layout(cells: Cells) -> Layout:
    return Layout(schema="pages", dim=DIM, cells=cells, fields={})


def made(documents: int, tokens: int) -> list[MultiVector]:
    random = np.random.default_rng(0)
    rows = random.standard_normal((documents, tokens, DIM), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return list(rows)


def posts(rows: Sequence[MultiVector], cells: Cells) -> list[Call]:
    return [
        calls.put(layout(cells), f"document-{at}", rows=each, properties=PROPERTIES, timeout_s=20)
        for at, each in enumerate(rows)
    ]


def lists(rows: MultiVector) -> dict[str, Any]:
    return {"fields": {**PROPERTIES, "lateint_vectors": {str(at): row for at, row in enumerate(rows.tolist())}}}


def encoders(rows: list[MultiVector]) -> list[Contestant]:
    def rows_by_orjson() -> list[bytes]:
        import orjson

        return [
            orjson.dumps(
                {
                    "fields": {
                        **PROPERTIES,
                        "lateint_vectors": {"blocks": {str(at): row for at, row in enumerate(each)}},
                    }
                },
                option=orjson.OPT_SERIALIZE_NUMPY,
            )
            for each in rows
        ]

    def hex_of_rows() -> list[bytes]:
        return [
            json.dumps(
                {
                    "fields": {
                        **PROPERTIES,
                        "lateint_vectors": {
                            "blocks": {str(at): row.tobytes().hex() for at, row in enumerate(each.astype(">f4"))}
                        },
                    }
                }
            ).encode()
            for each in rows
        ]

    contestants = [
        Contestant("limit: one copy of the rows", lambda: [each.copy() for each in rows]),
        Contestant("lateint, float32", lambda: posts(rows, Cells.FLOAT)),
        Contestant("lateint, bfloat16", lambda: posts(rows, Cells.BFLOAT16)),
        Contestant("lateint, bits", lambda: posts(rows, Cells.BITS)),
        Contestant("hex of each row, json.dumps, float32", hex_of_rows),
        Contestant("lists, json.dumps (pyvespa compress=False)", lambda: [json.dumps(lists(each)) for each in rows]),
    ]
    if installed("orjson"):
        contestants.append(Contestant("rows, orjson, float32", rows_by_orjson))
    if installed("pyvespa"):
        contestants.append(Contestant("lists, gzip 9 (pyvespa's default)", lambda: zipped_by_pyvespa(rows)))
    return contestants


def zipped_by_pyvespa(rows: list[MultiVector]) -> list[bytes]:
    """Two documents stand for all: it takes a tenth of a second for one. `table` divides by two for it."""
    from vespa.application import _prepare_request_body

    return [_prepare_request_body("POST", json_data=lists(each))[0] for each in rows[:2]]


@contextmanager
def sink() -> Iterator[int]:
    """A process that reads requests and answers 200; its port."""
    server = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(target=swallow, args=(server,), daemon=True)
    process.start()
    try:
        yield server.getsockname()[1]
    finally:
        process.kill()
        process.join()
        server.close()


def swallow(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer_all, args=(connection,), daemon=True).start()


def answer_all(connection: socket.socket) -> None:
    """HTTP/1.1, keep-alive, bodies by Content-Length."""
    body = b'{"pathId":"/document/v1/","id":"id:lateint:pages::document"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = bytearray()
    while True:
        while (end := held.find(b"\r\n\r\n")) < 0:
            data = connection.recv(1 << 18)
            if not data:
                return
            held += data
            if held.startswith(b"PRI "):
                answer_h2(connection, bytes(held), body)
                return
        head = bytes(held[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        missing = end + 4 + length - len(held)
        if missing <= 0:
            del held[: end + 4 + length]
        else:
            held.clear()
            while missing:
                missing -= len(connection.recv(min(missing, 1 << 18)))
        connection.sendall(answer)


def answer_h2(connection: socket.socket, data: bytes, body: bytes) -> None:
    """HTTP/2 by prior knowledge, which pyvespa's asynchronous feed insists on."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import DataReceived, StreamEnded

    state = H2Connection(H2Configuration(client_side=False))
    state.initiate_connection()
    while data:
        for event in state.receive_data(data):
            if isinstance(event, DataReceived):
                state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                state.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                state.send_data(event.stream_id, body, end_stream=True)
        connection.sendall(state.data_to_send())
        data = connection.recv(1 << 18)


Send = Callable[[Call], int]
AsyncSend = Callable[[Call], Awaitable[int]]


def in_threads(send: Send, made: Sequence[Call]) -> None:
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        assert set(pool.map(send, made)) == {200}


def in_tasks(start: Callable[[], Any], send_by: Callable[[Any], AsyncSend], made: Sequence[Call]) -> None:
    async def run() -> None:
        async with start() as client:
            send = send_by(client)
            left = iter(made)

            async def work() -> None:
                for call in left:
                    assert await send(call) == 200

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    asyncio.run(run())


def clients(port: int, made: Sequence[Call], rows: list[MultiVector]) -> list[Contestant]:
    url = f"http://127.0.0.1:{port}"
    found: list[Contestant] = []
    found += standard_library(port, made, rows)
    if installed("httpr"):
        found += by_httpr(url, made, rows)
    if installed("httpx"):
        found += by_httpx(url, made)
    if installed("urllib3"):
        found += by_urllib3(url, made)
    if installed("aiohttp"):
        found += by_aiohttp(url, made)
    if installed("pyvespa"):
        found += by_pyvespa(port, rows, len(made))
    return found


def whole_way(name: str, send: Send, rows: list[MultiVector], count: int) -> list[Contestant]:
    """From arrays to acknowledgements."""

    def run(cells: Cells) -> None:
        def work(at: int) -> int:
            each = rows[at % len(rows)]
            return send(calls.put(layout(cells), f"d-{at}", rows=each, properties=PROPERTIES, timeout_s=20))

        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            assert set(pool.map(work, range(count))) == {200}

    return [
        Contestant(f"lateint float32 + {name}", lambda: run(Cells.FLOAT)),
        Contestant(f"lateint bfloat16 + {name}", lambda: run(Cells.BFLOAT16)),
    ]


def in_threads_of_a_loop(send: Send, made: Sequence[Call]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        left = iter(made)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:

            async def work() -> None:
                for call in left:
                    assert await loop.run_in_executor(pool, send, call) == 200

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    asyncio.run(run())


def standard_library(port: int, made: Sequence[Call], rows: list[MultiVector]) -> list[Contestant]:
    local = threading.local()

    def send(call: Call) -> int:
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection("127.0.0.1", port)
        local.connection.request(call.method, call.target, call.body, call.headers)
        response = local.connection.getresponse()
        response.read()
        return int(response.status)

    return [
        Contestant(f"http.client, {IN_FLIGHT} threads", lambda: in_threads(send, made)),
        Contestant(f"http.client, {IN_FLIGHT} tasks over threads", lambda: in_threads_of_a_loop(send, made)),
        *whole_way("http.client threads", send, rows, len(made)),
    ]


def by_httpr(url: str, made: Sequence[Call], rows: list[MultiVector]) -> list[Contestant]:
    import httpr

    client = httpr.Client()

    def send(call: Call) -> int:
        response = client.post(url + call.target, content=call.body, headers=call.headers)
        assert response.content
        return int(response.status_code)

    def send_by(client: Any) -> AsyncSend:
        async def send(call: Call) -> int:
            response = await client.post(url + call.target, content=call.body, headers=call.headers)
            assert response.content
            return int(response.status_code)

        return send

    return [
        Contestant(f"httpr, {IN_FLIGHT} threads", lambda: in_threads(send, made)),
        Contestant(f"httpr async, {IN_FLIGHT} tasks over threads", lambda: in_tasks(httpr.AsyncClient, send_by, made)),
        *whole_way("httpr threads", send, rows, len(made)),
    ]


def by_httpx(url: str, made: Sequence[Call]) -> list[Contestant]:
    import httpx

    client = httpx.Client(timeout=30)

    def send(call: Call) -> int:
        return client.request(call.method, url + call.target, content=call.body, headers=call.headers).status_code

    def send_by(client: Any) -> AsyncSend:
        async def send(call: Call) -> int:
            reply = await client.request(call.method, url + call.target, content=call.body, headers=call.headers)
            return int(reply.status_code)

        return send

    return [
        Contestant(f"httpx, {IN_FLIGHT} threads", lambda: in_threads(send, made)),
        Contestant(f"httpx async, {IN_FLIGHT} tasks", lambda: in_tasks(httpx.AsyncClient, send_by, made)),
    ]


def by_urllib3(url: str, made: Sequence[Call]) -> list[Contestant]:
    import urllib3

    pool = urllib3.PoolManager(maxsize=IN_FLIGHT)

    def send(call: Call) -> int:
        return int(pool.request(call.method, url + call.target, body=call.body, headers=call.headers).status)

    return [
        Contestant(f"urllib3, {IN_FLIGHT} threads", lambda: in_threads(send, made)),
        Contestant(f"urllib3, {IN_FLIGHT} tasks over threads", lambda: in_threads_of_a_loop(send, made)),
    ]


def by_aiohttp(url: str, made: Sequence[Call]) -> list[Contestant]:
    import aiohttp

    def send_by(session: Any) -> AsyncSend:
        async def send(call: Call) -> int:
            async with session.request(call.method, url + call.target, data=call.body, headers=call.headers) as reply:
                await reply.read()
                return int(reply.status)

        return send

    return [Contestant(f"aiohttp, {IN_FLIGHT} tasks", lambda: in_tasks(aiohttp.ClientSession, send_by, made))]


def by_pyvespa(port: int, rows: list[MultiVector], count: int) -> list[Contestant]:
    from vespa.application import Vespa

    app = Vespa(url="http://127.0.0.1", port=port)
    answered: list[int] = []

    def feed(method: str, fields: Callable[[MultiVector], Any], number: int, **options: Any) -> None:
        documents = ({"id": f"d-{at}", "fields": fields(rows[at % len(rows)])} for at in range(number))
        answered.clear()
        getattr(app, method)(
            documents, schema="pages", callback=lambda reply, _: answered.append(reply.status_code), **options
        )
        assert answered == [200] * number, set(answered)

    def as_lists(each: MultiVector) -> Any:
        return lists(each)["fields"]

    def as_hex(each: MultiVector) -> Any:
        return {**PROPERTIES, "lateint_vectors": json.loads(b"".join(wire.blocks(each, Cells.BFLOAT16)))}

    few = max(4, count // 32)
    found = []
    if installed("h2"):  # for the sink
        found.append(
            Contestant(
                "pyvespa feed_async_iterable, lists (default)", lambda: feed("feed_async_iterable", as_lists, few)
            )
        )
    return [
        *found,
        Contestant("pyvespa feed_iterable, lists", lambda: feed("feed_iterable", as_lists, few)),
        Contestant(
            "pyvespa feed_iterable, hex, compress=False",
            lambda: feed("feed_iterable", as_hex, count, compress=False, max_workers=IN_FLIGHT),
        ),
    ]


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def encoding_table(contestants: list[Contestant], documents: int) -> None:
    ours = next(each for each in contestants if each.name == "lateint, float32")
    print(f"\n{'encoding':46} {'ms/doc':>8} {'spread':>15} {'x lateint':>10}")
    for each in contestants:
        number = 2 if "gzip" in each.name else documents
        per = [1e3 * seconds / number for seconds in each.busy]
        ratio = statistics.median((a / number) / (b / documents) for a, b in zip(each.busy, ours.busy, strict=True))
        print(f"{each.name:46} {statistics.median(per):8.3f} {min(per):7.3f}-{max(per):7.3f} {ratio:10.2f}")
    for name, target in (("lateint, float32", TARGET_FLOAT_MS), ("lateint, bfloat16", TARGET_BFLOAT16_MS)):
        median = statistics.median(
            1e3 * seconds / documents for each in contestants if each.name == name for seconds in each.busy
        )
        print(f"{name}: target {target:.2f} ms: {'pass' if median <= target else 'short'} with {median:.3f}")


def http_table(contestants: list[Contestant], count: int) -> None:
    print(f"\n{'against a sink':46} {'docs/s':>8} {'spread':>15} {'ms busy/doc':>12}")
    for each in contestants:
        number = max(4, count // 32) if "lists" in each.name else count
        rates = [number / seconds for seconds in each.wall]
        busy = statistics.median(1e3 * seconds / number for seconds in each.busy)
        print(f"{each.name:46} {statistics.median(rates):8.0f} {min(rates):7.0f}-{max(rates):7.0f} {busy:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=180)
    parser.add_argument("--posts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = made(arguments.documents, arguments.tokens)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in CLIENTS if installed(name)]
    missing = [name for name in CLIENTS if not installed(name)]
    print(f"CPython {platform.python_version()}; NumPy {np.__version__}; {'; '.join(versions)}")
    print(f"{arguments.documents} documents of {arguments.tokens} x {DIM}; {arguments.rounds} rounds; load", end=" ")
    print(f"{os.getloadavg()[0]:.1f}{f'; not installed, not run: {missing}' if missing else ''}")
    contestants = encoders(rows)
    contestants[-1].run()  # imports what it needs
    for _ in range(arguments.rounds):
        for each in contestants:
            each.time()
    encoding_table(contestants, len(rows))
    bodies = posts(rows, Cells.BFLOAT16)
    sent = [bodies[at % len(bodies)] for at in range(arguments.posts)]
    with sink() as port:
        contestants = clients(port, sent, rows)
        for _ in range(arguments.rounds):
            for each in contestants:
                each.time()
    http_table(contestants, len(sent))


if __name__ == "__main__":
    main()
