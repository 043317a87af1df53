"""The write, retry and read pipelines, driven by hand: what they decide, without an engine or a clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.engine import drive, pipelines
from lateint.engine.backend import Failures, IndexInfo
from lateint.engine.drive import Call, Now, Sleep
from lateint.engine.memory import MemoryBackend
from lateint.types import Document, WriteFailure, WriteReport


def document(name: str, *, rows: int = 2, dim: int = 4, value: float = 1.0) -> Document:
    return Document(name, np.full((rows, dim), value, np.float32))


def big(name: str, value: float = 1.0) -> Document:
    """3 MB of rows: two of them fill a batch of 8 MB."""
    return document(name, rows=196_608, value=value)


class Recorder(MemoryBackend):
    """Counts what reaches the backend, can hold writes back and can fail them."""

    def __init__(self, failures: Sequence[BaseException | None] = ()) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.failures = list(failures)
        self.running: set[str] = set()
        self.overlapped = False
        self.most = 0
        self.guard = threading.Lock()

    def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
        names = [item.id for item in documents]
        with self.guard:
            self.overlapped |= bool(self.running & set(names))
            self.running.update(names)
            self.batches.append(names)
            self.most = max(self.most, len(self.running))
            failure = self.failures.pop(0) if self.failures else None
        try:
            if failure is not None:
                raise failure
            return super().write(index, documents)
        finally:
            with self.guard:
                self.running.difference_update(names)


def opened(backend: MemoryBackend, **options: object) -> lateint.Index:
    client = lateint.Client(backend, **options)  # type: ignore[arg-type]
    return client.create_index(lateint.IndexSpec("pages", 4, fields={"year": "integer"}))


class TestWrite:
    """What is sent, what is not, and what the report says."""

    def test_cuts_batches_by_bytes(self) -> None:
        """Batches by count blow an engine's request limit as soon as documents are pages."""
        backend = Recorder()
        report = opened(backend).write(big(f"d{number}") for number in range(5))
        assert sorted(map(len, backend.batches)) == [1, 2, 2]
        assert report.written == 5

    def test_consumes_the_source_in_bounded_memory(self) -> None:
        """A generator over a corpus must not be read ahead of what is sent: that is how memory runs out."""
        backend = Recorder()
        alive = 0

        def source() -> Iterator[Document]:
            nonlocal alive
            for number in range(12):
                in_backend = sum(map(len, backend.batches))
                alive = max(alive, number - in_backend)
                yield big(f"d{number}")

        opened(backend).write(source())
        limit = 4 * 2 + 2 + 1  # batches in flight, the pending one, the one in hand
        assert alive <= limit

    def test_never_has_an_id_in_two_batches_at_once(self) -> None:
        """Two writes of one id in flight can land in either order, and the older one may win."""
        backend = Recorder()
        index = opened(backend)
        report = index.write(big("same" if number % 2 else f"d{number}", value=1.0 + number) for number in range(8))
        assert not backend.overlapped
        assert report.written == 8
        assert index.count() == 5

    def test_last_one_wins_within_a_batch(self) -> None:
        """The user's order decides, and both count as written: the report is about what was passed in."""
        index = opened(MemoryBackend())
        first, second = np.eye(4, dtype=np.float32)[:2], np.eye(4, dtype=np.float32)[2:]
        report = index.write([Document("a", first), Document("a", second)])
        assert report.written == 2
        assert np.array_equal(index.get(["a"], with_vectors=True)[0].vectors, second)

    def test_bad_document_stops_before_its_batch(self) -> None:
        """A bad document must not drag its batch half into the index; the report names everything that was not sent."""
        backend = Recorder()
        index = opened(backend)
        with pytest.raises(errors.DimensionMismatch) as raised:
            index.write([big("a"), big("b"), document("c"), document("bad", dim=3), document("never")])
        report = raised.value.report
        assert report is not None
        assert report.written == index.count()
        assert {failure.id for failure in report.failed} == {"bad", "c"} | (
            {"a", "b"} - {n for b in backend.batches for n in b}
        )
        assert [failure.retryable for failure in report.failed if failure.id == "bad"] == [False]
        assert any("had been written" in note for note in raised.value.__notes__)

    def test_reports_and_goes_on(self) -> None:
        """With on_error="report" one bad page out of a million does not end the night's work."""
        index = opened(MemoryBackend())
        report = index.write([document("a"), document("bad", dim=3), document("b")], on_error="report")
        assert (report.written, [failure.id for failure in report.failed], index.count()) == (2, ["bad"], 2)
        with pytest.raises(errors.PartialWrite) as raised:
            report.raise_for_failures()
        assert raised.value.failed == report.failed

    def test_engine_failure_carries_the_report(self) -> None:
        """After a failure for good the user must know what is there: acknowledged batches count, the rest is named."""
        backend = Recorder([None, errors.StorageFull("full")])
        index = opened(backend)
        with pytest.raises(errors.StorageFull) as raised:
            index.write(big(f"d{number}") for number in range(8))
        report = raised.value.report
        assert report is not None
        assert report.written == index.count()
        assert {failure.id for failure in report.failed}.isdisjoint(found.id for found in index.scan())

    def test_engine_failure_names_every_document_that_was_drawn(self) -> None:
        """A generator gives each document once: one that the report does not name is lost.

        Breaks when: the document that was in hand while the batch before it failed is forgotten.
        """
        drawn: list[str] = []

        def source() -> Iterator[Document]:
            for number in range(40):
                drawn.append(f"d{number}")
                yield big(drawn[-1])

        backend = Recorder([None, *[errors.StorageFull("full")] * 20])
        with pytest.raises(errors.StorageFull) as raised:
            opened(backend).write(source())
        report = raised.value.report
        assert report is not None
        assert report.written + len(report.failed) == len(drawn)
        assert {failure.id for failure in report.failed} < set(drawn)

    def test_failing_source_keeps_what_was_sent(self) -> None:
        """An iterable that breaks is the user's error and passes through, with a note on how far the write came."""
        index = opened(MemoryBackend())

        def source() -> Iterator[Document]:
            yield from (big("a"), big("b"), big("c"))
            message = "disk gone"
            raise OSError(message)

        with pytest.raises(OSError, match="disk gone") as raised:
            index.write(source())
        assert raised.value.__notes__ == [f"lateint: {index.count()} documents had been written."]

    def test_interrupt_waits_for_what_is_in_flight(self) -> None:
        """Ctrl-C must not leave threads writing behind the user's back."""
        backend = Recorder()
        index = opened(backend)

        def source() -> Iterator[Document]:
            yield from (big("a"), big("b"), big("c"))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            index.write(source())
        assert not backend.running
        assert index.count() == sum(map(len, backend.batches))

    def test_refused_documents_are_data(self) -> None:
        """An engine that refuses some of a batch is neither a success nor an exception that hides the rest."""

        class Picky(MemoryBackend):
            def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
                super().write(index, [item for item in documents if item.id != "b"])
                return (WriteFailure("b", "no"),)

        report = opened(Picky()).write([document("a"), document("b")])
        assert (report.written, report.failed) == (1, (WriteFailure("b", "no"),))

    def test_what_an_attempt_has_written_is_not_sent_again(self) -> None:
        """Where an engine takes most of a batch, all of it again is load that it asked to be spared."""
        sent: list[list[str]] = []

        class Busy(MemoryBackend):
            def write(self, index: IndexInfo, documents: Sequence[Document]) -> Failures:
                sent.append([each.id for each in documents])
                if len(sent) < 3:
                    (first, *rest) = documents
                    super().write(index, [first])
                    error = errors.RateLimited("later", retryable=True)
                    failed = tuple(WriteFailure(each.id, "later", retryable=True) for each in rest)
                    error.report = WriteReport(written=1, failed=failed)
                    raise error
                return super().write(index, documents)

        names = ["a", "b", "c", "d"]
        report = opened(Busy(), retry=lateint.RetryPolicy(base_s=0)).write([document(name) for name in names])
        assert sent == [names, names[1:], names[2:]]
        assert (report.written, report.failed, report.retries) == (4, (), 2)
        sent.clear()
        with pytest.raises(errors.RateLimited) as caught:
            opened(Busy(), retry=lateint.RetryPolicy(attempts=2, base_s=0)).write([document(name) for name in names])
        left = caught.value.report
        assert left is not None
        assert (left.written, [failure.id for failure in left.failed]) == (2, ["c", "d"])

    def test_asynchronous_source(self) -> None:
        """An async application streams from an async encoder."""

        async def main() -> int:
            async def source():
                for number in range(5):
                    await asyncio.sleep(0)
                    yield big(f"d{number}")

            async with await lateint.aconnect("memory://") as client:
                index = await client.create_index(lateint.IndexSpec("pages", 4))
                return (await index.write(source())).written

        assert asyncio.run(main()) == 5


class TestRetry:
    """Only what can help is tried again, for a bounded time."""

    @staticmethod
    def driven(outcomes: list[BaseException | str], policy: lateint.RetryPolicy) -> tuple[object, list[float]]:
        steps = pipelines.retried(Call("count"), policy)
        clock, waits, effect = 0.0, [], next(steps)
        try:
            while True:
                match effect:
                    case Now():
                        effect = steps.send(clock)
                    case Sleep(seconds):
                        clock += seconds
                        waits.append(seconds)
                        effect = steps.send(None)
                    case _:
                        clock += 1
                        outcome = outcomes.pop(0)
                        effect = steps.throw(outcome) if isinstance(outcome, BaseException) else steps.send(outcome)
        except StopIteration as stop:
            return stop.value, waits
        except errors.BackendError as error:
            return error, waits

    def test_tries_again_and_counts(self) -> None:
        """A dropped connection in a night's ingest is no reason to stop; the report says that it happened."""
        value, waits = self.driven([errors.ConnectionFailed("x"), errors.Timeout("x"), "ok"], lateint.RetryPolicy())
        assert value == ("ok", 2)
        assert len(waits) == 2

    def test_gives_up_on_what_cannot_change(self) -> None:
        """Retrying a wrong key only locks the account."""
        value, waits = self.driven([errors.AuthenticationFailed("x")], lateint.RetryPolicy())
        assert isinstance(value, errors.AuthenticationFailed)
        assert waits == []

    def test_honours_retry_after(self) -> None:
        """A server that says when to come back is not asked earlier."""
        limited = errors.RateLimited("x")
        limited.retry_after = 7.5
        value, waits = self.driven([limited, "ok"], lateint.RetryPolicy())
        assert value == ("ok", 1)
        assert waits[0] >= 7.5

    def test_ends_in_bounded_time(self) -> None:
        """A server that is rate-limiting for ever must not hold the caller for ever."""
        limited = errors.RateLimited("x")
        limited.retry_after = 50.0
        value, waits = self.driven([limited] * 99, lateint.RetryPolicy(attempts=99, total_s=120))
        assert isinstance(value, errors.RateLimited)
        assert sum(waits) <= 120

    def test_attempts_are_capped(self) -> None:
        """The last error keeps the count, so that a log says how hard it was tried."""
        value, _ = self.driven([errors.ConnectionFailed("x") for _ in range(3)], lateint.RetryPolicy(attempts=3))
        assert isinstance(value, errors.ConnectionFailed)
        assert "3 times" in value.__notes__[0]


class TestReads:
    """Scans and searches around the backend."""

    def test_scan_pages_are_cut_by_bytes(self) -> None:
        """A page of a thousand visual documents would be half a gigabyte."""
        limits: list[int] = []

        class Watched(MemoryBackend):
            def scan(self, index: IndexInfo, **options):
                limits.append(options["limit"])
                return super().scan(index, **options)

        index = opened(Watched())
        index.write(big(f"d{number:02}") for number in range(20))
        assert len({found.id for found in index.scan(with_vectors=True)}) == 20
        assert set(limits[1:]) == {2}

    def test_closed_client_says_so(self) -> None:
        """Use after close must not look like an empty index."""
        client = lateint.connect("memory://")
        index = client.create_index(lateint.IndexSpec("pages", 4))
        client.close()
        with pytest.raises(errors.ConfigurationError, match="closed"):
            index.count()

    def test_driver_survives_a_cancelled_write(self) -> None:
        """A cancelled task waits for its batches instead of leaving them to run on."""

        async def main() -> bool:
            client = await lateint.aconnect("memory://")
            index = await client.create_index(lateint.IndexSpec("pages", 4))
            started = asyncio.Event()

            async def source():
                yield big("a")
                yield big("b")
                yield big("c")
                started.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(index.write(source()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await index.count() == 2

        assert asyncio.run(main())

    def test_steps_need_no_backend(self) -> None:
        """The drivers run any pipeline, so that a job is written once for both worlds."""

        def steps() -> drive.Steps[int]:
            names = yield Call("list_indexes")
            return len(names)

        assert drive.run(steps(), MemoryBackend()) == 0
