"""Updates of payloads on Vespa beside what others do to the same documents: each change is there in the end, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.client import Client, Index
from lateint.filters import Filter
from lateint_vespa import package
from lateint_vespa.calls import Together
from lateint_vespa.schema import layout_of
from tests.servers.vespa import asking
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM = 8
ONCE = RetryPolicy(attempts=1)
SPEC = IndexSpec("updated", DIM, fields={"n": "integer", "word": "keyword"}, normalize=False)
NAMES = ["a", "b", "c"]

Act = Callable[[], object]


def rows(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((3, DIM)).astype(np.float32)


def document(name: str, version: int, **more: Any) -> Document:
    return Document(name, rows(version), {"n": version, "word": f"w{version}", **more})


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_vespa(tmp_path_factory.mktemp("updates")) as server, lateint.connect(server.url) as client:
        client.create_index(SPEC)
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Control]:
    server.control.clear()
    server.control.drop_documents()
    yield server.control
    server.control.clear()


@pytest.fixture
def connect(server: Server, control: Control) -> Iterator[Callable[[], Index]]:
    """The index by a client of its own, which knows nothing of the others."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(lateint.connect(server.url, retry=ONCE)).open(SPEC.name)


@pytest.fixture
def index(connect: Callable[[], Index]) -> Index:
    """Three documents."""
    index = connect()
    index.write([document(name, 1) for name in NAMES])
    return index


@pytest.fixture
def other(connect: Callable[[], Index]) -> Index:
    return connect()


@pytest.fixture
def between(index: Index, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Orders what happens after `index` has read payloads and before it sets them; `times` it does so."""

    def order(act: Act, *, times: int = 1) -> None:
        backend: Any = index._client._backend
        send, left = backend._sent, times

        def sent(call: Any) -> Any:
            nonlocal left
            if isinstance(call, Together):
                call = Together(list(call.calls))
                if left and any(each.method == "PUT" for each in call.calls):
                    left -= 1
                    act()
            return send(call)

        monkeypatch.setattr(backend, "_sent", sent)

    return order


def read(index: Index, name: str) -> Document:
    (found,) = index.get([name], with_vectors=True)
    return found


def filtered(index: Index, condition: Filter) -> set[str]:
    return {found.id for found in index.scan(filter=condition)}


class TestBetween:
    """What another client does between the reading of a payload and its change is kept, and so is the change."""

    def test_a_write(self, index: Index, other: Index, between: Callable[..., None]) -> None:
        """Breaks when: new vectors get the payload of the document that they replaced."""
        between(lambda: other.write([document("b", 2, new="x")]))
        report = index.update_payload(NAMES, {"word": "mine", "seen": True})
        assert (report.written, report.failed) == (3, ())
        found = read(other, "b")
        assert found.payload == {"n": 2, "word": "mine", "new": "x", "seen": True}
        assert np.array_equal(found.vectors, rows(2))
        assert read(other, "a").payload == {"n": 1, "word": "mine", "seen": True}
        assert [other.count(field("n") == n) for n in (1, 2)] == [2, 1]
        assert other.count(field("word") == "mine") == 3
        lateint.verify(other, against=other.scan(with_vectors=True)).raise_if_failed()

    def test_a_write_of_other_vectors(self, index: Index, other: Index, between: Callable[..., None]) -> None:
        """Of the same payload, so that nothing tells: the change is right for it, and the vectors are the new ones."""
        between(lambda: other.write([Document("b", rows(2), document("b", 1).payload)]))
        assert index.update_payload(["b"], {"seen": True}).written == 1
        found = read(other, "b")
        assert found.payload == {"n": 1, "word": "w1", "seen": True}
        assert np.array_equal(found.vectors, rows(2))

    @pytest.mark.parametrize("times", [1, 5])
    def test_updates(self, index: Index, other: Index, between: Callable[..., None], times: int) -> None:
        """Breaks when: the later of two updates takes the fields of the other away."""
        numbers = iter(range(times))
        between(lambda: other.update_payload(["b", "c"], {f"theirs-{next(numbers)}": 1, "n": 7}), times=times)
        report = index.update_payload(NAMES, {"mine": 1})
        assert (report.written, report.failed) == (3, ())
        theirs = {f"theirs-{number}": 1 for number in range(times)}
        assert read(other, "a").payload == {"n": 1, "word": "w1", "mine": 1}
        for name in ("b", "c"):
            assert read(other, name).payload == {"n": 7, "word": "w1", "mine": 1, **theirs}
        assert other.count(field("n") == 7) == 2

    def test_only_what_was_changed_is_read_again(
        self, index: Index, other: Index, control: Control, between: Callable[..., None]
    ) -> None:
        between(lambda: other.write([document("b", 2)]))
        index.info  # noqa: B018 - the description is read before
        control.clear()
        index.update_payload(NAMES, {"seen": True})
        calls = control.calls()
        assert (calls["GET /document/v1"], calls["PUT /document/v1"]) == (4, 4)

    def test_a_removal(self, index: Index, other: Index, between: Callable[..., None]) -> None:
        """Breaks when: the update makes a document without vectors, or is called done."""
        between(lambda: other.delete(["b"]))
        report = index.update_payload(NAMES, {"seen": True})
        assert report.written == 2
        (failure,) = report.failed
        assert (failure.id, failure.retryable) == ("b", False)
        assert "no such document" in failure.reason
        assert {found.id for found in other.scan()} == {"a", "c"}
        assert other.count() == 2

    def test_a_removal_and_a_write(self, index: Index, other: Index, between: Callable[..., None]) -> None:
        def act() -> None:
            other.delete(["b"])
            other.write([document("b", 3)])

        between(act)
        assert index.update_payload(["b"], {"seen": True}).written == 1
        assert read(other, "b").payload == {"n": 3, "word": "w3", "seen": True}

    def test_without_end(self, index: Index, other: Index, between: Callable[..., None]) -> None:
        """After the time of a call the document is reported, unchanged, as one to try again; the others are done.

        Breaks when: it waits for ever, sets the change over another one, or calls it done.
        """
        backend: Any = index._client._backend
        seconds = iter(range(0, 100_000, 20))
        backend._verbs = replace(backend._verbs, clock=lambda: next(seconds))
        versions = iter(range(2, 1000))
        between(lambda: other.write([document("b", next(versions))]), times=-1)
        report = index.update_payload(NAMES, {"seen": True, "n": 0})
        assert report.written == 2
        (failure,) = report.failed
        assert (failure.id, failure.retryable) == ("b", True)
        assert "somebody else changed it" in failure.reason
        last = next(versions) - 1
        found = read(other, "b")
        assert found.payload == document("b", last).payload
        assert np.array_equal(found.vectors, rows(last))
        assert filtered(other, field("n") == 0) == {"a", "c"}
        assert last - 1 == backend._verbs.timeout_s // 20  # rounds, by that clock

    def test_a_document_of_another_tool(
        self, server: Server, index: Index, other: Index, between: Callable[..., None]
    ) -> None:
        """One that came without a digest is changed, and what lateint does to it meanwhile is kept as well."""
        client = asking.Client(server.http_url, server.config_url)
        fields = {"lateint_id": "d", "lateint_payload": json.dumps({"n": 4}), "n": 4}
        vectors = {"lateint_vectors": {"blocks": {"0": rows(4)[0].tolist()}}}
        path = f"/document/v1/lateint/{SPEC.name}/docid/d"
        assert asking.call("POST", client.http_url + path, {"fields": {**fields, **vectors}}).status == 200
        assert index.update_payload(["d"], {"seen": True}).written == 1
        assert asking.call("POST", client.http_url + path, {"fields": {**fields, **vectors}}).status == 200
        between(lambda: other.write([document("d", 5)]))
        assert index.update_payload(["d"], {"seen": True}).written == 1
        assert read(other, "d").payload == {"n": 5, "word": "w5", "seen": True}
        assert np.array_equal(read(other, "d").vectors, rows(5))


class TestRaces:
    """Clients that know nothing of each other, at once."""

    @pytest.mark.parametrize(("clients", "rounds"), [(2, 25), (8, 6)])
    def test_updates(
        self, index: Index, connect: Callable[[], Index], control: Control, clients: int, rounds: int
    ) -> None:
        """Every change of every client is there, and none of many is left behind.

        Breaks when: a payload is set that somebody has changed since it was read.
        """
        control.fault("http", method="PUT", path="/document", delay_ms=2, times=-1)
        workers = [connect() for _ in range(clients)]

        def work(number: int) -> None:
            for each in range(rounds):
                report = workers[number].update_payload(NAMES, {f"{number}-{each}": each})
                assert (report.written, report.failed) == (len(NAMES), ())

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(work, range(clients)))
        changes = {f"{number}-{each}": each for number in range(clients) for each in range(rounds)}
        for name in NAMES:
            found = read(index, name)
            assert found.payload == {"n": 1, "word": "w1", **changes}
            assert np.array_equal(found.vectors, rows(1))

    def test_writes_and_updates(self, index: Index, other: Index, control: Control) -> None:
        """Once a write is acknowledged, no update brings a payload of before back."""
        control.fault("http", method="PUT", path="/document", delay_ms=2, times=-1)
        done = False

        def update() -> int:
            number = 0
            while not done:
                assert index.update_payload(NAMES, {"seen": number}).written == len(NAMES)
                number += 1
            return number

        with ThreadPoolExecutor(1) as pool:
            updates = pool.submit(update)
            try:
                for version in range(2, 40):
                    other.write([document(name, version) for name in NAMES])
                    for found in other.get(NAMES, with_vectors=True):
                        assert {**found.payload, "seen": 0} == document(found.id, version, seen=0).payload
                        assert np.array_equal(found.vectors, rows(version))
            finally:
                done = True
            assert updates.result() > 0
        assert filtered(other, field("n") == 39) == set(NAMES)


class TestOlderSchema:
    """An index of before digests were: said when it is opened, or when it is written to, and nothing is set."""

    SPEC = IndexSpec("older", DIM, fields={"n": "integer"}, normalize=False)

    def files(self, *, older: bool) -> dict[str, str]:
        text = package.schema_text(self.SPEC)
        if older:
            start = text.index("        field lateint_digest")
            text = text[:start] + text[text.index("        field ", start + 1) :]
        return package.files({SPEC.name: package.schema_text(SPEC), layout_of(self.SPEC).schema: text})

    @pytest.fixture
    def client(self, server: Server, control: Control) -> Iterator[Client]:
        with lateint.connect(server.url, retry=ONCE) as client:
            yield client
            client.drop_index(self.SPEC.name)

    def test_deployed_anew(self, server: Server, client: Client) -> None:
        """Documents and what they hold outlive both, and updates are safe for those that have no digest yet."""
        vespa = asking.Client(server.http_url, server.config_url)
        index = client.create_index(self.SPEC)
        index.write([document("a", 1)])
        vespa.deployed(self.files(older=True))
        with pytest.raises(errors.SchemaMismatch, match="'field lateint_digest' of schema 'older'"):
            client.open(self.SPEC.name)
        backend, info = client._backend, index.info
        (failure,) = backend.write(info, [document("a", 2)])
        assert "lateint_digest" in failure.reason
        with pytest.raises(errors.SchemaMismatch, match="lateint_digest"):
            backend.update_payload(info, ["a"], changes={"n": 3})
        assert [found.payload["n"] for found in index.get(["a"])] == [1]
        assert [found.payload["n"] for found in index.scan()] == [1]
        actions = vespa.deployed(self.files(older=False)).json["configChangeActions"]
        assert not any(actions.values())
        assert client.open(self.SPEC.name).update_payload(["a"], {"n": 3}).written == 1
        assert np.array_equal(read(index, "a").vectors, rows(1))
        assert filtered(index, field("n") == 3) == {"a"}
