"""Writing documents: last one wins, nothing is changed on the way, the report is true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from lateint import errors
from lateint.testing.data import DIM, adversarial, heavy, query, ragged, rows
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import Truth, check_contents
from lateint.types import Document


class TestWrite(Suite):
    """`write`: what is acknowledged is there, bit for bit, and found at once."""

    async def test_what_is_written_is_there(self, lab: Lab) -> None:
        """Rows come back bit for bit and payloads equal, in every shape of document.

        Breaks when: a batch is padded, its last document is cut off, or one-row matrices become plain vectors.
        """
        documents = adversarial()
        index = await lab.index()
        report = await index.write(documents)
        assert (report.written, report.failed) == (len(documents), ())
        await check_contents(index, documents)

    async def test_rows_that_are_not_normalised(self, lab: Lab) -> None:
        """With `normalize=False` the rows are the caller's business: they come back as they are.

        Breaks when: the engine's cosine distance rewrites what it stores.
        """
        documents = ragged(20)
        index = await lab.index(documents, normalize=False)
        await check_contents(index, documents)

    async def test_acknowledged_is_searchable(self, lab: Lab) -> None:
        """A write that has returned is seen by the very next call.

        Breaks when: the engine indexes in the background and the adapter does not wait.
        """
        index = await lab.index()
        for number, document in enumerate(ragged(10), 1):
            await index.write([document])
            assert await index.count() == number
            assert document.id in {hit.id for hit in await index.search(document.vectors, 20)}

    async def test_one_dimension_and_one_value(self, lab: Lab) -> None:
        """The smallest index, dimension 1, takes the smallest document, one value.

        Breaks when: a matrix of one value is flattened somewhere on the wire.
        """
        documents = [Document("plus", [[1.0]]), Document("minus", [[-1.0]]), Document("both", [[1.0], [-1.0]])]
        index = await lab.index(documents, dim=1)
        await check_contents(index, documents)

    async def test_fewer_rows_than_before(self, lab: Lab) -> None:
        """Rewriting an id replaces the whole document: rows and fields of the old one are gone.

        Breaks when: rows are stored one by one under the document, or payloads are merged.
        """
        old = Document("a", np.vstack([np.eye(DIM), -np.eye(DIM)]), {"old": 1, "both": "old"})
        new = Document("a", -np.eye(DIM, dtype=np.float32)[:1], {"both": "new"})
        index = await lab.index([old])
        await index.write([new])
        await check_contents(index, [new])
        result = await index.search(np.eye(DIM, dtype=np.float32), 5)
        Truth.of(np.eye(DIM, dtype=np.float32), [new], index).check_top(result, 5)

    async def test_writing_twice_changes_nothing(self, lab: Lab) -> None:
        """Writing the same documents again is a no-op: retries after a lost answer are safe.

        Breaks when: the engine appends versions, or ids are made on writing.
        """
        documents = ragged(15)
        index = await lab.index(documents)
        before = await index.search(query(), 15)
        await index.write(documents)
        await check_contents(index, documents)
        after = await index.search(query(), 15)
        assert [(hit.id, hit.score) for hit in after] == [(hit.id, hit.score) for hit in before]

    async def test_last_one_wins_in_one_batch(self, lab: Lab) -> None:
        """An id that comes twice in a write: the last document stands, and each input counts as written.

        Breaks when: the engine takes the first of two, or refuses a batch with duplicates.
        """
        random = np.random.default_rng(8)
        documents = [Document(f"id-{n % 4}", rows(random, 1 + n), {"version": n}) for n in range(12)]
        index = await lab.index()
        report = await index.write(documents)
        assert report.written == 12
        await check_contents(index, documents[-4:])

    async def test_last_one_wins_across_batches_in_flight(self, lab: Lab) -> None:
        """The same over several batches, which travel at the same time.

        Breaks when: two batches that hold one id are under way at once and the engine applies them in either order.
        """
        capabilities = lab.capabilities
        size = min(capabilities.max_batch_bytes // 3 + 1, 4 * (capabilities.max_values or 2**40))
        count = 5 * capabilities.max_batch_bytes // (2 * size)
        documents = [heavy("abac"[version % 4], size, version=version) for version in range(count)]
        index = await lab.index(dim=128)
        report = await index.write(documents)
        assert (report.written, report.failed) == (count, ())
        last = {document.id: document for document in documents}
        assert last.keys() == {"a", "b", "c"}
        await check_contents(index, list(last.values()))

    async def test_nothing_to_write(self, lab: Lab) -> None:
        """An empty iterable is fine and sends nothing.

        Breaks when: an empty batch goes out and the engine refuses it.
        """
        index = await lab.index()
        report = await index.write([])
        assert (report.written, report.failed, report.retries) == (0, (), 0)

    async def test_any_iterable(self, lab: Lab) -> None:
        """Generators are consumed once; asynchronous ones too, by the asynchronous client.

        Breaks when: documents are counted or listed before they are sent.
        """
        documents = ragged(6)
        index = await lab.index(document for document in documents[:3])

        async def later() -> AsyncIterator[Document]:
            for document in documents[3:]:
                yield document

        await index.write(later() if lab.colour.is_async else iter(documents[3:]))
        await check_contents(index, documents)

    async def test_progress_ends_with_everything(self, lab: Lab) -> None:
        """Progress only grows, and its last word is the number of documents.

        Breaks when: a callback is called from another thread with an older state.
        """
        seen: list[tuple[int, int | None]] = []
        index = await lab.index()
        await index.write(ragged(9), progress=lambda progress: seen.append((progress.done, progress.total)))
        assert seen == sorted(seen)
        assert seen[-1] == (9, 9)


class TestWriteReport(Suite):
    """`on_error`, and what the report says when something was wrong."""

    async def test_report_goes_on_without_the_bad_ones(self, lab: Lab) -> None:
        """With `on_error="report"` every good document is written and every bad one is named with its reason.

        Breaks when: one bad document takes its batch with it.
        """
        good = ragged(8)
        bad = [
            Document("wrong-dim", [[1.0, 2.0]]),
            Document("nan", np.full((1, DIM), np.nan)),
            Document("", [[1.0] * DIM]),
        ]
        mixed = [good[0], bad[0], *good[1:5], bad[1], bad[2], *good[5:]]
        index = await lab.index()
        report = await index.write(mixed, on_error="report")
        assert report.written == len(good)
        assert [failure.id for failure in report.failed] == ["wrong-dim", "nan", ""]
        assert str(DIM) in report.failed[0].reason
        assert not any(failure.retryable for failure in report.failed)
        await check_contents(index, good)
        with pytest.raises(errors.PartialWrite, match="wrong-dim") as caught:
            report.raise_for_failures()
        assert caught.value.failed == report.failed

    async def test_raise_stops_and_says_what_was_written(self, lab: Lab) -> None:
        """With `on_error="raise"` the error carries a report that agrees with the index.

        Breaks when: the bad document's own batch is sent, or batches on their way are forgotten.
        """
        size = lab.capabilities.max_batch_bytes // 2 + 1
        size = min(size, 4 * (lab.capabilities.max_values or 2**40))
        count = 3 * lab.capabilities.max_batch_bytes // size
        good = [heavy(f"good-{number}", size, version=number) for number in range(count)]
        index = await lab.index(dim=128)
        with pytest.raises(errors.DimensionMismatch, match="bad") as caught:
            await index.write([*good, Document("bad", [[1.0]]), heavy("after", 512, version=9)])
        report = caught.value.report
        assert report is not None
        failed = {failure.id for failure in report.failed}
        assert "bad" in failed
        assert "after" not in failed
        present = {document.id for document in await index.get([*(document.id for document in good), "bad", "after"])}
        assert present == {document.id for document in good} - failed
        assert report.written == len(present)
        assert report.written >= 1

    async def test_generator_that_raises(self, lab: Lab) -> None:
        """The caller's own exception comes out as it is, with a note of what had been written.

        Breaks when: it is wrapped, swallowed, or leaves a thread behind that still writes.
        """
        index = await lab.index()

        def failing() -> Iterator[Document]:
            yield from ragged(5)
            raise KeyError("the file ended")

        with pytest.raises(KeyError, match="the file ended") as caught:
            await index.write(failing())
        assert any("documents had been written" in note for note in caught.value.__notes__)
        assert await index.count() in {0, 5}
        documents = ragged(7)
        await index.write(documents)
        await check_contents(index, documents)
