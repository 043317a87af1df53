"""Reading and writing on where Vespa does a part: scans across buckets that are visited at once, nodes out of reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.client import Client, Index
from lateint_vespa import transport
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

DIM, COUNT = 8, 300
ONCE = RetryPolicy(attempts=1)


def documents(count: int, payload: dict[str, Any] | None = None) -> list[Document]:
    rng = np.random.default_rng(count)
    return [
        Document(f"d{n}", rng.standard_normal((2, DIM)).astype(np.float32), {"n": n} if payload is None else payload)
        for n in range(count)
    ]


NAMES = {f"d{n}": 1 for n in range(COUNT)}


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With an index of many documents, one of three, and an empty one."""
    with own_vespa(tmp_path_factory.mktemp("vespa")) as server, lateint.connect(server.url) as client:
        for name, count in (("many", COUNT), ("few", 3), ("none", 0)):
            client.create_index(IndexSpec(name, DIM, fields={"n": "integer"})).write(documents(count))
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Control]:
    server.control.clear()
    yield server.control
    server.control.clear()


@pytest.fixture
def client(server: Server, control: Control) -> Iterator[Client]:
    with lateint.connect(server.url, retry=ONCE) as client:
        yield client


class TestScan:
    @pytest.mark.parametrize("limit", [1, 7, 64])
    @pytest.mark.parametrize("with_vectors", [True, False])
    def test_every_document_once(self, client: Client, control: Control, limit: int, with_vectors: bool) -> None:
        """Vespa visits ever more buckets at once, documents mixed, unless told otherwise.

        Breaks when: a page ends among them, and the next one begins at the first that is not finished.
        """
        index = client.open("many")
        control.fault("visit", delay_ms=1, times=-1)  # as long as nodes take, so that documents travel meanwhile
        names: Counter[str] = Counter()
        cursor: str | None = None
        while True:
            page = index._client._backend.scan(
                index.info, cursor=cursor, limit=limit, condition=None, with_vectors=with_vectors
            )
            names.update(document.id for document in page.documents)
            if (cursor := page.cursor) is None:
                break
        assert names == NAMES

    @pytest.mark.parametrize("with_vectors", [True, False])
    def test_few_documents_among_many(
        self, server: Server, control: Control, monkeypatch: pytest.MonkeyPatch, with_vectors: bool
    ) -> None:
        """A stream says nothing before the first document, not even how far it has come, and its time does not end it.

        Breaks when: an index that is small beside those of others can never be scanned to its end.
        """
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        with lateint.connect(server.url, retry=ONCE, timeout_s=0.6) as hasty:
            index = hasty.open("few")
            control.fault("visit", delay_ms=20, times=-1)
            found = list(index.scan(with_vectors=with_vectors))
        assert sorted(document.id for document in found) == ["d0", "d1", "d2"]
        assert all((document.vectors is not None) is with_vectors for document in found)
        assert control.calls()["GET /document/v1"] > 4

    @pytest.mark.parametrize("with_vectors", [True, False])
    def test_time_that_is_over(
        self, server: Server, control: Control, monkeypatch: pytest.MonkeyPatch, with_vectors: bool
    ) -> None:
        """What has come by then is kept, and the scan goes on from there."""
        monkeypatch.setattr(transport, "_GRACE_S", 0.1)
        with lateint.connect(server.url, retry=ONCE, timeout_s=0.6) as hasty:
            index = hasty.open("many")
            control.fault("visit", delay_ms=10, times=-1)
            names = Counter(document.id for document in index.scan(with_vectors=with_vectors))
        assert names == NAMES
        assert control.calls()["GET /document/v1"] > 2


class TestOutOfReach:
    """Nodes that are gone: Vespa then says of each of their documents that there is none, and visits pass them by."""

    @pytest.mark.parametrize(
        "read",
        [
            lambda index: index.get(["d1", "nobody"]),
            lambda index: index.get(["nobody"]),
            lambda index: index.update_payload(["d1", "nobody"], {"n": 1}),
            lambda index: list(index.scan()),
            lambda index: list(index.scan(with_vectors=True)),
            lambda index: list(index.scan(filter=field("n") == 1)),
        ],
        ids=["get", "get-none", "update", "scan", "scan-vectors", "scan-filter"],
    )
    def test_no_short_list(self, client: Client, control: Control, read: Callable[[Index], Any]) -> None:
        """Breaks when: what cannot be read is said not to be there."""
        index = client.open("many")
        read(index)
        control.fault("search", share=0.5, times=-1)
        with pytest.raises(errors.PartialResult):
            read(index)

    def test_what_is_there(self, client: Client, control: Control) -> None:
        """Documents that came are whole, whatever else is out of reach."""
        index = client.open("many")
        control.fault("search", share=0.5, times=-1)
        assert [document.id for document in index.get(["d1", "d2"])] == ["d1", "d2"]


class TestBackPressure:
    @pytest.mark.parametrize("share", [2, 5])
    def test_only_what_was_refused_is_sent_again(self, server: Server, control: Control, share: int) -> None:
        """Breaks when: one refusal in a batch makes all of it travel again, into a server that has too much to do."""
        given = documents(60, {})
        with lateint.connect(server.url, retry=RetryPolicy(attempts=9, base_s=0.001)) as client:
            index = client.open("none")
            control.clear()
            for at in range(0, 60, share):
                control.fault("document", outcome="OVERLOAD", skip=at)
            report = index.write(given)
            posts = control.calls()["POST /document/v1"]
            assert (report.written, report.failed) == (60, ())
            assert posts == 60 + 60 // share
            index.delete([document.id for document in given])

    def test_what_was_acknowledged_counts(self, client: Client, control: Control) -> None:
        """A write that fails says which documents are there, for whoever writes the rest again."""
        index = client.open("none")
        control.fault("document", outcome="OVERLOAD", skip=3, times=2)
        with pytest.raises(errors.RateLimited) as caught:
            index.write(documents(40))
        report = caught.value.report
        assert report is not None
        assert (report.written, len(report.failed)) == (38, 2)
        assert all(failure.retryable for failure in report.failed)
        there = {document.id for document in index.scan()}
        assert there == {f"d{n}" for n in range(40)} - {failure.id for failure in report.failed}
        index.delete(list(there))
