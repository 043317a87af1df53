"""Any number of documents through an encoder in bounded memory, one chunk ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from lateint import errors
from lateint.encoders.base import Encoder, Rows

Key = TypeVar("Key")

TEXTS = 1024
CHARACTERS = 2**18
"""Of text in one chunk, about: some 64,000 tokens, 32 MiB as float32 of dimension 128."""

OTHERS = 64
"""Pages in one chunk: about as many rows."""


def encoded(encoder: Encoder, items: Iterable[tuple[Key, Any]]) -> Iterator[tuple[Key, Rows | errors.InvalidInput]]:
    """Encode documents as they come; while one chunk is being used, the next is being encoded.

    The items are pulled in the caller's thread, and the encoder runs in one other: neither has to stand several.

    Args:
        encoder: encodes the documents.
        items: keys and documents; an `InvalidInput` in place of a document is passed on.

    Yields:
        Each key, in order, with its multi-vector or with what is wrong with its document.

    Raises:
        ConfigurationError: the encoder gave another number of arrays than it was given documents.
    """
    chunks = _chunks(items)
    ahead: deque[tuple[list[Key], Future[list[Rows | errors.InvalidInput]]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="lateint-encode") as pool:
        while True:
            for chunk in chunks:
                ahead.append(([key for key, _ in chunk], pool.submit(_settled, encoder, [item for _, item in chunk])))
                if len(ahead) == 2:
                    break
            if not ahead:
                return
            keys, future = ahead.popleft()
            yield from zip(keys, future.result(), strict=True)


def _chunks(items: Iterable[tuple[Key, Any]]) -> Iterator[list[tuple[Key, Any]]]:
    chunk: list[tuple[Key, Any]] = []
    filled = 0.0
    for key, item in items:
        chunk.append((key, item))
        filled += max(1 / TEXTS, len(item) / CHARACTERS) if isinstance(item, str) else 1 / OTHERS
        if filled >= 1:
            yield chunk
            chunk, filled = [], 0.0
    if chunk:
        yield chunk


def _settled(encoder: Encoder, items: Sequence[Any]) -> list[Rows | errors.InvalidInput]:
    results: list[Rows | errors.InvalidInput] = [item for item in items if isinstance(item, errors.InvalidInput)]
    good = [item for item in items if not isinstance(item, errors.InvalidInput)]
    if not results:
        return _encoded(encoder, good)
    outcomes = iter(_encoded(encoder, good))
    return [item if isinstance(item, errors.InvalidInput) else next(outcomes) for item in items]


def _encoded(encoder: Encoder, items: Sequence[Any]) -> list[Rows | errors.InvalidInput]:
    """In halves where something is wrong, until it stands alone."""
    if not items:
        return []
    try:
        arrays = encoder.encode_documents(items)
    except errors.InvalidInput as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*_encoded(encoder, items[:middle]), *_encoded(encoder, items[middle:])]
    if len(arrays) != len(items):
        raise errors.ConfigurationError(
            f"the encoder gave {len(arrays)} arrays for {len(items)} documents.",
            hint="Run lateint.check_encoder(encoder).",
        )
    return list(arrays)
