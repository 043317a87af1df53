"""Slices of a scan are ranges of object ids: none is read twice, none is left out, at the very bounds too."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

from lateint import IndexSpec, Slice
from lateint.types import Page
from lateint_weaviate import collection, schema
from lateint_weaviate.calls import Rpc
from lateint_weaviate.verbs import Verbs
from lateint_weaviate.wire import Record

INDEX = collection.created(IndexSpec("pages", 4), schema.CAPABILITIES, "Pages")
LAST = 2**128 - 1


def carried_out(steps: Generator[Any, Any, Page], ids: list[str], asked: list[str]) -> Page:
    """A page of a server that holds these objects and answers in order of their ids."""
    call, reply = next(steps), None
    try:
        while True:
            assert isinstance(call, Rpc)
            asked.append(call.message.after)
            found = [each for each in sorted(ids) if each > call.message.after][: call.message.limit]
            reply = [Record(each, {"lateint_id": each}, None, 0.0) for each in found]
            call = steps.send(reply)
    except StopIteration as stop:
        page: Page = stop.value
        return page


def read(ids: list[str], part: Slice | None, *, limit: int, asked: list[str]) -> list[str]:
    verbs = Verbs(backend="weaviate", location="", details={}, capabilities=schema.CAPABILITIES, timeout_s=1.0)
    found: list[str] = []
    cursor = None
    while True:
        steps = verbs.scan(INDEX, cursor=cursor, limit=limit, condition=None, with_vectors=False, part=part)
        page = carried_out(steps, ids, asked)
        found += [document.id for document in page.documents]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 1024])
def test_at_the_bounds(count: int, limit: int) -> None:
    """The ids on either side of every bound, and the first and the last that there are."""
    edges = [2**128 * number // count for number in range(1, count)][:5]
    numbers = {0, 1, LAST - 1, LAST, *(edge + off for edge in edges for off in (-1, 0, 1))}
    ids = [str(UUID(int=number)) for number in numbers]
    parts = [read(ids, Slice(index=index, count=count), limit=limit, asked=[]) for index in range(count)]
    assert [each for part in parts for each in part] == sorted(ids)
    for index, part in enumerate(parts):
        low, high = 2**128 * index // count, 2**128 * (index + 1) // count
        assert all(low <= UUID(each).int < high for each in part)


def test_reads_its_own_pages_only() -> None:
    """A slice begins where it begins, not at the first document, and ends with the page that leaves it."""
    ids = [str(UUID(int=2**128 * number // 100)) for number in range(100)]
    asked: list[str] = []
    assert read(ids, Slice(index=2, count=4), limit=10, asked=asked) == ids[50:75]
    assert len(asked) == 3
    assert UUID(asked[0]).int == 2**127 - 1


def test_whole() -> None:
    asked: list[str] = []
    ids = [str(UUID(int=number)) for number in range(5)]
    assert read(ids, None, limit=2, asked=asked) == ids
    assert asked[0] == ""
