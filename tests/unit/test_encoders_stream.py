"""Encoding while writing: in order, one chunk ahead, in bounded memory, and without losing anybody to a neighbour."""

from __future__ import annotations

import signal
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.encoders import HashingEncoder, stream
from lateint.encoders.base import DocumentKind, Rows, Score
from lateint.encoders.stream import encoded

DEADLINE_S = 60.0
WORDS = stream.BATCHES * stream.TOKENS // stream.SHORTEST
"""As many texts of a word are in one chunk."""


class Counting(HashingEncoder):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__(dim=8)
        self.calls: list[int] = []
        self.threads: set[str] = set()

    def encode_documents(self, items: Sequence[str]) -> list[Any]:
        self.calls.append(len(items))
        self.threads.add(threading.current_thread().name)
        return super().encode_documents(items)


def test_keys_come_back_in_order_with_their_own_rows() -> None:
    """A row under the wrong id is the worst that could happen here."""
    encoder = Counting()
    texts = [f"word{at} " * (1 + at % 5) for at in range(2500)]
    results = list(encoded(encoder, enumerate(texts)))
    assert [key for key, _ in results] == list(range(2500))
    assert all(
        np.array_equal(np.asarray(rows), HashingEncoder(8).encode_documents([texts[key]])[0])
        for key, rows in results[::97]
    )
    assert len(encoder.calls) > 1


def test_memory_is_bounded() -> None:
    """A corpus is larger than memory: what is pulled and not yet taken never exceeds two chunks and the one in use."""
    pulled = 0

    def source() -> Iterator[tuple[int, str]]:
        nonlocal pulled
        for at in range(20 * WORDS):
            pulled += 1
            yield at, "word"

    most = max(pulled - taken for taken, _ in enumerate(encoded(Counting(), source())))
    assert most <= 3 * WORDS


class Page:
    """Stands for an image of 25 MB."""


class OfPages(HashingEncoder):
    """Ten rows for whatever it is given, in batches of two."""

    document_kind: DocumentKind = "image"
    batch_size, workers = 2, 2

    def __init__(self) -> None:
        super().__init__(dim=4)
        self.given: list[int] = []

    def prepare(self, item: Any) -> Any:
        if isinstance(item, str):
            raise errors.InvalidInput(f"{item!r} is torn")
        return item

    def encode_documents(self, items: Sequence[Any]) -> list[Any]:
        self.given.append(len(items))
        return [np.eye(10, 4, dtype=np.float32) + 1 for _ in items]


class TestPages:
    def test_go_when_they_are_encoded(self) -> None:
        """Kept until their rows are written, those of a few chunks are gigabytes."""
        alive: weakref.WeakSet[Page] = weakref.WeakSet()
        most = 0

        def pages() -> Iterator[tuple[str, Page]]:
            nonlocal most
            for at in range(200):
                page = Page()
                alive.add(page)
                most = max(most, len(alive))
                yield f"p{at}", page
                del page

        encoder = OfPages()
        with lateint.connect("memory://") as client:
            index = client.create_index(lateint.IndexSpec("a", 4))
            with pytest.warns(UserWarning, match="does not say which encoder"):
                retriever = lateint.Retriever(index, encoder)
            assert retriever.add(pages()).written == 200
        chunk = stream.BATCHES * encoder.batch_size
        # Two chunks wait, another is gathered, and those that are being prepared; nothing that is written.
        assert most <= 3 * chunk + encoder.workers + encoder.batch_size + 1

    def test_chunks_are_a_few_batches(self) -> None:
        """A model that takes many at once gets them, and one that takes few does not hold up whoever stops."""
        encoder = OfPages()
        list(encoded(encoder, ((at, Page()) for at in range(40))))
        assert encoder.given == [8] * 5

    def test_a_bad_one_is_not_paid_twice(self) -> None:
        """It is known when it is read. Found by the model's refusal, a chunk of good pages would be encoded again."""
        encoder = OfPages()
        pages: list[Any] = [Page() for _ in range(8)]
        results = dict(encoded(encoder, enumerate([*pages[:5], "p.png", *pages[5:]])))
        assert str(results.pop(5)) == "'p.png' is torn"
        assert all(isinstance(rows, np.ndarray) for rows in results.values())
        assert sum(encoder.given) == 8


class TestStopping:
    def test_starts_no_further_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C would else wait for the model to finish what nobody takes."""
        queued, stopped = threading.Event(), threading.Event()

        class Pool(ThreadPoolExecutor):
            """Tells when it has been told to stop, before it waits."""

            def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
                super().shutdown(wait=False, cancel_futures=cancel_futures)
                stopped.set()
                super().shutdown(wait=wait)

        class Interrupted(Counting):
            def encode_documents(self, items: Sequence[str]) -> list[Any]:
                rows = super().encode_documents(items)
                if len(self.calls) == 2:
                    assert queued.wait(DEADLINE_S)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    assert stopped.wait(DEADLINE_S)
                return rows

        def source() -> Iterator[tuple[int, str]]:
            for at in range(9 * WORDS):
                if at == 3 * WORDS - 1:
                    queued.set()
                yield at, "word"

        monkeypatch.setattr(stream, "ThreadPoolExecutor", Pool)
        encoder = Interrupted()
        results = encoded(encoder, source())
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs in the background
        try:
            with pytest.raises(KeyboardInterrupt):
                deque(results, maxlen=0)
        finally:
            signal.signal(signal.SIGINT, before)
        results.close()  # type: ignore[attr-defined]
        assert len(encoder.calls) == 2

    def test_leaves_the_items_to_whoever_made_them(self) -> None:
        """A reader that goes on after an error reads on where it was."""
        items = ((at, "word") for at in range(9 * WORDS))
        results = encoded(Counting(), items)
        next(results)
        results.close()  # type: ignore[attr-defined]
        assert next(items)[0] > 0


def test_long_texts_make_small_chunks() -> None:
    """A thousand books at once would not fit."""
    encoder = Counting()
    list(
        encoded(encoder, ((at, "word " * (stream.BATCHES * stream.TOKENS * stream.CHARACTERS // 9)) for at in range(6)))
    )
    assert encoder.calls == [2, 2, 2]


def test_chunks_are_a_few_batches_of_the_encoder() -> None:
    """On an accelerator a chunk for a CPU would be half a batch, and the other way round minutes of work."""

    class Large(Counting):
        tokens_per_batch = 10 * stream.TOKENS

    encoder = Large()
    list(encoded(encoder, ((at, "word") for at in range(10 * WORDS))))
    assert encoder.calls == [10 * WORDS]


def test_the_next_chunk_is_encoded_while_one_is_used() -> None:
    """Or the device idles while the engine writes."""
    began = threading.Event()

    class Told(HashingEncoder):
        calls = 0

        def encode_documents(self, items: Sequence[str]) -> list[Any]:
            self.calls += 1
            if self.calls == 2:
                began.set()
            return super().encode_documents(items)

    results = encoded(Told(), ((at, "word") for at in range(2 * WORDS)))
    next(results)
    assert began.wait(DEADLINE_S)  # of the second chunk, with all but one of the first still to be taken


def test_one_bad_item_costs_its_neighbours_nothing() -> None:
    """It is found by halves, not by encoding everybody else alone."""
    encoder = Counting()
    texts = ["word"] * 1000
    texts[700] = "?!"
    results = dict(encoded(encoder, enumerate(texts)))
    assert isinstance(results.pop(700), errors.InvalidInput)
    assert all(isinstance(rows, np.ndarray) for rows in results.values())
    assert len(encoder.calls) <= 2 * 10 + 1  # log2(1000) = 10 halvings


def test_what_is_wrong_already_is_passed_on() -> None:
    """A broken line of a file keeps its place."""
    wrong = errors.InvalidInput("line 2 is broken")
    results = list(encoded(Counting(), [("a", "word"), ("b", wrong), ("c", "another")]))
    assert [key for key, _ in results] == ["a", "b", "c"]
    assert results[1][1] is wrong


def test_a_lost_array_is_an_error() -> None:
    """Zipped without a look, every document after it would get its neighbour's rows."""

    class Lossy(HashingEncoder):
        def encode_documents(self, items: Sequence[str]) -> list[Any]:
            return super().encode_documents(items)[1:]

    with pytest.raises(errors.ConfigurationError, match="2 arrays for 3 documents"):
        list(encoded(Lossy(), [("a", "x"), ("b", "y"), ("c", "z")]))


def test_other_errors_reach_the_caller() -> None:
    """Out of memory in the other thread is out of memory."""

    class Failing(HashingEncoder):
        def encode_documents(self, items: Sequence[str]) -> list[Any]:
            raise MemoryError

    with pytest.raises(MemoryError):
        list(encoded(Failing(), [("a", "x")]))


def test_items_are_pulled_in_the_callers_thread() -> None:
    """A cursor of a database is bound to the thread that made it."""
    here = threading.get_ident()
    pulled_in = set()

    def source() -> Iterator[tuple[int, str]]:
        for at in range(3000):
            pulled_in.add(threading.get_ident())
            yield at, "word"

    encoder = Counting()
    list(encoded(encoder, source()))
    assert pulled_in == {here}
    assert threading.current_thread().name not in encoder.threads


class Mean(HashingEncoder):
    """A model that was trained on the mean."""

    score: Score = "meanmaxsim"


def test_retriever_divides_where_a_mean_is_meant() -> None:
    """Engines sum; a threshold from the model's card is of the mean."""
    with lateint.connect("memory://") as client:
        index = client.create_index(lateint.IndexSpec("a", 128, encoder=Mean().fingerprint))
        retriever = lateint.Retriever(index, Mean())
        retriever.add({"x": "four words are enough", "y": "something else"})
        query: Rows = Mean().encode_queries(["enough words four"])[0]
        means, sums = retriever.search("enough words four"), index.search(query)
    assert [hit.id for hit in means] == [hit.id for hit in sums]
    assert [hit.score for hit in means] == [hit.score / len(query) for hit in sums]


class TestMismatch:
    """An index searched with another encoder answers, and answers nonsense."""

    def made_with(self, **parts: Any) -> Any:
        encoder = HashingEncoder()
        own = {**encoder.fingerprint, "query": {"length": 32, "prompt": "[Q]"}, "made_with": {"torch": "2.15"}}

        class Other(HashingEncoder):
            fingerprint = own | parts

        with lateint.connect("memory://") as client:
            index = client.create_index(lateint.IndexSpec("a", 128, encoder=own))
            return lateint.Retriever(index, Other())

    def test_names_the_parts_that_differ(self) -> None:
        with pytest.raises(errors.EncoderMismatch, match=r"query\.length is 48 here and 32 in the index\."):
            self.made_with(query={"length": 48, "prompt": "[Q]"})

    def test_circumstances_are_told_beside_them(self) -> None:
        with pytest.raises(errors.EncoderMismatch, match=r"version is 9 here.*torch is '2\.16' here and '2\.15'"):
            self.made_with(version=9, made_with={"torch": "2.16"})

    def test_circumstances_alone_are_a_warning(self) -> None:
        """An upgrade of a library must not lock anybody out of an index."""
        with pytest.warns(UserWarning, match=r"the same encoder under other circumstances: torch is '2\.16' here"):
            self.made_with(made_with={"torch": "2.16"})
