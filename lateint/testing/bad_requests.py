"""Searches, filters, cursors, ids and specs that are refused before anything is sent."""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from typing import Any, Final

import numpy as np

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.engine.capabilities import Feature
from lateint.filters import field, ids
from lateint.spec import IndexSpec
from lateint.testing.bad_documents import ROWS, VECTORS

NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class BadRequest:
    """One call that is refused.

    Attributes:
        call: makes it, on an index of dimension 4 with a field of each type.
        words: what the message must say.
        error: what is raised.
        requires: without this feature another error comes first.
    """

    call: Callable[[AsyncIndex], Awaitable[Any]]
    words: tuple[str, ...] = ()
    error: type[errors.LateintError] = errors.InvalidInput
    requires: Feature | None = None


def _asking(query: Any, words: tuple[str, ...], error: type[errors.LateintError]) -> BadRequest:  # noqa: ANN401
    return BadRequest(lambda index: index.search(query), words, error)


def _searching(*words: str, **options: Any) -> BadRequest:  # noqa: ANN401
    return BadRequest(lambda index: index.search(ROWS, **options), words)


_NOT_QUERIES = {"no-vectors", "not-normalised-after-all", "float16-overflow", "generator"}

QUERIES: Final[Mapping[str, BadRequest]] = {
    f"query-{name}": _asking(bad.item().vectors, tuple(word for word in bad.words if word != "bad-one"), bad.error)
    for name, bad in VECTORS.items()
    if name not in _NOT_QUERIES
}

SEARCHES: Final[Mapping[str, BadRequest]] = {
    "query-none": _asking(None, (), errors.MalformedMultiVector),
    "k-zero": _searching("k=0", "from 1", k=0),
    "k-negative": _searching("k=-1", k=-1),
    "k-true": _searching("k=True", k=True),
    "k-float": _searching("k=2.5", k=2.5),
    "k-whole-float": _searching("k=2.0", k=2.0),
    "k-text": _searching("k='10'", k="10"),
    "k-none": _searching("k=None", k=None),
    "k-beyond": BadRequest(lambda index: index.search(ROWS, index.capabilities.max_k + 1), ("k=", "from 1 to")),
    "timeout-zero": _searching("timeout_s=0", timeout_s=0),
    "timeout-negative": _searching("timeout_s=-1", timeout_s=-1.0),
    "timeout-nan": _searching("timeout_s=nan", timeout_s=float("nan")),
    "payload-one-name": _searching("'number'", "['number']", payload="number"),
    "payload-number": _searching("payload", payload=[1]),
    "exact-text": _searching("'no'", exact="no"),
    "search-filter-dict": _searching("filter", filter={"number": 1}),
    "one-bad-query-of-many": BadRequest(
        lambda index: index.search_many([ROWS, np.full((1, 4), np.nan)]), ("row 0",), errors.NonFiniteVector
    ),
}


def _filtering(make: Callable[[], Any], *words: str) -> BadRequest:
    async def call(index: AsyncIndex) -> None:
        await index.count(make())

    return BadRequest(call, words)


def _tower() -> Any:  # noqa: ANN401
    return reduce(lambda inner, _: ~inner, range(70), field("number") == 1)


FILTERS: Final[Mapping[str, BadRequest]] = {
    "undeclared-field": _filtering(lambda: field("nmber") == 1, "'nmber'", "'number'"),
    "undeclared-in-a-branch": _filtering(lambda: (field("number") == 1) | ~(field("wrd") == "a"), "'wrd'", "'word'"),
    "text-on-integer": _filtering(lambda: field("number") == "1", "'number'", "'1'"),
    "float-on-integer": _filtering(lambda: field("number") == 1.5, "1.5"),
    "truth-value-on-integer": _filtering(lambda: field("number") == True, "True"),  # noqa: E712 - the point
    "integer-on-text": _filtering(lambda: field("word") == 1, "'word'"),
    "integer-on-truth-value": _filtering(lambda: field("flag") == 1, "'flag'"),
    "text-on-datetime": _filtering(lambda: field("moment") > "2024-01-01", "'moment'"),
    "naive-datetime": _filtering(lambda: field("moment") > datetime(2024, 1, 1), "time zone"),  # noqa: DTZ001
    "beyond-64-bits": _filtering(lambda: field("number") < 2**63, "64-bit"),
    "nan-bound": _filtering(lambda: field("ratio") > NAN, "nan"),
    "integer-that-no-float-holds": _filtering(lambda: field("ratio") == 2**53 + 1, "'ratio'"),
    "one-wrong-of-many": _filtering(lambda: field("number").is_in([1, 2, "3"]), "'3'"),
    "order-on-text": _filtering(lambda: field("word") < "b", "'word'", "<"),
    "order-on-truth-value": _filtering(lambda: field("flag") >= True, "'flag'"),
    "order-on-list-of-text": _filtering(lambda: field("words") > "a", "'words'"),
    "compared-with-none": _filtering(lambda: field("number") == None, "None", "exists"),  # noqa: E711 - the point
    "compared-with-list": _filtering(lambda: field("words") == ["a"], "['a']"),
    "is-in-text": _filtering(lambda: field("word").is_in("abc"), "['abc']"),
    "ids-text": _filtering(lambda: ids("abc"), "['abc']"),
    "ids-empty-id": _filtering(lambda: ids(["a", ""]), "id"),
    "ids-integer": _filtering(lambda: ids([7]), "int"),  # type: ignore[list-item]
    "field-name-empty": _filtering(lambda: field(""), "''"),
    "field-name-integer": _filtering(lambda: field(3), "3"),  # type: ignore[arg-type]
    "python-and": _filtering(lambda: field("number") == 1 and field("word") == "a", "&"),
    "chained": _filtering(lambda: 1 < field("number") < 5, "between"),
    "combined-with-a-dict": _filtering(lambda: operator.and_(field("number") == 1, {"word": "a"}), "filter"),
    "too-deep": _filtering(_tower, "64"),
    "not-a-filter": _filtering(lambda: "number == 1", "filter"),
    "sql-in-a-name": _filtering(lambda: field("number' OR '1'='1") == 1, "declare"),
}


async def _scanned(index: AsyncIndex, **options: Any) -> None:  # noqa: ANN401
    index.scan(**options)


def _forged(**changes: Any) -> str:  # noqa: ANN401
    content = {"v": 1, "backend": "other", "index": "other", "filter": "", "at": None, **changes}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


CURSORS: Final[Mapping[str, BadRequest]] = {
    f"cursor-{name}": BadRequest(partial(_scanned, cursor=cursor), ("cursor",))
    for name, cursor in {
        "text": "not a cursor",
        "empty": "",
        "non-ascii": "é",
        "integer": 7,
        "bytes": b"abcd",
        "json-list": base64.urlsafe_b64encode(b"[]").decode(),
        "json-number": base64.urlsafe_b64encode(b"7").decode(),
        "without-position": base64.urlsafe_b64encode(b'{"v": 1}').decode(),
        "of-another-engine": _forged(),
        "of-another-version": _forged(v=99),
    }.items()
}


SLICES: Final[Mapping[str, BadRequest]] = {
    f"part-{name}": BadRequest(partial(_scanned, part=part), ("part=", "lateint.Slice(index=0, count=4)"))
    for name, part in {"number": 0, "pair": (0, 4), "text": "0/4", "python-slice": slice(0, 4)}.items()
}


def _doing(call: Callable[[AsyncIndex], Awaitable[Any]], *words: str, requires: Feature | None = None) -> BadRequest:
    return BadRequest(call, words, requires=requires)


def _updating(changes: Any, *words: str) -> BadRequest:  # noqa: ANN401
    return BadRequest(
        lambda index: index.update_payload(["kept-0"], changes),
        words,
        errors.PayloadTypeError,
        Feature.UPDATE_PAYLOAD,
    )


WRITES: Final[Mapping[str, BadRequest]] = {
    "on-error": _doing(lambda index: index.write([], on_error="ignore"), "'ignore'", "raise", "report"),
    "get-one-text": _doing(lambda index: index.get("a"), "'a'", "['a']"),
    "get-integer": _doing(lambda index: index.get([7]), "int"),  # type: ignore[list-item]
    "get-control": _doing(lambda index: index.get(["a", "b\t"]), "U+0009"),
    "delete-one-text": _doing(lambda index: index.delete("kept-0"), "['kept-0']"),
    "delete-empty-id": _doing(lambda index: index.delete(["kept-0", ""]), "id"),
    "delete-nothing": _doing(lambda index: index.delete(), "ids or a filter"),
    "delete-both": _doing(lambda index: index.delete(["kept-0"], filter=ids(["kept-0"])), "ids or a filter"),
    "delete-by-dict": _doing(
        lambda index: index.delete(filter={"number": 1}),  # type: ignore[arg-type]
        "filter",
        requires=Feature.DELETE_BY_FILTER,
    ),
    "update-one-text": _doing(
        lambda index: index.update_payload("kept-0", {"x": 1}), "['kept-0']", requires=Feature.UPDATE_PAYLOAD
    ),
    "update-nan": _updating({"x": float("nan")}, "'x'"),
    "update-reserved": _updating({"lateint_id": "x"}, "reserved"),
    "update-wrong-type": _updating({"number": "x"}, "'number'"),
    "update-number-as-name": _updating({1: "x"}, "text"),
    "field-name": _doing(lambda index: index.update(fields={"a.b": "keyword"}), "'a.b'"),
    "field-reserved": _doing(lambda index: index.update(fields={"lateint_x": "keyword"}), "reserved"),
    "metadata": _doing(lambda index: index.update(metadata={"x": float("nan")}), "metadata"),
}

REQUESTS: Final[Mapping[str, BadRequest]] = {**QUERIES, **SEARCHES, **FILTERS, **CURSORS, **SLICES, **WRITES}


@dataclass(frozen=True, slots=True)
class BadSpec:
    """One spec that is refused."""

    make: Callable[[], IndexSpec]
    words: tuple[str, ...]


def _spec(*words: str, name: Any = "fine", dim: Any = 4, **options: Any) -> BadSpec:  # noqa: ANN401
    return BadSpec(lambda: IndexSpec(name, dim, **options), words)


SPECS: Final[Mapping[str, BadSpec]] = {
    "name-empty": _spec("''", name=""),
    "name-digit-first": _spec("1st", "letter", name="1st"),
    "name-slash": _spec("a/b", name="a/b"),
    "name-dots": _spec("..", name=".."),
    "name-space": _spec("a b", name="a b"),
    "name-newline": _spec("64", name="a\n"),
    "name-non-ascii": _spec("é", name="é"),
    "name-too-long": _spec("64", name="x" * 65),
    "name-integer": _spec("7", name=7),
    **{f"dim-{dim}": _spec(f"{dim!r}", "65,536", dim=dim) for dim in (0, -1, True, 2.5, "4", None, 65_537)},
    "dim-of-bits": _spec("dim 12", "binary", "dim=16", dim=12, dtype="binary"),
    "dtype": _spec("float61", "float16", dtype="float61"),
    "field-type": _spec("'year'", "integer", fields={"year": "integr"}),
    "field-name-dot": _spec("'a.b'", fields={"a.b": "keyword"}),
    "field-name-digit": _spec("'1a'", fields={"1a": "keyword"}),
    "field-name-reserved": _spec("lateint_x", "reserved", fields={"lateint_x": "keyword"}),
    "normalize-text": _spec("'no'", normalize="no"),
    "metadata-nan": _spec("metadata", metadata={"x": float("nan")}),
    "metadata-object": _spec("metadata", metadata={"x": object()}),
    "encoder-set": _spec("encoder", encoder={"x": {1}}),
}
