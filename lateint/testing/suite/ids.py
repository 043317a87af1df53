"""Ids are the caller's: whatever is allowed comes back as it was, and no two of them are one."""

from __future__ import annotations

from lateint.engine.capabilities import Feature
from lateint.filters import ids
from lateint.testing.data import query, ragged
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite, cases, needs
from lateint.testing.truth import check_contents
from lateint.types import Document

IDS = {
    "one-letter": "a",
    "integer-like": "42",
    "leading-zero": "042",
    "negative": "-1",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "uuid-upper": "123E4567-E89B-12D3-A456-426614174000",
    "uuid-braces": "{123e4567-e89b-12d3-a456-426614174000}",
    "space": " ",
    "leading-space": " a",
    "trailing-space": "a ",
    "no-break-space": "a\u00a0",
    "upper": "A",
    "composed": "\u00e9",
    "combining": "e\u0301",
    "compatibility": "\ufb01",
    "fullwidth": "ａ",
    "sharp-s": "straße",
    "double-s": "strasse",
    "dotless-i": "\u0131",
    "zero-width-joiner": "a\u200db",
    "right-to-left": "\u05d0\u202eb",
    "line-separator": "a\u2028b",
    "emoji": "👩‍👩‍👧‍👦",
    "cjk": "日本語",
    "astral": "𝔘𐍈",
    "slash": "docs/a/b",
    "dots": "../..",
    "dot": ".",
    "percent": "%2F%00",
    "query": "a?b=c&d#e",
    "url": "https://example.org/a%20b?c=d",
    "colons": "id:ns:type::a",
    "quotes": "\"'`",
    "backslash": "a\\b\\u0041",
    "json": '{"id": 1}',
    "injection": "a' OR '1'='1",
    "wildcards": "*?%_",
    "null": "null",
    "true": "true",
    "nan": "NaN",
    "longest-ascii": "x" * 512,
    "longest-cjk": "語" * 170 + "ab",
    "longest-astral": "𝔘" * 128,
}


class TestIds(Suite):
    """Ids travel unchanged through every verb."""

    @cases("name", IDS)
    async def test_round_trip(self, lab: Lab, name: str) -> None:
        """Written, read, searched, scanned, rewritten and deleted under the very same id.

        Breaks when: the id goes into a URL or a query unescaped, is normalised, trimmed, or read as a number.
        """
        old, new, other = ragged(3)
        index = await lab.shared([])
        await index.write([Document(name, old.vectors, {"version": 1}), other])
        await index.write([Document(name, new.vectors, {"version": 2})])
        (read,) = await index.get([name])
        assert (read.id, read.payload) == (name, {"version": 2})
        assert {hit.id for hit in await index.search(query(), 5)} == {name, other.id}
        assert {document.id async for document in index.scan()} == {name, other.id}
        await index.delete([name])
        await check_contents(index, [other])
        await index.delete([other.id])

    async def test_no_two_are_one(self, lab: Lab) -> None:
        """All of these ids in one index are that many documents.

        Breaks when: ids are folded (case, composition, width, spaces), or hashed from a shortened form.
        """
        vectors = ragged(1)[0].vectors
        documents = [Document(name, vectors, {"id": name}) for name in IDS.values()]
        index = await lab.index(documents)
        await check_contents(index, documents)
        assert {hit.id for hit in await index.search(query(), 100)} == set(IDS.values())

    @needs(Feature.FILTER_IDS)
    async def test_filter(self, lab: Lab) -> None:
        """A filter of ids selects by the very same id.

        Breaks when: filters quote ids otherwise than writing does.
        """
        vectors = ragged(1)[0].vectors
        index = await lab.shared([Document(name, vectors) for name in IDS.values()])
        for name in IDS.values():
            (hit,) = await index.search(query(), 5, filter=ids([name]))
            assert hit.id == name

    @needs(Feature.UPDATE_PAYLOAD)
    async def test_update_payload(self, lab: Lab) -> None:
        """Payload is updated under the very same id.

        Breaks when: partial updates address documents by another route than writes.
        """
        vectors = ragged(1)[0].vectors
        index = await lab.index(Document(name, vectors, {"n": 0}) for name in IDS.values())
        for number, name in enumerate(IDS.values()):
            assert (await index.update_payload([name], {"n": number})).written == 1
        documents = [Document(name, vectors, {"n": number}) for number, name in enumerate(IDS.values())]
        await check_contents(index, documents)
