"""Whatever goes wrong at a Vespa server, an answer is whole or an error, and what is acknowledged is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lateint
from lateint import Document, IndexSpec, RetryPolicy, errors, field
from lateint.client import Index
from lateint.testing.data import same_bits
from tests.servers.vespa.control import Control

if TYPE_CHECKING:
    from tests.servers.vespa.server import Server

COUNT = 40
RANDOM = np.random.default_rng(3)
DOCUMENTS = [
    Document(f"d{n:02d}", RANDOM.standard_normal((1 + n % 5, 16)).astype(np.float32), {"n": n}) for n in range(COUNT)
]
QUERY = RANDOM.standard_normal((3, 16)).astype(np.float32)
ONCE = RetryPolicy(attempts=1)
SOON = RetryPolicy(attempts=4, base_s=0.001)

Read = Callable[[Index], Any]


def bits(rows: NDArray[np.float32] | None) -> bytes:
    assert rows is not None
    return rows.tobytes()


READS: dict[str, Read] = {
    "search": lambda index: [(hit.id, hit.score, hit.payload) for hit in index.search(QUERY, 30)],
    "search_many": lambda index: [[hit.id for hit in found] for found in index.search_many([QUERY] * 5, 7)],
    "search_with_vectors": lambda index: [
        (hit.id, bits(hit.vectors)) for hit in index.search(QUERY, 5, with_vectors=True)
    ],
    "count": lambda index: (index.count(), index.count(field("n") < 7)),
    "get": lambda index: [
        (found.id, found.payload, bits(found.vectors))
        for found in index.get([document.id for document in DOCUMENTS[:9]] + ["nobody"], with_vectors=True)
    ],
    "scan": lambda index: sorted((found.id, bits(found.vectors)) for found in index.scan(with_vectors=True)),
    "scan_filter": lambda index: sorted(found.id for found in index.scan(filter=field("n") >= 30, with_vectors=True)),
}

SEARCHES: dict[str, dict[str, Any]] = {
    "half": {"share": 0.5},
    "nearly-all": {"share": 0.98},
    "ann": {"degraded": ["ann"]},
    "soft-timeout": {"degraded": ["timeout"]},
    "match-phase": {"degraded": ["match-phase"]},
    "non-ideal": {"degraded": ["non-ideal-state"]},
    "node-error": {"error": "out of memory"},
}
HTTP: dict[str, dict[str, Any]] = {
    **{f"status-{status}": {"status": status} for status in (400, 404, 408, 429, 500, 502, 503, 504)},
    "login-page": {"status": 200, "body": "<html>who are you?</html>"},
    "empty-object": {"status": 200, "body": "{}"},
    "nothing": {"status": 200, "body": ""},
    "cut-before": {"cut": "before"},
    "cut-after": {"cut": "after"},
    **{f"cut-inside-{bytes_}": {"cut": "inside", "bytes": bytes_} for bytes_ in (0, 1, 60, 400)},
    **{f"cut-short-{bytes_}": {"cut": "short", "bytes": bytes_} for bytes_ in (0, 1, 60, 400)},
}
DOCUMENT_OUTCOMES = ("OVERLOAD", "INSUFFICIENT_STORAGE", "TIMEOUT", "ERROR", "REJECTED")
FAULTS: dict[str, dict[str, Any]] = {
    **{f"search-{name}": {"at": "search", **details} for name, details in SEARCHES.items()},
    "fill-missing": {"at": "fill", "missing": 1},
    "fill-error": {"at": "fill", "error": "the disk is gone"},
    **{f"http-{name}": {"at": "http", **details} for name, details in HTTP.items()},
    **{f"document-{outcome}": {"at": "document", "outcome": outcome} for outcome in DOCUMENT_OUTCOMES},
    **{
        f"visit-{outcome}-{after}": {"at": "visit", "outcome": outcome, "documents": after}
        for outcome in ("OVERLOAD", "TIMEOUT", "ERROR")
        for after in (0, 1, 13)
    },
}


@pytest.fixture(scope="module")
def server(own_vespa: type[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with own_vespa(tmp_path_factory.mktemp("faults")) as server, lateint.connect(server.url) as client:
        for name in ("kept", "written"):
            client.create_index(IndexSpec(name, 16, fields={"n": "integer"}, normalize=False))
        client.open("kept").write(DOCUMENTS)
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Control]:
    yield server.control
    server.control.clear()


def opened(server: Server, name: str = "kept", **options: Any) -> Iterator[Index]:
    with lateint.connect(server.url, **{"retry": ONCE, **options}) as client:
        yield client.open(name)


@pytest.fixture
def index(server: Server, control: Control) -> Iterator[Index]:
    """One try for each call."""
    yield from opened(server)


@pytest.fixture
def patient(server: Server, control: Control) -> Iterator[Index]:
    yield from opened(server, retry=SOON)


@pytest.fixture
def target(server: Server, control: Control) -> Iterator[Index]:
    """Empty, for writing; one try for each call."""
    for found in opened(server, "written"):
        yield found
        control.clear()
        found.delete([document.id for document in DOCUMENTS])


@pytest.fixture(scope="module")
def truth(server: Server) -> dict[str, Any]:
    found = {name: read(index) for index in opened(server) for name, read in READS.items()}
    assert len(found["search"]) == 30
    assert len(found["scan"]) == COUNT
    return found


def check(error: errors.BackendError) -> None:
    """It can be read, and says where it comes from."""
    assert len(str(error)) < 700
    assert (error.backend, error.index) == ("vespa", "kept")


class TestReading:
    """An answer is whole, or an error that can be read."""

    @pytest.mark.parametrize("fault", FAULTS)
    def test_once(self, index: Index, control: Control, truth: dict[str, Any], fault: str) -> None:
        """Each verb beside each fault; one that does not concern it leaves its answer as it is.

        Breaks when: any of them is a shorter list, a lower count or a document less.
        """
        for name, read in READS.items():
            for skip in (0, 1, 3):
                control.fault(**FAULTS[fault], skip=skip)
                try:
                    found = read(index)
                except errors.BackendError as error:
                    check(error)
                else:
                    assert found == truth[name], (name, skip)
                control.clear()
                if skip == 0:
                    assert read(index) == truth[name]

    @pytest.mark.parametrize(
        "fault",
        [
            name
            for name in FAULTS
            if name.startswith(
                ("http-cut-before", "http-cut-after", "http-cut-inside", "http-status-5", "http-status-4")
            )
            and name not in {"http-status-400", "http-status-404"}
        ],
    )
    def test_again(self, patient: Index, control: Control, truth: dict[str, Any], fault: str) -> None:
        """What may go better the next time is tried again, and does."""
        for name, read in READS.items():
            control.fault(**FAULTS[fault], times=2)
            assert read(patient) == truth[name], name
            control.clear()


class TestWriting:
    """What a report says was written is there, and what was refused is not called written."""

    @pytest.mark.parametrize("skip", [0, 7, COUNT - 1])
    @pytest.mark.parametrize(
        ("outcome", "kind", "retryable"),
        [
            ("OVERLOAD", errors.RateLimited, True),
            ("INSUFFICIENT_STORAGE", errors.StorageFull, False),
            ("TIMEOUT", errors.Timeout, True),
            ("ERROR", errors.UnexpectedResponse, True),
            ("IGNORED", errors.UnexpectedResponse, False),
        ],
    )
    def test_one_of_many_is_refused(
        self, target: Index, control: Control, outcome: str, kind: type[errors.BackendError], retryable: bool, skip: int
    ) -> None:
        """Breaks when: one refusal among many is lost, or the rest is called refused for good."""
        control.fault("document", outcome=outcome, skip=skip)
        with pytest.raises(kind) as caught:
            target.write(DOCUMENTS)
        assert caught.value.retryable is retryable
        report = caught.value.report
        assert report is not None
        (failure,) = report.failed
        assert (report.written, failure.retryable) == (COUNT - 1, retryable)
        assert {document.id for document in DOCUMENTS} - {failure.id} <= {found.id for found in target.scan()}

    @pytest.mark.parametrize("fault", [{"outcome": "OVERLOAD"}, {"outcome": "TIMEOUT"}, {"outcome": "ERROR"}])
    @pytest.mark.parametrize("times", [1, 5])
    def test_tried_again(
        self, server: Server, target: Index, control: Control, fault: dict[str, str], times: int
    ) -> None:
        for patient in opened(server, "written", retry=SOON):
            control.fault("document", **fault, skip=3, times=times)
            report = patient.write(DOCUMENTS)
        assert (report.written, report.failed) == (COUNT, ())
        assert report.retries > 0
        read = {found.id: found.vectors for found in target.scan(with_vectors=True)}
        assert all(same_bits(read[document.id], document.vectors) for document in DOCUMENTS)

    def test_a_bad_document_is_one_document(self, target: Index, control: Control) -> None:
        """What Vespa says of one document is said of that one; the others are there."""
        control.fault("document", outcome="REJECTED", skip=5)
        report = target.write(DOCUMENTS)
        assert (report.written, len(report.failed)) == (COUNT - 1, 1)
        assert not report.failed[0].retryable
        there = {found.id for found in target.scan()}
        assert there == {document.id for document in DOCUMENTS} - {report.failed[0].id}

    def test_a_full_disk_is_told_at_once(self, server: Server, target: Index, control: Control) -> None:
        """Breaks when: a client goes on feeding nodes that have no room left."""
        for patient in opened(server, "written", retry=SOON):
            control.clear()
            control.fault("document", outcome="INSUFFICIENT_STORAGE", times=-1)
            with pytest.raises(errors.StorageFull):
                patient.write(DOCUMENTS)
            posts = sum(number for call, number in control.calls().items() if call.startswith("POST /document"))
            assert posts == COUNT

    @pytest.mark.parametrize("name", [name for name in HTTP if not name.endswith("400") or "status" in name])
    def test_a_lost_answer_is_no_acknowledgement(self, target: Index, control: Control, name: str) -> None:
        control.fault("http", method="POST", path="/document", skip=4, **HTTP[name])
        report: lateint.WriteReport | None
        try:
            report = target.write(DOCUMENTS)
        except errors.BackendError as error:
            report = error.report
        assert report is not None
        failed = {failure.id for failure in report.failed}
        assert failed
        assert report.written == COUNT - len(failed)
        assert {document.id for document in DOCUMENTS} - failed <= {found.id for found in target.scan()}

    def test_removals_that_were_not(self, target: Index, control: Control) -> None:
        """By ids and by filter: an error, never a document that is quietly still there."""
        ways = (lambda: target.delete(["d00", "d01"]), lambda: target.delete(filter=field("n") < 2))
        for outcome in ("OVERLOAD", "TIMEOUT", "ERROR", "IGNORED"):
            for delete in ways:
                target.write(DOCUMENTS)
                control.fault("document", outcome=outcome, skip=1)
                with pytest.raises(errors.BackendError):
                    delete()
                control.clear()
        target.delete(filter=field("n") < 2)
        assert target.count() == COUNT - 2

    @pytest.mark.parametrize("details", [{"share": 0.5}, {"degraded": ["timeout"]}, {"error": "out of memory"}])
    def test_removals_by_a_part_of_the_answer(self, target: Index, control: Control, details: dict[str, Any]) -> None:
        """Breaks when: a filter that was matched against half of the documents deletes half, and says nothing."""
        target.write(DOCUMENTS)
        control.fault("search", **details)
        with pytest.raises(errors.BackendError):
            target.delete(filter=field("n") >= 0)
        target.delete(filter=field("n") >= 0)
        assert target.count() == 0

    def test_updates_that_were_not(self, target: Index, control: Control) -> None:
        target.write(DOCUMENTS)
        for outcome in ("OVERLOAD", "INSUFFICIENT_STORAGE", "TIMEOUT", "ERROR", "IGNORED"):
            control.fault("document", outcome=outcome, skip=3)
            with pytest.raises(errors.BackendError):
                target.update_payload(["d00", "d01", "d02"], {"n": 99})
            control.clear()
        target.update_payload(["d00", "d01"], {"n": 100})
        assert target.count(field("n") == 100) == 2


def test_a_restart_in_between(server: Server, control: Control, truth: dict[str, Any]) -> None:
    """Connections that were kept are dead then: found out, not sent into."""
    for index in opened(server, retry=SOON):
        assert READS["search"](index) == truth["search"]
        server.restart()
        for name, read in READS.items():
            assert read(index) == truth[name]
