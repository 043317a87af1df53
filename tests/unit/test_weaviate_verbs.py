"""Verbs of the Weaviate adapter without a server: what goes out for what comes back, and what never goes out."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the messages come with lateint[weaviate]")

from lateint import Document, IndexSpec, errors
from lateint.engine.payload import ID_FIELD, PAYLOAD_FIELD
from lateint.filters import bound, field
from lateint.types import SearchRequest, SearchResult
from lateint_weaviate import asking, collection, journal, keeping, schema
from lateint_weaviate.calls import Http, Pause, Rpc
from lateint_weaviate.protocol import batch_pb2
from lateint_weaviate.verbs import Verbs
from lateint_weaviate.wire import Record

DIM = 4
SPEC = IndexSpec("pages", DIM, fields={"year": "integer"})
INFO = collection.created(SPEC, schema.CAPABILITIES, "Pages")
MUVERA = {"distance": "dot", "flatSearchCutoff": 40_000, "multivector": {"enabled": True, "muvera": {"enabled": True}}}
FOREIGN = collection.found(
    "Articles",
    {
        "class": "Articles",
        "properties": [
            {"name": "scan", "dataType": ["blob"]},
            {"name": "next", "dataType": ["Articles"]},
            {"name": "word", "dataType": ["text[]"]},
        ],
        "vectorConfig": {"colbert": {"vectorIndexType": "hnsw", "vectorIndexConfig": MUVERA}},
    },
    schema.CAPABILITIES,
    vector="colbert",
    dim=DIM,
)
GOOD = np.ones((2, DIM), np.float32)
BAD = {
    "inf": np.array([[1, 0, np.inf, 0]], np.float32),
    "minus-inf": np.array([[1, 0, -np.inf, 0]], np.float32),
    "nan": np.full((1, DIM), np.nan, np.float32),
    "ragged": np.array([np.ones(DIM), np.ones(DIM - 1)], dtype=object),
    "lists": [[1.0] * DIM, [1.0] * (DIM - 1)],
    "flat": np.ones(DIM, np.float32),
    "one-row-of-another-dimension": np.ones((1, DIM + 1), np.float32),
    "dimension-0": np.ones((2, 0), np.float32),
    "no-rows": np.ones((0, DIM), np.float32),
}


@pytest.fixture
def verbs() -> Verbs:
    return Verbs(backend="weaviate", location="", details={}, capabilities=schema.CAPABILITIES, timeout_s=1.0)


def returned(steps: Generator[Any, Any, Any], reply: Any) -> Any:
    """What a verb returns after this last reply."""
    with pytest.raises(StopIteration) as end:
        steps.send(reply)
    return end.value.value


def carried_out(steps: Generator[Any, Any, Any]) -> tuple[Any, set[str]]:
    """What a write returns, and what it wrote, on a server where all goes well."""
    written: set[str] = set()
    reply: Any = None
    while True:
        try:
            call = steps.send(reply)
        except StopIteration as end:
            return end.value, written
        if isinstance(call, Http):
            reply = {"nodes": []}
            continue
        if call.method == "BatchObjects":
            message = batch_pb2.BatchObjectsRequest.FromString(call.message)
            written |= {each.uuid for each in message.objects}
        replies = {"BatchObjects": {}, "BatchDelete": (0, 0), "Search": [Record(name, {}) for name in written]}
        reply = replies[call.method]


@pytest.mark.parametrize("info", [INFO, FOREIGN], ids=["own", "foreign"])
@pytest.mark.parametrize("vectors", BAD.values(), ids=BAD)
class TestNothingGoesOut:
    """The server takes all of these, and some break every later search of the collection, MUVERA or not."""

    def test_write(self, verbs: Verbs, info: Any, vectors: Any) -> None:
        documents = [Document(str(uuid.UUID(int=1)), GOOD), Document(str(uuid.UUID(int=2)), vectors)]
        with pytest.raises(errors.InvalidInput):
            next(verbs.write(info, documents))

    def test_search(self, verbs: Verbs, info: Any, vectors: Any) -> None:
        with pytest.raises(errors.InvalidInput):
            next(verbs.search(info, [SearchRequest(query=vectors)]))


class TestCounted:
    """After a kill the server may count old entries for good: then the objects themselves are counted."""

    EVERYTHING = keeping.keeping(INFO).everything()

    def test_where_the_numbers_fit(self) -> None:
        steps = asking.counted(collection.access(INFO), self.EVERYTHING, self.EVERYTHING)
        next(steps)
        steps.send(3)
        steps.send(5)
        assert returned(steps, 5) == 3

    def test_where_they_do_not(self) -> None:
        steps = asking.counted(collection.access(INFO), self.EVERYTHING, self.EVERYTHING)
        next(steps)
        steps.send(7)
        steps.send(9)
        records = [Record(str(uuid.UUID(int=number)), {}) for number in range(5)]
        page = steps.send(5)
        assert isinstance(page, Rpc)
        assert page.message.after == ""
        passing = steps.send(records)
        assert isinstance(passing, Rpc)
        assert passing.message.filters.filters
        following = steps.send(records[:3])
        assert isinstance(following, Rpc)
        assert following.message.after == records[-1].uuid
        assert returned(steps, []) == 3


class Passing:
    """A server whose index over rows, or over properties, lost something: what it answers, and how often it is asked."""

    def __init__(self, *, found: list[int], index: int, passing: int, stored: int) -> None:
        """`found` by one search after the other; `index` and `passing` are counted, of `stored` objects."""
        self.searches = 0
        self._found = found
        self._counts = {"condition": index, "everything": passing, "total": stored}
        self._stored = stored

    def answer(self, call: Any) -> Any:
        message = call.message
        if call.method == "Aggregate":
            filters = message.filters.ByteSize()
            return self._counts["total" if not filters else "condition" if message.filters.filters else "everything"]
        if message.collection == schema.JOURNAL:
            return []
        if message.HasField("near_vector"):
            self.searches += 1
            number = self._found[min(self.searches, len(self._found)) - 1]
            return [replace(each, distance=-1.0) for each in records(number)]
        return [] if message.after and message.after == str(uuid.UUID(int=self._stored)) else records(self._stored)


def records(count: int) -> list[Record]:
    properties = {ID_FIELD: "a", PAYLOAD_FIELD: "{}"}
    return [Record(str(uuid.UUID(int=number + 1)), properties) for number in range(count)]


class TestFewerThanAskedFor:
    """An exact answer of fewer than `k` hits is one only where no more documents pass: the server leaves out, without a
    word, those of which its index over rows lost the entries."""

    @staticmethod
    def searched(verbs: Verbs, server: Passing) -> SearchResult:
        verbs.memory.marks["Pages"] = ""  # nobody wrote
        steps = verbs.search(INFO, [SearchRequest(query=GOOD, k=5, filter=bound(field("year") > 0, SPEC.fields))])
        reply: Any = None
        while True:
            try:
                reply = server.answer(steps.send(reply))
            except StopIteration as end:
                answer: SearchResult = end.value[0]
                return answer

    def test_all_that_pass(self, verbs: Verbs) -> None:
        server = Passing(found=[3], index=3, passing=9, stored=9)
        answer = self.searched(verbs, server)
        assert (len(answer), answer.exact, answer.warnings, server.searches) == (3, True, (), 1)

    def test_one_is_left_out(self, verbs: Verbs) -> None:
        server = Passing(found=[2], index=3, passing=9, stored=9)
        answer = self.searched(verbs, server)
        assert (len(answer), answer.exact, server.searches) == (2, False, 3)
        assert "1 documents pass and were not found" in answer.warnings[0]

    def test_it_comes_when_searched_again(self, verbs: Verbs) -> None:
        server = Passing(found=[2, 3], index=3, passing=9, stored=9)
        answer = self.searched(verbs, server)
        assert (len(answer), answer.exact, answer.warnings, server.searches) == (3, True, (), 2)

    def test_entries_of_what_was_replaced_are_not_missed(self, verbs: Verbs) -> None:
        server = Passing(found=[3], index=4, passing=4, stored=3)
        answer = self.searched(verbs, server)
        assert (len(answer), answer.exact, answer.warnings, server.searches) == (3, True, (), 1)


class TestJournal:
    """A kill may lose an entry's id from the index and not the entry: it would be warned of, and healed, for ever."""

    ENTRY = journal.new_entry("Pages")

    def test_of_many_indexes(self) -> None:
        """A search asks for little more than the mark of its own index; many writers are read to the last all the same."""
        entries = [
            Record(entry, {"lateint_count": 1}) for entry in sorted(journal.new_entry("Pages") for _ in range(3))
        ]
        mark = Record(str(uuid.UUID(int=uuid.UUID(self.ENTRY).int | 2**64 - 1)), {"lateint_last": "mark"})
        steps: Generator[Any, Any, journal.State] = journal.looked("Pages")
        assert next(steps).message.limit == 2
        assert returned(steps, [mark, Record(str(uuid.UUID(int=2**128 - 1)), {})]) == journal.State((), "mark")
        steps = journal.looked("Pages")
        next(steps)
        following: Any = steps.send(entries[:2])
        assert (following.message.limit, following.message.after) == (100, entries[1].uuid)
        state = returned(steps, [entries[2], mark])
        assert ([each.uuid for each in state.entries], state.mark) == ([each.uuid for each in entries], "mark")

    def test_the_first_mark_of_two_writers(self) -> None:
        """Each write that ends changes it. Breaks when: of two that both make it, the later one leaves that of the other."""
        steps: Generator[Any, Any, None] = journal.ended("Pages", self.ENTRY)
        replaced = next(steps)
        assert (replaced.method, replaced.body["properties"]) == ("PUT", {"lateint_last": self.ENTRY})
        made = steps.throw(errors.IndexNotFound("no such object"))
        assert (made.method, made.body) == ("POST", replaced.body)
        assert steps.throw(errors.IndexExists("the other one made it")) == replaced
        assert steps.send(None).method == "BatchDelete"  # of the entry: the mark is there

    def test_a_class_that_is_gone(self) -> None:
        """Breaks when: the two ways of writing are tried in turns for ever."""
        steps: Generator[Any, Any, None] = journal.entered(self.ENTRY, ["a"])
        assert next(steps).method == "POST"
        with pytest.raises(errors.IndexNotFound):
            steps.throw(errors.IndexNotFound("no such class"))

    def test_entry_that_no_filter_finds(self) -> None:
        steps: Generator[Any, Any, None] = journal.removed(self.ENTRY)
        assert next(steps).method == "BatchDelete"
        stored = steps.send((0, 0))
        assert stored.message.after == str(uuid.UUID(int=uuid.UUID(self.ENTRY).int - 1))
        deletion = steps.send([Record(self.ENTRY, {})])
        assert deletion == Http("DELETE", f"/objects/{schema.JOURNAL}/{self.ENTRY}")
        assert returned(steps, None) is None

    def test_entry_that_is_gone(self) -> None:
        steps: Generator[Any, Any, None] = journal.removed(self.ENTRY)
        next(steps)
        steps.send((0, 0))
        with pytest.raises(errors.ConnectionFailed, match="took this one for dead"):
            steps.send([Record(journal.new_entry("Pages"), {})])


class TestFailures:
    """What is wrong with one document is said of that one."""

    def test_a_part_that_is_refused(self) -> None:
        steps = asking.patched(collection.access(FOREIGN), "some-id", {})
        assert isinstance(next(steps), Http)
        with pytest.raises(StopIteration) as end:
            steps.throw(errors.UnexpectedResponse("no such property", status=422))
        assert "no such property" in end.value.value

    def test_a_server_in_trouble(self) -> None:
        """Of all documents, and worth another try."""
        steps = asking.patched(collection.access(FOREIGN), "some-id", {})
        next(steps)
        with pytest.raises(errors.UnexpectedResponse):
            steps.throw(errors.UnexpectedResponse("out of order", status=500))

    @pytest.mark.parametrize(
        "value",
        ["x" * 2**21, [f"{n:016}" for n in range(2**16)], "ß" * 2**20, ["ß" * 2**18] * 8],
        ids=["text", "many-words", "two-bytes", "long-words"],
    )
    def test_larger_than_a_message(self, verbs: Verbs, value: Any) -> None:
        """It would fail, and its whole batch with it; the others are written."""
        small = replace(FOREIGN, capabilities=replace(schema.CAPABILITIES, max_values=2**10))
        large, fine = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
        (failure,), written = carried_out(
            verbs.write(small, [Document(large, GOOD, {"word": value}), Document(fine, GOOD)])
        )
        assert failure.id == large
        assert "GRPC_MAX_MESSAGE_SIZE" in failure.reason
        assert written == {fine}


class TestAdded:
    """What somebody else added to a class of lateint, or has that lateint is not given, is named."""

    def test_to_a_class_of_lateint(self) -> None:
        made = schema.class_definition("Pages", SPEC, [{"name": "note", "dataType": ["text"]}])
        made["vectorConfig"]["dense"] = {"vectorIndexType": "hnsw", "vectorIndexConfig": {}}
        index = made["vectorConfig"][schema.VECTOR]["vectorIndexConfig"]
        info = collection.kept("pages", made, schema.CAPABILITIES, vector=None)
        assert info is not None
        assert index["distance"] == "dot"
        assert info.not_carried == ("vector 'dense' (hnsw)", "property 'note'")
        assert "drops" in info.warnings[0]

    def test_of_others(self) -> None:
        assert FOREIGN.not_carried == ("reference 'next'", "blob 'scan'")


def test_an_entry_that_comes_after_it_was_removed() -> None:
    """A time-out leaves a request on its way. This connection, whose write failed, must not wait for itself.

    Breaks when: what failed here is forgotten once it was taken over.
    """
    late = journal.new_entry("Pages")
    left = {late}
    for _ in range(2):  # the second time the server has received it again
        entry = journal.new_entry("Pages")
        steps = journal.begun("Pages", entry, ["a"], left, timeout_s=1.0)
        assert last(steps, entry, late) == {"a"}


def last(steps: Generator[Any, Any, Any], entry: str, other: str) -> Any:
    """What a beginning writer gets, on a server that keeps the entry of another one until it is removed."""
    kept = {entry, other}
    reply: Any = None
    while True:
        try:
            call = steps.send(reply)
        except StopIteration as end:
            return end.value
        assert not isinstance(call, Pause), "it waits"
        match call.method:
            case "POST":
                reply = None
            case "BatchDelete":
                kept.discard(other)
                reply = 1, 0
            case _:
                properties = {"lateint_writing": "a", "lateint_count": 1}
                reply = [Record(each, properties, updated_ms=1) for each in sorted(kept)]
