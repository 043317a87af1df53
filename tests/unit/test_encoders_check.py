"""`check_encoder`: it finds what is planted, and leaves alone what is right."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest

import lateint
from lateint import errors
from lateint.encoders import Encoding, HashingEncoder, Token, check_encoder, from_arrays
from lateint.encoders.base import DocumentKind, Score


class Toy:
    """An honest encoder: a random row for each word, one more for the marker. The defects below are planted in it."""

    dim = 16
    fingerprint: ClassVar = {"kind": "toy"}
    max_query_tokens: int | None = 64
    score: Score = "maxsim"
    document_kind: DocumentKind = "text"

    def encode_queries(self, texts: Sequence[str]) -> Sequence[Any]:
        return [self.rows(f"[Q] {text}") for text in texts]

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        return [self.rows(f"[D] {text}") for text in items]

    def rows(self, text: str) -> Any:
        seeds = [abs(hash_of(word)) for word in text.split()]
        rows = np.stack([np.random.default_rng(seed).standard_normal(self.dim) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def hash_of(word: str) -> int:
    return int.from_bytes(word.encode()[:8], "big")


class ZeroPadded(Toy):
    """Gives the padded tensor as it came out of the model."""

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        rows = super().encode_documents(items)
        longest = max(len(one) for one in rows)
        return [np.pad(one, ((0, longest - len(one)), (0, 0))) for one in rows]


class RepeatPadded(Toy):
    """Keeps the rows of padding, which are not zero where a model makes something of them."""

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        rows = super().encode_documents(items)
        longest = max(len(one) for one in rows)
        return [np.pad(one, ((0, longest - len(one)), (0, 0)), mode="edge") for one in rows]


class NotNormalised(Toy):
    """Forgets the last step of the recipe."""

    def rows(self, text: str) -> Any:
        return 3 * super().rows(text)


class Neighbourly(Toy):
    """Attends to padding: each row has a little of how much longer the longest neighbour is.

    So do PaliGemma's queries when `token_type_ids` are dropped.
    """

    def encode_queries(self, texts: Sequence[str]) -> Sequence[Any]:
        rows = super().encode_queries(texts)
        longest = max(len(one) for one in rows)
        moved = [one + 0.02 * (longest - len(one)) for one in rows]
        return [(one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for one in moved]


class NotANumber(Toy):
    """Left padding under some attention kernels."""

    def rows(self, text: str) -> Any:
        rows = super().rows(text)
        rows[0] = np.nan
        return rows


class Unmarked(Toy):
    """Encodes queries as documents: a prompt or marker was lost."""

    def encode_queries(self, texts: Sequence[str]) -> Sequence[Any]:
        return self.encode_documents(texts)


class Random(Toy):
    """Drop-out was left on."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def rows(self, text: str) -> Any:
        rows = super().rows(text) + 0.1 * self._random.standard_normal((1, self.dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class TooLong(Toy):
    """Promises a limit that it does not keep."""

    max_query_tokens = 8


class Shuffled(Toy):
    """Sorts by length and forgets to sort back."""

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        return super().encode_documents(sorted(items, key=len))


class OneMissing(Toy):
    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        return super().encode_documents(items)[1:]


class Doubles(Toy):
    def rows(self, text: str) -> Any:
        return super().rows(text).astype(np.float64)


class RightOnly(Toy):
    """Takes the first rows, wherever the padding is."""

    left = False

    @contextmanager
    def padding(self, side: str) -> Any:
        self.left = side == "left"
        yield
        self.left = False

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        rows = super().encode_documents(items)
        return [one[::-1] for one in rows] if self.left else rows


class AloneOnly(Toy):
    """Stacks rows of different lengths."""

    def encode_documents(self, items: Sequence[str]) -> Sequence[Any]:
        return list(np.stack(list(super().encode_documents(items))))


class NoneAlone(Toy):
    """Loses the axis of the batch where there is one text, and gives a row where an array is meant."""

    def encode_queries(self, texts: Sequence[str]) -> Sequence[Any]:
        if len(texts) == 1:
            raise IndexError("too many indices for array")
        return super().encode_queries(texts)


class Mistold(Toy):
    """Tells what rows stand for, and forgets the marker."""

    def trace_queries(self, texts: Sequence[str]) -> list[Encoding]:
        return [
            Encoding(rows, tuple(Token(word) for word in text.split()))
            for rows, text in zip(self.encode_queries(texts), texts, strict=True)
        ]

    def trace_documents(self, items: Sequence[str]) -> list[Encoding]:
        return []


@pytest.mark.parametrize(
    "encoder", [Toy(), HashingEncoder(), HashingEncoder(dim=3)], ids=["toy", "hashing", "hashing-3"]
)
def test_honest_encoders_pass(encoder: Any) -> None:
    """An alarm that rings for nothing is switched off."""
    report = check_encoder(encoder)
    assert report.failed == ()
    report.raise_if_failed()


def test_what_was_encoded_before_can_be_checked() -> None:
    """Nobody has the queries encoded as documents: that is no defect, and must not end the check."""
    queries, documents = ["how does a parser work", "index"], ["parsers parse", "x y z w"]
    toy = Toy()
    encoder = from_arrays(
        dict(zip(queries, toy.encode_queries(queries), strict=True)),
        dict(zip(documents, toy.encode_documents(documents), strict=True)),
        dim=toy.dim,
        fingerprint={"kind": "kept"},
    )
    report = check_encoder(encoder, queries=queries, documents=documents)
    assert report.failed == ()
    assert "queries are not encoded as documents" in {one.name for one in report.findings if one.status == "skipped"}


@pytest.mark.parametrize(
    ("defect", "finding", "detail"),
    [
        (ZeroPadded, "documents: no padding", "rows are zero"),
        (RepeatPadded, "documents: no padding", "rows in a batch and"),
        (NotNormalised, "queries: length 1", "from 3 to 3"),
        (Neighbourly, "queries: alone as in a batch", "a row moves by"),
        (NotANumber, "queries: finite", "rows hold NaN"),
        (Unmarked, "queries are not encoded as documents", "the same rows"),
        (Random, "documents: again the same", "a row moves by"),
        (TooLong, "queries: as long as promised", "8 is the limit"),
        (Shuffled, "documents: alone as in a batch", "rows against"),
        (OneMissing, "documents: shape", "3 arrays for 4 items"),
        (Doubles, "queries: shape", "item 0 is float64"),
        (RightOnly, "documents: padded on either side", "left: a row moves by"),
        (AloneOnly, "documents: encoded", "ValueError: all input arrays must have the same shape"),
        (NoneAlone, "queries: encoded", "IndexError: too many indices"),
        (Mistold, "origins: one for each row", "query 0 has"),
    ],
)
def test_planted_defects_are_found(defect: Any, finding: str, detail: str) -> None:
    """Each is a bug that a library in use has had, and every one gives hits that look plausible."""
    encoder = Neighbourly() if defect is Neighbourly else defect()
    failed = {one.name: one.detail for one in check_encoder(encoder).failed}
    assert detail in failed[finding]


def test_the_error_names_what_is_wrong() -> None:
    with pytest.raises(errors.VerificationFailed, match=r"queries: length 1: .* rows have another length"):
        lateint.check_encoder(NotNormalised()).raise_if_failed()


def test_needs_two_of_each() -> None:
    """One text alone has no neighbours, and the check would pass whatever the encoder does."""
    with pytest.raises(errors.InvalidInput, match="two queries and two documents"):
        check_encoder(Toy(), queries=["one"])
