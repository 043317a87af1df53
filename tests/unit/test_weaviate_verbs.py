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
from lateint.types import SearchRequest
from lateint_weaviate import asking, collection, journal, keeping, schema
from lateint_weaviate.calls import Http, Rpc
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
        assert isinstance(call, Rpc), "it waits"
        match call.method:
            case "BatchObjects":
                reply = []
            case "BatchDelete":
                kept.discard(other)
                reply = 1, 0
            case _:
                properties = {"lateint_writing": "a", "lateint_count": 1}
                reply = [Record(each, properties, updated_ms=1) for each in sorted(kept)]
