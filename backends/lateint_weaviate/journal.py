"""A durable note of what is being written, beside the indexes, so that a search and whoever comes later know of it.

While Weaviate writes documents, searches meet them without a score, with a part of it, or not at all, and nothing in
the answer tells. A server that is killed meanwhile leaves some like that for good, also such as were acknowledged long
before and are being written again (all seen on 1.39.0). What it does keep is its store of objects. So class
`Lateint_journal` holds objects without vectors, which are read in the order of their ids, from that store:

- An entry for every write under way: the objects it writes. It is there before the first of them is sent, and goes when
  the server keeps all of them. Ids of one index's entries lie side by side.
- Behind them the mark of the index: the last write that went well. It is set before the entry goes.

A search is undisturbed if it finds no entry afterwards, and the mark that was there before. An entry that was not
renewed for `GRACE_S` is of a writer that died: the next one takes it over and writes its documents anew. A writer that
was merely slow finds its entry gone, and writes again. No two writers write a document at the same time.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from lateint import errors
from lateint_weaviate import asking, wire
from lateint_weaviate.calls import Http, Pause, Steps
from lateint_weaviate.collection import Access
from lateint_weaviate.keeping import with_ids
from lateint_weaviate.schema import JOURNAL

GRACE_S = 20.0
"""Seconds after which an entry that was not renewed is of a writer that died."""

_PLACE = Access(cls=JOURNAL, vector="")
_WRITING, _COUNT, _LAST = "lateint_writing", "lateint_count", "lateint_last"
_FIRST, _PAGE = 2, 100
"""Mostly there is the mark and nothing else; what lies behind it belongs to other indexes."""

_LOW = 2**64
"""The lower half of an id tells the objects of one index apart."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One write.

    Attributes:
        uuid: of the entry.
        count: how many objects it writes.
        since_ms: when it was made or renewed, by the server's clock.
        objects: their ids, where they were asked for.
    """

    uuid: str
    count: int
    since_ms: int
    objects: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    """What is under way in one index.

    Attributes:
        entries: writes that have not ended.
        mark: changes with every write that ends.
    """

    entries: tuple[Entry, ...]
    mark: str

    @property
    def count(self) -> int:
        """How many objects are being written, or were when something died."""
        return sum(entry.count for entry in self.entries)

    @property
    def warning(self) -> str:
        """It, in words."""
        return (
            f"{self.count} documents are being written, or were when the server or a writer died: their scores may be "
            "wrong and they may be missing. If nobody is writing, write them again, or any other: that heals them."
        )


def definition() -> dict[str, Any]:
    """The class, as the REST interface takes it."""
    kinds = {_WRITING: "text", _COUNT: "int", _LAST: "text"}
    return {
        "class": JOURNAL,
        "description": "What lateint is writing. Do not delete it while it is.",
        "vectorConfig": {},
        "properties": [
            {"name": name, "dataType": [kind], "indexFilterable": False, "indexSearchable": False}
            for name, kind in kinds.items()
        ],
    }


def made() -> Steps[None]:
    """Make the class unless it is there."""
    try:
        yield Http("GET", f"/schema/{JOURNAL}")
    except errors.IndexNotFound:
        try:
            yield Http("POST", "/schema", definition())
        except errors.IndexExists:  # another writer was faster
            return


def looked(cls: str, *, whole: bool = False, timeout_s: float | None = None) -> Steps[State]:
    """What is under way in the index of a class.

    Args:
        cls: the class.
        whole: bring the objects of the entries as well.
        timeout_s: seconds for one call; None for the client's own.
    """
    base, after = _base(cls), _id(_base(cls) - 1)
    properties = [_COUNT, _LAST, *([_WRITING] if whole else [])]
    entries: list[Entry] = []
    limit = _FIRST
    while True:
        message = wire.fetch(
            JOURNAL, vector=None, limit=limit, after=after, filters=None, properties=properties, times=True
        )
        try:
            records = yield asking.reading(message, None, timeout_s)
        except errors.IndexNotFound:
            return State((), "")
        for record in records:
            if not base <= UUID(record.uuid).int < base + _LOW:
                return State(tuple(entries), "")
            if record.uuid == _id(base + _LOW - 1):
                return State(tuple(entries), str(record.properties[_LAST]))
            written = frozenset(str(record.properties.get(_WRITING, "")).split())
            entries.append(Entry(record.uuid, int(record.properties[_COUNT]), record.updated_ms, written))
        if len(records) < limit:
            return State(tuple(entries), "")
        after, limit = records[-1].uuid, _PAGE


def new_entry(cls: str) -> str:
    """An id for an entry of the index of a class."""
    return _id(_base(cls) + secrets.randbelow(_LOW - 1))


def entered(entry: str, objects: Iterable[str]) -> Steps[None]:
    """Make an entry."""
    written = list(objects)
    yield from _put(entry, {_WRITING: " ".join(written), _COUNT: len(written)}, there=False)


def taken_back(entry: str) -> Steps[bool]:
    """Remove an entry; whether it was there."""
    # Deleting one object over REST succeeds also where it is gone (seen on 1.39.0); this says how many it found.
    found, _ = yield asking.deleting(_PLACE, with_ids(None, [entry]))
    if found:
        return True
    # A kill may have lost the id from the index, not the object from the store.
    records = yield from asking.page(_PLACE, _id(UUID(entry).int - 1), limit=1, properties=[], vector=None)
    if not any(record.uuid == entry for record in records):
        return False
    yield Http("DELETE", f"/objects/{JOURNAL}/{entry}")
    return True


def ended(cls: str, entry: str) -> Steps[None]:
    """The server keeps all that the entry is about.

    Raises:
        ConnectionFailed: see `removed`.
    """
    yield from _put(_id(_base(cls) + _LOW - 1), {_LAST: entry}, there=True)
    yield from removed(entry)


def removed(entry: str) -> Steps[None]:
    """Remove our own entry, which nobody else may have done. To renew one is to make another and remove it.

    Raises:
        ConnectionFailed: somebody took it over, and wrote the objects as they were before.
    """
    if not (yield from taken_back(entry)):
        raise errors.ConnectionFailed(
            f"writing took so long (more than {GRACE_S:.0f} s for a part) that another writer took this one for dead.",
            hint="Write again.",
        )


def begun(
    cls: str, entry: str, objects: Iterable[str], left: Collection[str], timeout_s: float
) -> Steps[frozenset[str]]:
    """Wait until nobody else writes any of these objects, say that we do, and take over what dead writers left.

    Args:
        cls: the class.
        entry: from `new_entry`.
        objects: what is to be written.
        left: entries of this connection whose writes failed.
        timeout_s: seconds to wait.

    Returns:
        Objects that others left: to be written anew.

    Raises:
        Timeout: others still write the same.
    """
    waited, ours = 0.0, frozenset(objects)
    taken: frozenset[str] = frozenset()
    while True:
        yield from entered(entry, ours)
        state = yield from looked(cls, whole=True)
        now = max((each.since_ms for each in state.entries if each.uuid == entry), default=0)
        others = [each for each in state.entries if each.uuid != entry]
        dead = [each for each in others if each.uuid in left or now - each.since_ms > 1000 * GRACE_S]
        found = ours.union(*(each.objects for each in dead))
        # Both were entered before they looked, so of two who want the same at least one sees the other and gives way.
        if any(each not in dead and each.objects & found for each in others):
            yield from taken_back(entry)
            if waited > timeout_s:
                raise errors.Timeout("others have been writing the same documents all the time.", hint="Write again.")
            pause = min(0.5, 0.005 + waited / 4) * (0.5 + secrets.randbelow(1000) / 1000)
            yield Pause(pause)
            waited += pause
        elif found != ours:
            ours = found
        elif dead:
            for each in dead:
                if (yield from taken_back(each.uuid)):  # else it has ended, or lives and was renewed: look again
                    taken |= each.objects
        else:
            return taken


def dropped(cls: str) -> Steps[None]:
    """Forget an index."""
    state = yield from looked(cls)
    for entry in state.entries:
        yield from taken_back(entry.uuid)
    if state.mark:
        yield from taken_back(_id(_base(cls) + _LOW - 1))


def _put(uuid: str, properties: dict[str, Any], *, there: bool) -> Steps[None]:
    """Make or replace one object, over REST: as a batch it would wait behind the documents of all other writers.

    Args:
        uuid: its id.
        properties: its properties.
        there: whether it is expected to be there already.
    """
    place = f"/objects/{JOURNAL}/{uuid}"
    body = {"class": JOURNAL, "id": uuid, "properties": properties}
    if there:
        try:
            yield Http("PUT", place, body)
        except errors.IndexNotFound:
            pass
        else:
            return
    try:
        yield Http("POST", "/objects", body)
    except errors.IndexExists:  # ours from before, or another writer was faster
        yield Http("PUT", place, body)


def _base(cls: str) -> int:
    """Where the ids of an index begin."""
    return uuid5(NAMESPACE_URL, f"lateint_journal/{cls}").int & -_LOW


def _id(number: int) -> str:
    return str(UUID(int=number))
