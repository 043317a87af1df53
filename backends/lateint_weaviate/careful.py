"""Writing so that what is stored is what is scored, also after a time-out or a kill.

Weaviate's index over rows does not keep what its store of objects keeps (all seen on 1.39.0). A batch that was cut
short leaves objects that are stored and half indexed, with finite, wrong scores, or none. Writing them again changes
nothing, since vectors that are the same are not indexed again. And even a batch that was acknowledged lost a part of
its index entries when the server was killed before anything else was written. Hence:

- An object that has these rows already, or of which it is not known how it is indexed, is written with its last row
  twice, which changes no MaxSim and makes the server index it anew, and then as it is.
- Meanwhile the server gives it wrong scores for moments, or leaves it out, and the same holds for new ones; and a kill
  makes that last. So a journal says what is being written, for searches and for those who come later, see `journal`.
- Every write ends with deleting nobody, which makes the server keep its index up to there; one of documents that are
  there already does so after every few of them, since those lose their old entries in a kill.
- A kill loses entries of the index over ids and properties too, and an object that looks new may be there already. So
  each is looked up after it was written, and written anew if it is not found.
- A server that indexes behind its own back (ASYNC_INDEXING) is waited for.
- After a time-out the next requests are smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np

from lateint import errors
from lateint.engine.backend import IndexInfo
from lateint.engine.splitting import by_size
from lateint_weaviate import asking, journal, schema
from lateint_weaviate.calls import Http, Pause, Steps
from lateint_weaviate.collection import Access, access
from lateint_weaviate.errors import of_object
from lateint_weaviate.keeping import NOBODY, keeping, with_ids
from lateint_weaviate.wire import Object

_AT_RISK = 2**20
"""Bytes of documents that are there and may lose their score, until they are written again, if the server is killed."""

_SMALLEST = 2**16
"""Bytes of a request below which no time-out makes it smaller."""


@dataclass(slots=True)
class Memory:
    """What a connection remembers.

    Attributes:
        doubtful: objects, by class, of which it is not known whether they are indexed as they were sent.
        trusted: classes whose scores were held against the truth.
        most_bytes: of one request, by class, where the usual ones took too long.
        marks: of the journal, by class, at a moment when nobody was writing.
        left: entries of the journal whose writes failed here. They stay: one may reach the server after it was removed.
        journal: it is there.
    """

    doubtful: dict[str, set[str]] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    most_bytes: dict[str, int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    journal: bool = False

    def forget(self, cls: str) -> None:
        """The class is another one from now on."""
        self.doubtful.pop(cls, None)
        self.most_bytes.pop(cls, None)
        self.marks.pop(cls, None)
        self.trusted.discard(cls)


@dataclass(slots=True)
class _Write:
    """A write under way.

    Attributes:
        index: the index.
        objects: all that it writes, by their ids.
        memory: of this connection.
        entry: of the journal; None for a collection of others.
        again: objects that the server might take for unchanged, and not index.
        entries: that it has made, one after the other.
    """

    index: IndexInfo
    objects: Mapping[str, Object]
    memory: Memory
    entry: str | None
    again: set[str]
    entries: set[str] = field(default_factory=set)

    def renewed(self) -> Steps[None]:
        """Say that this write goes on.

        Raises:
            ConnectionFailed: somebody took it for dead.
        """
        if self.entry is not None:
            old, self.entry = self.entry, journal.new_entry(access(self.index).cls)
            self.entries.add(self.entry)
            yield from journal.entered(self.entry, self.objects)
            yield from journal.removed(old)


def put(index: IndexInfo, objects: Mapping[str, Object], memory: Memory, *, timeout_s: float) -> Steps[dict[str, str]]:
    """Write objects; those of an index of lateint whole, those of another one by what is given of them.

    Args:
        index: the index.
        objects: by their ids.
        memory: of this connection.
        timeout_s: seconds to wait for the server's index, and for others who write the same.

    Returns:
        What was wrong with some, by their ids.

    Raises:
        BackendError: what was wrong with one is wrong with all, or the outcome is not known.
    """
    speak = access(index)
    doubtful = memory.doubtful.setdefault(speak.cls, set())
    if not index.managed:  # where lateint did not make anything it does not make a journal
        return (yield from _put(_Write(index, objects, memory, None, set(doubtful)), timeout_s))
    entry = journal.new_entry(speak.cls)
    write = _Write(index, objects, memory, entry, set(), {entry})
    try:
        if not memory.journal:
            yield from journal.made()
            memory.journal = True
        left = yield from journal.begun(speak.cls, entry, objects, memory.left, timeout_s)
        doubtful |= left
        write.again |= doubtful
        healed = yield from _stored(index, left - objects.keys())
        write.objects = {**healed, **objects}
        refused = yield from _put(write, timeout_s)
        if refused.keys() & healed.keys():
            raise errors.UnexpectedResponse(f"what others left cannot be written: {refused}")  # noqa: TRY301 - for `left`
        assert write.entry is not None
        yield from journal.ended(speak.cls, write.entry)
        doubtful -= left
    except BaseException:  # also when it is cancelled
        memory.left |= write.entries
        raise
    return refused


def _put(write: _Write, timeout_s: float) -> Steps[dict[str, str]]:
    """Write all of it, until the server keeps it."""
    objects, speak = write.objects, access(write.index)
    doubtful = write.memory.doubtful[speak.cls]
    found = yield from asking.by_ids(speak, list(objects), properties=[])
    there = [record.uuid for record in found]
    for record in (yield from asking.by_ids(speak, there, properties=[], vector=speak.vector)):
        rows = objects[record.uuid].rows
        if rows is not None and record.rows is not None and np.array_equal(rows, record.rows):
            write.again.add(record.uuid)
    known = {uuid: each for uuid, each in objects.items() if uuid in there or uuid in write.again}
    new = [each for uuid, each in objects.items() if uuid not in known]
    doubtful.update(objects)  # until all of it went well: an error, or a cancellation, leaves them so
    refused = yield from _written_anew(write, known)
    refused |= yield from _inserted(write, new)
    yield asking.deleting(speak, with_ids(None, [NOBODY]))
    lost = yield from _lost(write.index, objects, refused)
    if lost:
        write.again.update(lost)
        refused |= yield from _written_anew(write, lost)
        lost = yield from _lost(write.index, lost, refused)
        refused |= dict.fromkeys(lost, "the server stored it, and no filter finds it.")
    yield from _indexed(speak, timeout_s)
    doubtful.difference_update(objects.keys() - refused.keys())
    return refused


def _stored(index: IndexInfo, uuids: Iterable[str]) -> Steps[dict[str, Object]]:
    """Objects as they are stored, to be written anew; read past the index over ids, which may have lost them."""
    kept, speak = keeping(index), access(index)
    found: dict[str, Object] = {}
    for uuid in sorted(uuids):
        before = str(UUID(int=UUID(uuid).int - 1))
        for record in (yield from asking.page(speak, before, limit=1, properties=None, vector=speak.vector)):
            rows = kept.rows(record)
            if record.uuid == uuid and rows is not None:
                properties = {name: value for name, value in record.properties.items() if name != schema.DOUBLED_FIELD}
                found[uuid] = Object(uuid, rows, properties)
    return found


def _written_anew(write: _Write, objects: Mapping[str, Object]) -> Steps[dict[str, str]]:
    """Write objects so that all of them is indexed, whatever the server has of them; a few at a time."""
    known = list(objects.values())
    refused: dict[str, str] = {}
    for part in by_size(known, [each.size for each in known], _AT_RISK):
        yield from write.renewed()
        if write.index.managed:
            doubled = [_doubled(each, write.index) for each in part if each.uuid in write.again]
            refused |= yield from _inserted(write, doubled)
            refused |= yield from _inserted(write, [each for each in part if each.uuid not in refused])
        else:
            refused |= yield from _merged(write, part)
        yield asking.deleting(access(write.index), with_ids(None, [NOBODY]))
    return refused


def _lost(index: IndexInfo, objects: Mapping[str, Object], refused: Mapping[str, str]) -> Steps[dict[str, Object]]:
    """Objects that were written and that no search would find."""
    written = [uuid for uuid in objects if uuid not in refused]
    condition = keeping(index).everything() if index.managed else None
    found = yield from asking.by_ids(access(index), written, properties=[], condition=condition)
    there = {record.uuid for record in found}
    return {uuid: objects[uuid] for uuid in written if uuid not in there}


def is_indexing(speak: Access) -> Steps[bool]:
    """Whether the server has objects of the class still to index."""
    try:
        found = yield Http("GET", f"/nodes/{speak.cls}", query={"output": "verbose"})
    except errors.PermissionDenied:  # who may write need not be allowed to look at the cluster
        return False
    shards = [shard for node in found["nodes"] for shard in node.get("shards") or ()]
    return any(shard.get("vectorQueueLength") or shard.get("vectorIndexingStatus") == "INDEXING" for shard in shards)


def _indexed(speak: Access, timeout_s: float) -> Steps[None]:
    """Wait until the server has indexed everything.

    Raises:
        Timeout: it has not, in this time.
    """
    waited, pause = 0.0, 0.02
    while (yield from is_indexing(speak)):
        if waited > timeout_s:
            raise errors.Timeout(
                f"the server stored the documents and has not indexed them after {waited:.0f} s.",
                hint="It indexes in the background (ASYNC_INDEXING): wait, or pass connect(…, timeout_s=…).",
            )
        yield Pause(pause)
        waited, pause = waited + pause, min(1.0, 2 * pause)


def _inserted(write: _Write, objects: Sequence[Object]) -> Steps[dict[str, str]]:
    """Write objects whole, in as many requests as their size asks for."""
    speak, memory = access(write.index), write.memory
    most = memory.most_bytes.get(speak.cls, 2 * write.index.capabilities.max_batch_bytes)
    refused: dict[str, str] = {}
    for number, part in enumerate(by_size(objects, [each.size for each in objects], most)):
        if number:
            yield from write.renewed()
        try:
            failed = yield asking.inserting(speak, part)
        except errors.Timeout:
            memory.most_bytes[speak.cls] = max(_SMALLEST, sum(each.size for each in part) // 4)
            raise
        for position, text in failed.items():
            of_all = of_object(text)
            if of_all is not None:
                raise of_all
            refused[part[position].uuid] = text
    return refused


def _merged(write: _Write, objects: Sequence[Object]) -> Steps[dict[str, str]]:
    """Give objects of others another multi-vector and some properties, and leave them the rest; one after the other."""
    speak = access(write.index)
    refused: dict[str, str] = {}
    for each in objects:
        for version in (*([_doubled(each, write.index)] if each.uuid in write.again else []), each):
            assert version.rows is not None
            change = {"properties": dict(each.properties), "vectors": {speak.vector: version.rows.tolist()}}
            fault = yield from asking.patched(speak, each.uuid, change)
            if fault:
                break
        if fault == asking.MISSING:
            refused |= yield from _inserted(write, [each])
        elif fault:
            refused[each.uuid] = fault
    return refused


def _doubled(each: Object, index: IndexInfo) -> Object:
    """The same object with its last row twice: the same MaxSim, and other vectors."""
    assert each.rows is not None
    mark = {schema.DOUBLED_FIELD: True} if index.managed else {}
    return replace(each, rows=np.concatenate((each.rows, each.rows[-1:])), properties={**each.properties, **mark})
